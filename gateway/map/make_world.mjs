// Projects the outline of the land (world-atlas: Natural Earth at 1:110 million) into ../static/world.svg.
// Run by hand when the map changes: npm install world-atlas@2 topojson-client@3 d3-geo@3; node make_world.mjs
// ../projection.py has the same projection for points.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { geoNaturalEarth1, geoPath } from "d3-geo";
import { feature } from "topojson-client";

const require = createRequire(import.meta.url);
const world = JSON.parse(readFileSync(require.resolve("world-atlas/land-110m.json")));
const projection = geoNaturalEarth1().scale(160).translate([450, 230]).precision(0.5);
const outline = geoPath(projection).digits(1)(feature(world, world.objects.land));
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 460"><path id="land" d="${outline}"/></svg>\n`;
writeFileSync(new URL("../static/world.svg", import.meta.url), svg);
