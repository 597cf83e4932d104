"""One node with a watchdog, two front-ends and the network between them, on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Self

from hooks.availability.lease import challenges
from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.exchange import Peer
from hooks.availability.lease.granter import Granter, Zone
from hooks.availability.lease.grants import ARMED, Armed, Arming
from hooks.availability.lease.keys import Secret
from hooks.availability.lease.ledger import Ledger, Status
from hooks.availability.lease.onext_lease import daemon as node_daemon
from hooks.availability.lease.onext_lease.daemon import Daemon, Node
from hooks.availability.lease.onext_lease.lease import Lease
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from tests.onext.hosts.document_pool import DocumentPool

LEASE, WATCHDOG, HOST, STEP = 60.0, 10.0, 7, 0.5
SECRET = Secret(b"k" * 32)
KEY = SECRET.key(HOST, "salt")


class Hardware(Node):
    """A node's watchdog: it resets the machine when it was not fed for its time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def unfit(self) -> str:
        """Return that it can be used."""
        return ""

    def hold(self, seconds: int) -> int:  # noqa: ARG002
        """Start the watchdog."""
        self.feed()
        return int(WATCHDOG * 1000)

    def feed(self) -> None:
        """Feed it, after the pause that the test wants between the check and this."""
        pause, self.world.pause_before_feeding = self.world.pause_before_feeding, 0.0
        boot = self.world.boot
        if pause:
            self.world.stopped = True
            self.world.advance(pause)
            self.world.stopped = False
        if self.world.boot == boot and self.world.on:
            self.world.fed = self.world.time

    def end(self) -> None:
        """Reset at once."""
        self.world.reset()


