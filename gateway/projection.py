"""Natural Earth I, the projection of static/world.svg (d3-geo's geoNaturalEarth1, see map/make_world.mjs).

Šavrič, Jenny, Patterson, Petrovič, Hurni: A polynomial equation for the Natural Earth projection (2011).
"""

from __future__ import annotations

from math import radians

from gateway.records import Place

WIDTH, HEIGHT = 900, 460
_SCALE, _X, _Y = 160.0, 450.0, 230.0


def project(place: Place) -> tuple[float, float]:
    """Return where a place is on the map, x to the right and y down."""
    longitude, latitude = radians(place.longitude), radians(place.latitude)
    square = latitude * latitude
    fourth = square * square
    across = (
        0.8707 - 0.131979 * square + fourth * (-0.013791 + fourth * (0.003971 * square - 0.001529 * fourth))
    )
    along = 1.007226 + square * (0.015085 + fourth * (-0.044475 + 0.028874 * square - 0.005916 * fourth))
    return round(_X + _SCALE * longitude * across, 1), round(_Y - _SCALE * latitude * along, 1)
