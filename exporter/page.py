"""The page for people at `/`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape

from exporter.collection import Page

_STYLE = (
    "body{font:16px sans-serif;max-width:48em;margin:2em auto;padding:0 1em}"
    "td{padding:.2em 1em .2em 0;vertical-align:top}"
)
_UP = {True: "up", False: "down, or not answering everything"}


def render(page: Page | None, started: float, version: str, links: Mapping[str, str]) -> bytes:
    """Return the landing page: what is up, since when, and where to go; times are time.time()."""
    rows = [("version", version), ("running since", _date(started))]
    if page is None:
        rows.append(("OpenNebula", "nothing was scraped yet"))
    else:
        rows += [
            ("OpenNebula", f"{_UP[page.up]}, since {_date(page.since)}"),
            ("last scrape", f"{_date(page.at)}, {page.took:.2f} s, {page.vms} VMs"),
            ("power", f"figures of {page.power[0]} of {page.power[1]} hosts"),
            *((f"failed: {name}", reason) for name, reason in page.failures.items()),
        ]
    table = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in rows)
    anchors = "".join(f'<li><a href="{escape(path)}">{escape(text)}</a></li>' for path, text in links.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>onext exporter</title>'
        f"<style>{_STYLE}</style></head><body><h1>onext exporter</h1>"
        f"<p>Metrics of OpenNebula for Prometheus.</p><table>{table}</table><ul>{anchors}</ul></body></html>"
    ).encode()


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))
