"""What rounds remember of each cluster, on this server: it can be lost, then switching off waits longer."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hooks.power.decide import Decision, Memory
from hooks.power.move_failures import MoveFailures
from hooks.power.needed_hosts import Wakes
from hooks.power.policy import Policy
from onext import atomic
from onext.hosts.actions.actuator import Leases
from onext.hosts.deciders import Watch
from onext.hosts.model import Cluster

FILE = "power.json"
BOOT = Path("/proc/sys/kernel/random/boot_id")
LONGEST_PAUSE = 600.0


@dataclass
class Tally:
    """What this server has counted of a cluster: migrations begun, seconds in which the buffer was short."""

    migrations: int = 0
    short_seconds: float = 0.0
    looked: float = 0.0
    moved_gb: float = 0.0

    def look(self, now: float, migrations: int, *, short: bool, gb: float) -> None:
        """Count one round; a pause of more than ten minutes, or a clock set back, is not counted."""
        passed = now - self.looked if self.looked else 0.0
        if short and 0 < passed < LONGEST_PAUSE:
            self.short_seconds += passed
        self.migrations += migrations
        self.moved_gb += gb
        self.looked = now


@dataclass
class RoundState:
    """By cluster: memories, the times of our migrations, the VMs that were told why they wait."""

    memories: dict[int, Memory] = field(default_factory=dict)
    migrations: dict[int, list[float]] = field(default_factory=dict)
    told: dict[int, set[int]] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)
    watch: Watch = field(default_factory=Watch)
    failed: dict[int, str] = field(default_factory=dict)  # by cluster: the round that failed, as logged
    moves: MoveFailures = field(default_factory=MoveFailures)
    problems: dict[int, frozenset[str]] = field(default_factory=dict)  # by cluster: what was reported
    seen: dict[int, tuple[Cluster, Policy, Decision, float]] = field(default_factory=dict)

    def forget(self, clusters: Collection[int]) -> None:
        """Drop what is known of clusters that the settings do not name any more."""
        notes = (self.told, self.seen, self.problems, self.failed)
        for known in (self.memories, self.migrations, self.tallies, *notes):
            for cluster in [one for one in known if one not in clusters]:
                del known[cluster]

    def save(self, folder: Path) -> None:
        """Write what another process of this server may continue with."""
        memories = {
            str(cluster): {
                "wanted_off": {str(host): since for host, since in memory.wanted_off.items()},
                "wakes": {str(vm): [wakes.count, wakes.last] for vm, wakes in memory.wakes.items()},
            }
            for cluster, memory in self.memories.items()
        }
        tallies = {str(cluster): asdict(tally) for cluster, tally in self.tallies.items()}
        document = {
            "memories": memories,
            "migrations": self.migrations,
            "told": {cluster: sorted(vms) for cluster, vms in self.told.items()},
            "tallies": tallies,
            "moves": self.moves.saved(),
            "boot": _boot(),
            "waits": self.leases.saved(),
        }
        atomic.write(folder / FILE, json.dumps(document).encode())

    def load(self, folder: Path) -> None:
        """Read what an earlier round left; what cannot be read is forgotten."""
        try:
            document = json.loads((folder / FILE).read_bytes())
            self.memories = {int(key): _memory(value) for key, value in document["memories"].items()}
            self.migrations = {int(k): [float(when) for when in v] for k, v in document["migrations"].items()}
            self.told = {int(key): {int(vm) for vm in value} for key, value in document["told"].items()}
            self.tallies = {int(key): Tally(**value) for key, value in document["tallies"].items()}
            self.moves = MoveFailures.restored(document["moves"]) if "moves" in document else MoveFailures()
            if document["boot"] == _boot():  # else its clock began anew
                self.leases.restore(document["waits"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.memories, self.migrations, self.told, self.tallies = {}, {}, {}, {}


def _boot() -> str:
    return BOOT.read_text(encoding="ascii")


def _memory(document: dict[str, dict[str, object]]) -> Memory:
    wanted = {int(host): float(str(since)) for host, since in document["wanted_off"].items()}
    wakes = {int(vm): Wakes(int(value[0]), float(value[1])) for vm, value in document["wakes"].items()}  # type: ignore[index]
    return Memory(wanted, wakes)
