"""What controls a simulated cluster: nothing, the approach of common scripts, or our own decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from hooks.power.decide import Leave, Memory, PowerOff, Return, Wake, decide
from hooks.power.policy import Policy
from hooks.power.simulate.weeks import FLAVOURS
from hooks.power.simulate.world import Node, Power, World
from onext.hosts.model import Bmc, Claim, Cluster, Host, Kind, Phase, Record, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState


class Steering(Protocol):
    """Reads a world and acts on it, once per round."""

    def steer(self, world: World) -> None:
        """Look and act."""


class AlwaysOn:
    """Every host burns all week."""

    def steer(self, world: World) -> None:
        """Do nothing."""


@dataclass
class Scripts:
    """The approach of scripts that people have: empty hosts only, no migration, a fixed wait after a wake.

    So many times the largest flavour stay free. Where they do not, one host is woken, and for 180 s nothing
    else is decided, whether it is up by then or not.
    """

    spare: int = 1
    pause: float = 180.0
    _blind_until: float = -1.0

    def steer(self, world: World) -> None:
        """Wake one host where the spare is short, else switch off what is empty and not spare."""
        if world.now < self._blind_until:
            return
        nodes = world.nodes.values()
        largest = FLAVOURS[-1]
        up = [n for n in nodes if n.power is Power.ON]
        missing = self.spare - sum(largest.times_in(node.free) for node in up)
        if missing > 0 or world.queue:
            sleeping = next((n for n in nodes if n.power is Power.OFF), None)
            if sleeping:
                world.wake(sleeping.id)
                self._blind_until = world.now + self.pause
            return
        for node in up:
            rest = sum(largest.times_in(n.free) for n in up if n is not node and not n.closed)
            if not node.vms and rest >= self.spare and not node.closed:
                world.shut(node.id)


@dataclass
class Ours:
    """The decide function of this part, over and over."""

    policy: Policy
    flavours: tuple[Size, ...] = FLAVOURS[-1:]
    memory: Memory = field(default_factory=Memory)
    claims: dict[int, Phase] = field(default_factory=dict)
    moves: list[tuple[float, int]] = field(default_factory=list)

    def steer(self, world: World) -> None:
        """Decide on what is, and do it as act/ would."""
        self._settle(world)
        decision = decide(self._cluster(world), self.policy, world.now, self.memory)
        self.memory = decision.memory
        for action in decision.actions:
            node = world.nodes[action.host]
            if isinstance(action, Wake):
                world.wake(node.id)
                self.claims[node.id] = Phase.WAKING
            elif isinstance(action, (Return, Leave)):
                node.closed = False
                self.claims.pop(node.id, None)
            elif isinstance(action, PowerOff):
                self._power_off(world, node, action)

    def _power_off(self, world: World, node: Node, action: PowerOff) -> None:
        self.claims[node.id] = Phase.DRAINING
        node.closed = True
        for move in action.moves:
            for vm in move.vms:
                world.move(vm, move.target)
                self.moves.append((world.now, 1))
        if not node.vms and world.moving.get(node.id, 0.0) <= world.now:
            world.shut(node.id)
            self.claims[node.id] = Phase.STOPPING

    def _settle(self, world: World) -> None:
        """Take note of boots and shut-downs that have ended."""
        for node in world.nodes.values():
            if node.power is Power.ON and self.claims.get(node.id) is Phase.WAKING:
                del self.claims[node.id]
            elif node.power is Power.OFF and self.claims.get(node.id) is Phase.STOPPING:
                self.claims[node.id] = Phase.OFF
        self.moves = [move for move in self.moves if world.now - move[0] < 3600]

    def _cluster(self, world: World) -> Cluster:
        vms = [
            Vm(vm, f"VM-{vm}", node.vms[vm], Kind.RUNNING, node.id)
            for node in world.nodes.values()
            for vm in node.vms
        ]
        vms += [
            Vm(vm, f"VM-{vm}", arrival.size, Kind.PENDING, since=arrival.at) for vm, arrival in world.queue
        ]
        hosts = tuple(self._host(world, node) for node in world.nodes.values())
        return Cluster(0, "simulated", hosts, tuple(vms), self.flavours, migrations=len(self.moves))

    def _host(self, world: World, node: Node) -> Host:
        phase = self.claims.get(node.id)
        states = {None: HostState.MONITORED, Phase.DRAINING: HostState.DISABLED}
        return Host(
            node.id,
            f"host-{node.id}",
            states.get(phase, HostState.OFFLINE),
            node.size,
            node.curve,
            Bmc.OFF if node.power is Power.OFF else Bmc.ON,
            Claim(phase, world.now) if phase else None,
            Record(
                proven=world.now or 1.0,
                boot_seconds=node.boot_seconds,
                on_since=node.on_since,
                offs=node.offs,
            ),
            monitored=world.now,
        )
