"""The page for people at `/`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from html import escape

from exporter.collection import Scrape

OLD = 120.0  # seconds after which a scrape is too old to show as current
_STYLE = (
    "body{font:16px sans-serif;max-width:48em;margin:2em auto;padding:0 1em}"
    "td{padding:.2em 1em .2em 0;vertical-align:top}"
)
_UP = {True: "up", False: "down, or not answering everything"}


def render(scrape: Scrape | None, started: float, version: str, links: Mapping[str, str]) -> bytes:
    """Return the landing page: what is up, since when, and where to go; times are time.time()."""
    rows = [("version", version), ("running since", _date(started))]
    rows += [("OpenNebula", "not scraped yet")] if scrape is None else _last(scrape, time.time())
    table = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in rows)
    anchors = "".join(f'<li><a href="{escape(path)}">{escape(text)}</a></li>' for path, text in links.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>onext exporter</title>'
        f"<style>{_STYLE}</style></head><body><h1>onext exporter</h1>"
        f"<p>Metrics of OpenNebula for Prometheus.</p><table>{table}</table><ul>{anchors}</ul></body></html>"
    ).encode()


def _last(scrape: Scrape, now: float) -> Iterator[tuple[str, str]]:
    age = max(0.0, now - scrape.at)
    known = f"{_UP[scrape.up]}, since {_date(scrape.since)}"
    if age > OLD:
        known = f"not known: no scrape for {_span(age)}; it was {known}"
    yield "OpenNebula", known
    yield "last scrape", f"{_date(scrape.at)}, {_span(age)} ago, {scrape.took:.2f} s, {scrape.vms} VMs"
    yield "power", f"figures of {scrape.power[0]} of {scrape.power[1]} hosts"
    for name, reason in scrape.failures.items():
        yield f"failed: {name}", reason


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
