"""The zones of a federation, and the servers of their HA groups: who leads, who does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter.collected import Collected, plain, whole
from exporter.documents import whole_document
from onext.oned import stream
from onext.oned.elements import children, section, text
from onext.oned.errors import Malformed, OnedError, Unauthorised

LEADER, FOLLOWER = 3, 2  # STATE of one.zone.raftstatus
_MOST = 64  # servers
_PATIENCE = 2.0  # seconds for one server's answer
_SILENT = 30.0  # seconds for which a server that did not answer is not asked again
_LARGEST = 65_536  # bytes of an answer
_log = logging.getLogger("onext.exporter")


class Server(NamedTuple):
    """One server of a zone."""

    zone: int
    id: int
    name: str
    endpoint: str


class Zones:
    """The zones as the front-end that we ask knows them."""

    def __init__(self, source: stream.Source, fqdn: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._fqdn = fqdn
        self._clock = clock
        self._silent: dict[str, float] = {}  # endpoint -> when it may be asked again
        self._lock = threading.Lock()
        self._reported = False
        self.name = ""  # of the zone that we ask, empty while it is not known

    def collect(self) -> Collected:
        """Return the metrics of all zones; raise an OnedError."""
        found, servers, zones = Collected(), list[Server](), list[tuple[str, str]]()
        for element in stream.pool(self._source, "zonepool.info", tag="ZONE"):
            try:
                zones.append(_zone(element, found, servers))
            except (ValueError, KeyError, Malformed):
                found.errors += 1
        here = [name for name, endpoint in zones if _same(endpoint, self._source.endpoint)]
        self.name = zones[0][0] if len(zones) == 1 else "".join(here[:1])
        if servers:
            self._servers(found, servers[:_MOST])
        return found

    def _servers(self, found: Collected, servers: Sequence[Server]) -> None:
        try:
            own = _ask(self._source, _PATIENCE)
        except Unauthorised as error:  # then others would refuse as well, and look as if they had failed
            self._report(str(error))
            return
        with ThreadPoolExecutor(8, "zone") as pool:
            states = list(pool.map(self._state, [server.endpoint for server in servers]))
        add = found.samples.add
        for server, state in zip(servers, states, strict=True):
            if state is not None:
                labels = {
                    "zone_id": str(server.zone),
                    "server_id": str(server.id),
                    "server_name": server.name,
                }
                add("opennebula_zone_server_state", state, **labels)
        wrong = sum(state not in (LEADER, FOLLOWER) for state in states)
        add("opennebula_ha_is_leader", int(own == LEADER), one_server_fqdn=self._fqdn)
        add("opennebula_ha_members", len(servers), one_server_fqdn=self._fqdn)
        add("opennebula_ha_error_members", wrong, one_server_fqdn=self._fqdn)

    def _report(self, reason: str) -> None:
        if not self._reported:
            _log.warning("servers of HA groups are left out: this needs ADMIN of zones: %s", reason)
        self._reported = True

    def _state(self, endpoint: str) -> int | None:
        """Return a server's state in its HA group, None when it does not answer."""
        with self._lock:
            if self._clock() < self._silent.get(endpoint, 0.0):
                return None
        try:
            state = _ask(replace(self._source, endpoint=endpoint), _PATIENCE)
        except Unauthorised:
            state = None
        with self._lock:
            self._silent.pop(endpoint, None)
            if state is None and len(self._silent) < _MOST:
                self._silent[endpoint] = self._clock() + _SILENT
        return state


def _ask(source: stream.Source, patience: float) -> int | None:
    """Return a server's state, None when it does not answer; raise Unauthorised."""
    one = replace(source, connect_timeout=patience, read_timeout=patience, deadline=patience)
    try:
        document = whole_document(stream.document(one, "zone.raftstatus"), _LARGEST)
        return whole(plain(section(document, b"STATE")[0]))
    except Unauthorised:
        raise
    except (OnedError, ValueError):  # ValueError: an endpoint that is not an address
        return None


def _zone(element: bytes, found: Collected, servers: list[Server]) -> tuple[str, str]:
    """Add a zone's state and servers; return its name and endpoint."""
    fields = dict(children(element[len("<ZONE>") : -len("</ZONE>")]))
    zone = whole(fields[b"ID"])
    if zone is None:
        raise Malformed("no id")
    name = text(fields.get(b"NAME", b""))
    state = whole(plain(fields.get(b"STATE", b"")))
    if state is not None:
        found.samples.add("opennebula_zone_state", state, zone_id=zone, zone_name=name)
    for tag, content in children(fields.get(b"SERVER_POOL", b"")):
        values = dict(children(content))
        number = whole(plain(values.get(b"ID", b"")))
        if tag == b"SERVER" and number is not None:
            servers.append(Server(zone, number, _value(values, b"NAME"), _value(values, b"ENDPOINT")))
    return name, _value(dict(children(fields.get(b"TEMPLATE", b""))), b"ENDPOINT")


def _value(values: dict[bytes, bytes], key: bytes) -> str:
    return text(values.get(key, b"")).strip()


def _same(one: str, other: str) -> bool:
    try:
        first, second = urlsplit(one), urlsplit(other)
        same = (first.hostname, first.port) == (second.hostname, second.port)
    except ValueError:  # a port that is not a number
        return False
    return same
