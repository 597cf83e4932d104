"""What one process of availability keeps between rounds; every clock in it only advances."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from hooks.availability import probe
from hooks.availability.availability_metrics import Losses
from hooks.availability.heartbeat import Heartbeats
from hooks.availability.lease.service import Service
from hooks.availability.model import Incident, Phase
from hooks.availability.readiness import Readiness
from onext.hosts.deciders import Watch


@dataclass
class Boots:
    """The boot id of each host when its VMs were last known to be in order."""

    known: dict[int, str] = field(default_factory=dict)

    def rebooted(self, reported: Mapping[int, str], accepted: Collection[int]) -> frozenset[int]:
        """Return the hosts that report another boot id than before; it is accepted from those named."""
        for host in reported.keys() & set(accepted) | reported.keys() - self.known.keys():
            self.known[host] = reported[host]
        self.known = {host: boot for host, boot in self.known.items() if host in reported}
        return frozenset(host for host, boot in reported.items() if boot != self.known[host])


MOST_FAILED = 30  # rounds, five minutes, after which people learn that an incident does not proceed


@dataclass
class Obstructed:
    """The number of consecutive rounds in which the steps of each incident failed."""

    rounds: dict[int, int] = field(default_factory=dict)

    def note(self, failed: Collection[int]) -> list[int]:
        """Take the hosts whose steps failed in this round; return those that have to be reported now."""
        self.rounds = {host: self.rounds.get(host, 0) + 1 for host in failed}
        return [host for host, rounds in self.rounds.items() if rounds == MOST_FAILED]


@dataclass
class Memory:
    """What this process keeps between rounds; every clock in it only advances."""

    heard: probe.Heard = field(default_factory=probe.Heard)
    ports: probe.Ports = field(default_factory=probe.Ports)
    phases: dict[int, tuple[tuple[Phase, float], float]] = field(default_factory=dict)
    firsts: dict[int, tuple[float, float]] = field(default_factory=dict)
    cleaned: set[int] = field(default_factory=set)
    fenced: dict[int, float] = field(default_factory=dict)  # by cluster
    invalid: set[int] = field(default_factory=set)
    watch: Watch = field(default_factory=Watch)
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    boots: defaultdict[int, Boots] = field(default_factory=lambda: defaultdict(Boots))  # by cluster
    leases: Service = field(default_factory=Service)
    examined: dict[int, float] = field(default_factory=dict)  # when a suspect was last examined
    failed: dict[int, str] = field(default_factory=dict)  # by cluster: what was reported
    pruned: float = float("-inf")
    orphans: set[int] = field(default_factory=set)
    obstructed: defaultdict[int, Obstructed] = field(
        default_factory=lambda: defaultdict(Obstructed)
    )  # by cluster
    losses: Losses = field(default_factory=Losses)
    readiness: defaultdict[int, Readiness] = field(
        default_factory=lambda: defaultdict(Readiness)
    )  # by cluster

    def waited(self, incidents: Mapping[int, Incident]) -> Mapping[int, float]:
        """Return for how many seconds this process has seen each incident in its phase."""
        now = time.monotonic()
        self.phases = {
            host: self.phases[host] if self.phases.get(host, (None,))[0] == key else (key, now)
            for host, one in incidents.items()
            if (key := (one.phase, one.since))
        }
        return {host: now - since for host, (_, since) in self.phases.items()}

    def suspected(self, incidents: Mapping[int, Incident]) -> Mapping[int, float]:
        """Return for how many seconds this process has known each incident."""
        now = time.monotonic()
        self.firsts = {
            host: self.firsts[host] if self.firsts.get(host, (None,))[0] == one.first else (one.first, now)
            for host, one in incidents.items()
        }
        return {host: now - since for host, (_, since) in self.firsts.items()}
