"""What rounds remember of each cluster, on this server: it can be lost, then switching off waits longer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hooks.power.act.hand import Leases
from hooks.power.decide import Decision, Memory
from hooks.power.demand import Wakes
from hooks.power.model import Cluster
from hooks.power.policy import Policy
from onext import atomic

FILE = "power.json"
LONGEST_PAUSE = 600.0


@dataclass
class Tally:
    """What this server has counted of a cluster: migrations begun, seconds in which the buffer was short."""

    migrations: int = 0
    short_seconds: float = 0.0
    looked: float = 0.0

    def look(self, now: float, migrations: int, *, short: bool) -> None:
        """Count one round; a pause of more than ten minutes, or a clock set back, is not counted."""
        passed = now - self.looked if self.looked else 0.0
        if short and 0 < passed < LONGEST_PAUSE:
            self.short_seconds += passed
        self.migrations += migrations
        self.looked = now


@dataclass
class Minds:
    """Memories by cluster, the times of our migrations, the VMs that were told why they wait."""

    memories: dict[int, Memory] = field(default_factory=dict)
    migrations: list[float] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    tallies: dict[int, Tally] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)
    seen: dict[int, tuple[Cluster, Policy, Decision, float]] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write what another process of this server may go on with."""
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
            "told": sorted(self.told),
            "tallies": tallies,
        }
        atomic.write(folder / FILE, json.dumps(document).encode())

    def load(self, folder: Path) -> None:
        """Read what an earlier round left; what cannot be read is forgotten."""
        try:
            document = json.loads((folder / FILE).read_bytes())
            self.memories = {int(key): _memory(value) for key, value in document["memories"].items()}
            self.migrations = [float(when) for when in document["migrations"]]
            self.told = {int(vm) for vm in document["told"]}
            self.tallies = {int(key): Tally(**value) for key, value in document["tallies"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.memories, self.migrations, self.told, self.tallies = {}, [], set(), {}


def _memory(document: dict[str, dict[str, object]]) -> Memory:
    wanted = {int(host): float(str(since)) for host, since in document["wanted_off"].items()}
    wakes = {int(vm): Wakes(int(value[0]), float(value[1])) for vm, value in document["wakes"].items()}  # type: ignore[index]
    return Memory(wanted, wakes)
