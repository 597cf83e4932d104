"""Grants leases: once in a while asks every armed host, writes the record, then grants.

The order is the proof: only a challenge that was there before the write began is granted after it, and the
write fails on a front-end that does not lead the zone any more.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hooks.availability.lease import challenges
from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.exchange import Exchange, Names, Peer
from hooks.availability.lease.grants import ARMED, GRANTS, ZONE, Armed, Arming, Granted, Grants
from hooks.availability.lease.keys import Secret
from hooks.availability.lease.ledger import Ledger, Status, counts
from onext import log
from onext.oned.client import Oned
from onext.oned.documents import Documents, Stored
from onext.oned.errors import OnedError

SHARE = 6  # of a lease between two grants
MOST_PAUSE = 10.0  # seconds between two grants
_log = log.get("availability")


@dataclass
class Zone:
    """What the granter reads and writes in oned."""

    oned: Oned
    server: int
    term: int
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self.grants: Documents[Grants] = Documents(self.oned, GRANTS, self.now)
        self.armed: Documents[Armed] = Documents(self.oned, ARMED, self.now)


@dataclass
class Granter:
    """One process's grants; `status` may be asked from another thread."""

    ledger: Ledger
    resolve: Callable[[str, int], tuple[str, int]] = lambda name, port: (name, port)
    monotonic: Callable[[], float] = time.monotonic
    names: Names = field(default_factory=Names)
    open: Callable[[Names], Exchange] = Exchange
    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    problem: str = ""
    _armed: Mapping[int, Stored[Armed]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pause(self) -> float:
        """Return the seconds between two rounds."""
        return min(MOST_PAUSE, self.ledger.lease / SHARE)

    def status(self, host: int, *, silent: float, record: Documents[Grants]) -> Status | None:
        """Return what the lease of a host shows, None where it is not armed.

        An expiry counts only while `record` is the one that this process wrote last: another front-end may
        have led, and granted, between two rounds of this one.
        """
        with self._lock:
            stored = self._armed.get(host)
            if stored is None or stored.value is None or stored.value.state is not Arming.ARMED:
                return None
            found = self.ledger.status(host, self.monotonic(), silent=silent)
        if found.expired and (reason := self._superseded(record)):
            return replace(found, expired=False, detail=reason)
        return found

    def _superseded(self, record: Documents[Grants]) -> str:
        """Return why this process's grants may not be the last ones; empty where they are."""
        try:
            stored = record.get(ZONE)
        except OnedError as error:
            return f"the record of grants cannot be read: {error}"
        if stored is not None and stored.value is not None and stored.value.writer == self.writer:
            return ""
        with self._lock:
            self.ledger.lost()
        return "another front-end has granted since this one did"

    def armed(self) -> frozenset[int]:
        """Return the hosts whose lease counts."""
        with self._lock:
            found = self._armed.items()
            return frozenset(n for n, one in found if one.value and one.value.state is Arming.ARMED)

    def round(self, zone: Zone, secret: Secret) -> None:
        """Ask, write, grant; raise OnedError where the record could not be written."""
        stored = zone.armed.all()
        with self._lock:
            self._armed = stored
            self.ledger.keep({host: one for host, one in stored.items() if one.value})
        peers = self._peers(stored, secret)
        if not peers:
            return
        with self.open(self.names) as exchange:
            answered = {}
            for host, challenge in exchange.ask(peers):
                answered[host] = challenge
                with self._lock:
                    self.ledger.heard(host, challenge, self.monotonic())
            grants = self._write(zone)
            self._grant(exchange, peers, answered, grants)
            for host, challenge in answered.items():
                self._settle(zone, exchange, peers[host], challenge, grants.epoch)

    def _peers(self, stored: Mapping[int, Stored[Armed]], secret: Secret) -> dict[int, Peer]:
        found, foreign = {}, []
        for host, one in stored.items():
            if one.value is None or one.value.key != secret.name:
                foreign.append(host)
            else:
                address = self.resolve(one.value.name, one.value.port)
                found[host] = Peer(host, secret.key(host, one.value.salt), address)
        problem = f"hosts {foreign[:20]}: no key of theirs is here: copy lease.key" if foreign else ""
        if problem != self.problem and problem:
            _log.error("lease: %s", problem)
        self.problem = problem
        return found

    def _write(self, zone: Zone) -> Grants:
        """Write the record, which every other writer's grants end with; raise OnedError."""
        try:
            before = zone.grants.get(ZONE)
            known = before.value if before else None
            grants = self._next(zone, known)
            zone.grants.put(ZONE, grants, before.version if before else None)
        except OnedError:
            with self._lock:
                self.ledger.lost()
            raise
        with self._lock:
            self._note(zone, known)
        return grants

    def _next(self, zone: Zone, known: Grants | None) -> Grants:
        epoch = max(int(zone.now() * 1000), known.epoch + 1 if known else 0)
        now, wall = self.monotonic(), zone.now()
        with self._lock:
            hosts = {
                host: Granted(one.boot, one.held and not one.disarmed, max(0.0, wall - (now - one.at)))
                for host, one in self.ledger.contacts.items()
            }
        inherited = {host: one for host, one in known.hosts.items() if host in self._armed} if known else {}
        longest = self.ledger.longest_until(self.monotonic(), known.longest if known else 0.0)
        return Grants(epoch, zone.server, zone.term, self.writer, longest, wall, {**inherited, **hosts})

    def _note(self, zone: Zone, known: Grants | None) -> None:
        own = known is not None and known.writer == self.writer
        self.ledger.wrote(self.monotonic(), known.longest if known else 0.0, own=own)
        if not own and known is not None:
            ages = {host: (one.boot, one.held, zone.now() - one.at) for host, one in known.hosts.items()}
            self.ledger.inherit(ages, self.monotonic())

    def _grant(
        self, exchange: Exchange, peers: Mapping[int, Peer], answered: Mapping[int, Challenge], grants: Grants
    ) -> None:
        for host, challenge in answered.items():
            with self._lock:
                self.ledger.granted(host, challenge, self.monotonic())
            peer = peers[host]
            exchange.send(peer, challenges.grant(peer.key, host, challenge, grants.epoch, self.ledger.lease))

    def _settle(self, zone: Zone, exchange: Exchange, peer: Peer, challenge: Challenge, epoch: int) -> None:
        """Record what a node acknowledged: that it is armed, or that it is disarmed."""
        stored = self._armed[peer.host]
        assert stored.value is not None
        if stored.value.state is Arming.ARMING and counts(challenge):
            one = replace(stored.value, state=Arming.ARMED, at=zone.now())
            zone.armed.put(peer.host, one, stored.version)
            _log.info("host %d (%s): armed: its lease is a proof from now on", peer.host, one.name)
        if stored.value.state is Arming.DISARMING:
            acknowledged = exchange.disarm(peer, challenge, epoch)
            if acknowledged is not None and acknowledged.disarmed:
                zone.armed.remove(peer.host, stored.version)
                _log.info("host %d (%s): disarmed", peer.host, stored.value.name)
