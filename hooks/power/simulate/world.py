"""The simulated cluster: hosts that boot and shut down, a scheduler, migrations that take their time.

It does not know the strategy: a steering reads it and calls `wake`, `shut` and `move`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from hooks.power.simulate.weeks import Arrival
from onext.hosts.energy import JOULES_PER_GB, SHUTDOWN_SECONDS, Curve
from onext.hosts.placement.problem import Size

MIB_PER_GB = 1024
MIB_PER_SECOND = 500.0  # of a live migration over 10 Gb/s, with memory being written meanwhile


class Power(Enum):
    """What a simulated host does."""

    ON = "on"
    BOOTING = "booting"
    STOPPING = "stopping"
    OFF = "off"


@dataclass
class Node:
    """A simulated host; `until` ends what it does now, `vms` run on it."""

    id: int
    size: Size
    curve: Curve
    boot_seconds: float
    power: Power = Power.ON
    closed: bool = False  # takes no new VMs
    until: float = 0.0
    on_since: float = -1e9
    offs: tuple[float, ...] = ()
    vms: dict[int, Size] = field(default_factory=dict)
    cpu: int = 0
    memory: int = 0

    @property
    def free(self) -> Size:
        """Return the room that is left."""
        return Size(self.size.cpu - self.cpu, self.size.memory - self.memory)

    def add(self, vm: int, size: Size) -> None:
        """Place a VM here."""
        self.vms[vm] = size
        self.cpu, self.memory = self.cpu + size.cpu, self.memory + size.memory

    def remove(self, vm: int) -> None:
        """Let a VM go."""
        size = self.vms.pop(vm)
        self.cpu, self.memory = self.cpu - size.cpu, self.memory - size.memory

    def watts(self) -> float:
        """Return what it draws now; booting draws the peak."""
        if self.power is Power.OFF:
            return self.curve.off
        return self.curve.peak if self.power is Power.BOOTING else self.curve.at(self.cpu / self.size.cpu)


@dataclass
class Totals:
    """What a week came to; waiting is summed over VMs, in seconds beyond one tick."""

    joules: float = 0.0
    wait: float = 0.0
    migrations: int = 0
    wakes: int = 0
    host_seconds: float = 0.0
    rejected: int = 0


@dataclass
class World:
    """A cluster at one moment of a simulated week."""

    nodes: dict[int, Node]
    now: float = 0.0
    tick: float = 60.0  # how often the scheduler looks: waiting for that counts for no strategy
    places: dict[int, int] = field(default_factory=dict)  # VM -> node
    ends: dict[int, float] = field(default_factory=dict)
    queue: list[tuple[int, Arrival]] = field(default_factory=list)
    moving: dict[int, float] = field(default_factory=dict)  # node -> until when its migrations take
    totals: Totals = field(default_factory=Totals)

    def advance(self, seconds: float) -> None:
        """Let time pass: energy is used, boots and shut-downs end, VMs leave."""
        self.totals.joules += seconds * sum(node.watts() for node in self.nodes.values())
        self.totals.host_seconds += seconds * sum(n.power is not Power.OFF for n in self.nodes.values())
        self.now += seconds
        for node in self.nodes.values():
            self._finish(node)
        for vm in [vm for vm, end in self.ends.items() if end <= self.now and vm in self.places]:
            self.nodes[self.places.pop(vm)].remove(vm)
            del self.ends[vm]

    def _finish(self, node: Node) -> None:
        if node.until > self.now:
            return
        if node.power is Power.BOOTING:
            node.power, node.closed, node.on_since = Power.ON, False, self.now
        elif node.power is Power.STOPPING:
            node.power = Power.OFF

    def schedule(self) -> None:
        """Place waiting VMs, the oldest first, on the fullest host that has room."""
        waiting = []
        for vm, arrival in self.queue:
            open_nodes = (n for n in self.nodes.values() if n.power is Power.ON and not n.closed)
            fits = [node for node in open_nodes if arrival.size.fits(node.free)]
            if not fits:
                waiting.append((vm, arrival))
                continue
            node = min(fits, key=lambda n: (n.free.memory, n.id))
            node.add(vm, arrival.size)
            self.places[vm] = node.id
            self.ends[vm] = self.now + arrival.stays
            self.totals.wait += max(0.0, self.now - arrival.at - self.tick)
        self.queue = waiting

    def wake(self, host: int) -> None:
        """Switch a host on."""
        node = self.nodes[host]
        if node.power is Power.OFF:
            node.power, node.until = Power.BOOTING, self.now + node.boot_seconds
            self.totals.wakes += 1

    def shut(self, host: int) -> None:
        """Shut an empty host down."""
        node = self.nodes[host]
        if node.vms or self.moving.get(host, 0.0) > self.now:
            raise AssertionError(f"host {host} is not empty")
        node.power, node.until, node.closed = Power.STOPPING, self.now + SHUTDOWN_SECONDS, True
        node.offs = (*[when for when in node.offs if self.now - when < 86_400], self.now)

    def move(self, vm: int, target: int) -> None:
        """Migrate a VM live; its source stays busy for as long as its memory takes."""
        source, size = self.nodes[self.places[vm]], self.nodes[self.places[vm]].vms[vm]
        source.remove(vm)
        self.nodes[target].add(vm, size)
        self.places[vm] = target
        seconds = size.memory / MIB_PER_SECOND
        self.moving[source.id] = max(self.now, self.moving.get(source.id, 0.0)) + seconds
        self.totals.migrations += 1
        self.totals.joules += JOULES_PER_GB * size.memory / MIB_PER_GB