@dataclass
class World:
    """The truth: one node, its watchdog, two front-ends, and the network between them."""

    time: float = 1000.0
    boot: int = 0
    on: bool = True
    vms: bool = True  # VMs run in this boot
    fed: float | None = None  # None: the watchdog does not tick
    stopped: bool = False  # the daemon, by SIGSTOP
    connected: set[int] = field(default_factory=lambda: {0, 1})  # front-ends that reach the node
    node_drift: float = 0.0
    leader: int = 0
    pause_before_feeding: float = 0.0
    mail: list[tuple[float, int, bytes]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    daemon: Daemon | None = None
    sessions: int = 0
    returns_after: float = 1e9
    off_since: float = 0.0

    def node_clock(self) -> int:
        """Return the node's CLOCK_BOOTTIME in ms."""
        return int((self.time - 500) * 1000 * (1 + self.node_drift))

    def start_daemon(self) -> None:
        """Start the daemon anew; the watchdog of this boot, fed by the kernel at its closing, ticks on."""
        if self.daemon is not None and self.daemon.lease.held:
            self.fed = self.time
        self.sessions += 1
        lease = Lease(HOST, KEY, f"{self.sessions:032x}", f"{self.boot:036x}")
        self.daemon, self.stopped = Daemon(Hardware(self), lease), False

    def reset(self) -> None:
        """End this boot and everything in it."""
        self.on, self.vms, self.fed, self.daemon = False, False, None, None
        self.boot, self.off_since = self.boot + 1, self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.time + seconds
        while self.time < end:
            self.time = min(end, self.time + STEP)
            if self.on and self.fed is not None and self.time - self.fed >= WATCHDOG:
                self.reset()
            if not self.on and self.time - self.off_since > self.returns_after:
                self.on = True
                self.start_daemon()
            self._deliver()
            self.tell(None)

    def _deliver(self) -> None:
        due = [data for when, sender, data in self.mail if when <= self.time and sender in self.connected]
        self.mail = [one for one in self.mail if one[0] > self.time]
        for data in due:
            self.tell(data)

    def tell(self, data: bytes | None) -> bytes | None:
        """Give the daemon a datagram; VMs start only while its watchdog is held, as its unit requires."""
        if not self.on or self.stopped or self.daemon is None:
            return None
        reply = self.daemon.step(data)
        if self.daemon is not None and self.daemon.lease.held and not self.daemon.lease.ended and self.on:
            self.vms = True
        return reply


class Wire:
    """The exchange of a front-end with the node."""

    def __init__(self, world: World, sender: int, delays: list[float]) -> None:
        self.world, self.sender, self.delays = world, sender, delays

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def ask(self, peers: Mapping[int, Peer]) -> Iterator[tuple[int, Challenge]]:
        """Ask the node."""
        if self.sender not in self.world.connected or HOST not in peers:
            return
        reply = self.world.tell(challenges.hello(KEY, HOST, "n"))
        self.world.advance(self.delays[0])
        challenge = challenges.read(KEY, HOST, "n", reply) if reply is not None else None
        if challenge is not None:
            yield HOST, challenge

    def send(self, peer: Peer, data: bytes) -> None:  # noqa: ARG002
        """Send; it arrives later."""
        self.world.advance(self.delays[1])
        self.world.sent.append(data)
        self.world.mail.append((self.world.time + self.delays[2], self.sender, data))

    def disarm(self, peer: Peer, answered: Challenge, epoch: int) -> Challenge | None:  # noqa: ARG002
        """Order the daemon to feed without grants."""
        data = challenges.disarm(KEY, HOST, answered, epoch, "d")
        reply = self.world.tell(data) if self.sender in self.world.connected else None
        return challenges.read(KEY, HOST, "d", reply) if reply is not None else None


class Raft(DocumentPool):
    """Documents that only the leader can write."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.server = world, 0
        self.before_write: Callable[[], None] = lambda: None

    def call(self, method: str, *arguments: object) -> int:
        """Write, where the zone has this server as its leader."""
        if method == "document.update":
            self.before_write()
        if self.server != self.world.leader:
            raise OnedError("not the leader")
        return super().call(method, *arguments)


class FrontEnd:
    """One front-end's granter; its clock falls behind while it is suspended."""

    def __init__(self, world: World, pool: Raft, number: int, drift: float) -> None:
        self.world, self.pool, self.number, self.drift, self.behind = world, pool, number, drift, 0.0
        self.delays = [0.0, 0.0, 0.0]
        self.restart()

    def clock(self) -> float:
        """Return its CLOCK_MONOTONIC."""
        return self.world.time * (1 + self.drift) - self.behind

    def restart(self) -> None:
        """Start its worker anew."""

        def opened(_names: object) -> Any:
            return Wire(self.world, self.number, self.delays)

        self.granter = Granter(Ledger(LEASE), monotonic=self.clock, open=opened)
        self.zone = Zone(self.pool, self.number, 1, lambda: self.world.time)  # type: ignore[arg-type]

    def round(self, write: float = 0.0) -> None:
        """Run one round of grants; `write`: seconds that pass before oned takes the write."""
        self.pool.server = self.number
        self.pool.locked.clear()
        self.pool.before_write = lambda: self.world.advance(write)
        try:
            self.granter.round(self.zone, SECRET)
        except OnedError:
            return

    def status(self, silent: float = float("inf")) -> Status | None:
        """Return what it takes the lease for now."""
        self.pool.server = self.number
        return self.granter.status(HOST, silent=silent, record=self.zone.grants)

    def expired(self) -> bool:
        """Return whether it takes the lease for a proof of death now."""
        status = self.status()
        return status is not None and status.expired


@dataclass
class Played:
    """The world with both front-ends; the host is to be armed."""

    world: World
    pool: Raft
    fronts: list[FrontEnd]

    @classmethod
    def begin(cls, drift: float = 0.0, returns: float = 1e9) -> Played:
        """Start everything."""
        world = World(node_drift=drift, returns_after=returns)
        node_daemon.now = world.node_clock
        pool = Raft(world)
        armed = Armed(Arming.ARMING, "node", "salt", SECRET.name, 1, 0.0)
        Documents(pool, ARMED).put(HOST, armed, None)  # type: ignore[arg-type]
        made = cls(world, pool, [FrontEnd(world, pool, n, -drift) for n in range(2)])
        world.start_daemon()
        return made

    @property
    def leading(self) -> FrontEnd:
        """Return the front-end that leads the zone."""
        return self.fronts[self.world.leader]

    def work(self, times: int) -> bool:
        """Let the leader grant every 10 s; return whether it found the lease expired, never while VMs run."""
        found = False
        for _ in range(times):
            for _ in range(5):
                self.world.advance(2.0)
                found |= self.holds()
            self.leading.round()
            found |= self.holds()
        return found

    def holds(self) -> bool:
        """Return whether the lease is taken for expired; fail where VMs run."""
        expired = self.leading.expired()
        assert not (expired and self.world.vms), "taken for dead while its VMs run"
        return expired
