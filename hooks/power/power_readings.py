"""Read the power meters now and then: BMCs, and through our own exporter Scaphandre and Kepler.

The exporter is asked, and not the hosts: Scaphandre freezes when two ask it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from logging import DEBUG, WARNING

from onext import log
from onext.hosts import watt_model
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.query import draws_all
from onext.hosts.bmc.watts import Draw
from onext.hosts.inventory.cluster import curve
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.model import Bmc
from onext.hosts.watt_model import Reading
from onext.http import Http, HttpError
from onext.metrics import Family
from onext.part import Context
from onext.settings.exporter import Exporter

PERIOD = 600.0  # seconds between two readings
PAGE_TIMEOUT, LARGEST_PAGE = 8.0, 64_000_000
_WATTS = re.compile(
    r'^opennebula_host_power_watts\{[^}]*one_host_id="(\d+)"[^}]*source="(\w+)"[^}]*\} (\S+)', re.MULTILINE
)
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 (where it listens, not where we do)
_log = log.get("power")
_implausible: Counter[str] = Counter()  # by place, since this worker began
_left_out: dict[int, frozenset[str]] = {}  # places of each host's figures that were left out last time


def read(context: Context, book: BmcConfig, seen: Snapshot) -> None:
    """Read all meters where the last time is long enough ago, and keep the results."""
    file, now = context.paths.state / watt_model.FILE, context.now()
    if file.exists() and 0 <= now - file.stat().st_mtime < PERIOD:
        return
    readings = list(_readings(context, book, seen))
    watt_model.save(context.paths.state, watt_model.learn(seen.metered, readings, now))
    file.touch()  # also when nothing has changed


def _readings(context: Context, book: BmcConfig, seen: Snapshot) -> Iterator[Reading]:
    """Give one reading of each host that has a meter, the BMC's where there is one."""
    answering = {host for host, state in seen.bmcs.items() if state in (Bmc.ON, Bmc.OFF)} - seen.sleepers
    draws = draws_all(book, answering, context.settings.power.bmc_timeout)
    _count_implausible(draws)
    found = {host: ("bmc", draw.watts) for host, draw in draws.items() if draw.watts is not None}
    found = {**exported(context.settings.exporter), **found}
    for host in seen.cloud.hosts.values():
        if host.id in found:
            source, watts = found[host.id]
            model, load = curve(host, context.settings.power), seen.loads.get(host.id, 0.0)
            yield Reading(host.id, source, watts, model, load, seen.bmcs.get(host.id) is Bmc.OFF)


def _count_implausible(draws: Mapping[int, Draw]) -> None:
    """Count the figures of BMCs that were left out, and log each host's when they are others than before."""
    for host, draw in draws.items():
        sources = {figure.partition(":")[0] for figure in draw.implausible}
        _implausible.update(sources)
        if sources - _left_out.get(host, frozenset()):
            _log.warning("host %d: its BMC's figures are left out: %s", host, "; ".join(draw.implausible))
        _left_out[host] = frozenset(sources)


def implausible_family() -> Family:
    """Return how often a figure of a BMC was not plausible, by its place."""
    return Family(
        "onext_power_implausible_readings_total",
        "counter",
        "Figures of BMCs that were left out because no such machine draws that",
        [({"source": source}, float(count)) for source, count in sorted(_implausible.items())],
    )


def exported(settings: Exporter) -> dict[int, tuple[str, float]]:
    """Return source and watts of each host on our exporter's page; none without a page."""
    if not settings.power.sources:
        return {}
    http = Http(connections=1, size=LARGEST_PAGE, trust=settings.client.ca_file)
    try:
        page = http.get(f"{_url(settings)}/metrics", timeout=PAGE_TIMEOUT, headers=_login(settings))
    except (HttpError, OSError) as error:
        guarded = settings.web_config is not None
        _log.log(WARNING if guarded else DEBUG, "no figures of power from the exporter: %s", error)
        return {}
    finally:
        http.close()
    return parsed(page.body.decode("utf-8", "replace"))


def _url(settings: Exporter) -> str:
    address, _, port = settings.address.rpartition(":")
    return (settings.client.url or f"http://{_ANY.get(address, address)}:{port}").rstrip("/")


def _login(settings: Exporter) -> dict[str, str]:
    """Return the header that the exporter asks for; raise OSError without the file."""
    if settings.client.login_file is None:
        return {}
    login = settings.client.login_file.read_bytes().strip()
    return {"Authorization": "Basic " + b64encode(login).decode()}


def parsed(page: str) -> dict[int, tuple[str, float]]:
    """Return source and watts of each host on a page of metrics."""
    found = {}
    for host, source, text in _WATTS.findall(page):
        try:
            watts = float(text)
        except ValueError:
            continue
        if source in watt_model.RANKS and 0 < watts < 1e5:
            found[int(host)] = (source, watts)
    return found
