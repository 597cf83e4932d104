"""A model of a cloud: what oned believes, what the iron does, and one server's hands in it.

A BMC is reached as in earnest: by an entry of bmc.yaml, through Effects and the driver's own checks of who
answers. Only the child process that would talk to it is played.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from pydantic import SecretStr

from onext.hosts.actions.effects import Effects
from onext.hosts.actions.world import Answer, Failed, Sight
from onext.hosts.bmc import client
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.entry import Entry, Ipmi
from onext.hosts.bmc.protocol import Bmc as BmcOf
from onext.hosts.bmc.protocol import Power
from onext.hosts.bmc.query import query_all
from onext.hosts.claims import HOST_RECORDS, HostRecord, claim_vector, effective, expects
from onext.hosts.model import NOT_OURS, Bmc, Claim, Cluster, Host, Kind, Phase, Record, Vm
from onext.hosts.placement.problem import Size
from onext.oned.documents import Stored
from onext.oned.objects import HostState
from tests.onext.hosts.actions.bmc_model import PASSWORD, PlayedBmc, answers, uuid

SIZE, FLAVOUR = Size(800, 32_768), Size(200, 8192)
START = 1_800_000_000.0
PATIENCE = 8.0
READINGS = {Power.ON: Bmc.ON, Power.OFF: Bmc.OFF, Power.UNKNOWN: Bmc.SILENT}
T = TypeVar("T")


@cache
def entry(number: int, at: int | None = None) -> Entry:
    """Return what bmc.yaml says of a host's BMC; `at`: with the address of another."""
    place = number if at is None else at
    return Ipmi(
        kind="ipmi", address=f"192.0.2.{place + 1}", user=f"onext-{number}", password=SecretStr(PASSWORD),
        uuid=uuid(number),
    )  # fmt: skip


@dataclass
class Machine:
    """A host: what oned believes, and what the iron does."""

    number: int
    state: HostState = HostState.MONITORED
    claim: Claim | None = None
    record: Record = field(default_factory=lambda: Record(proven=START, on_since=0.0))
    on: bool = True
    boots_until: float = 0.0
    stops_at: float = float("inf")
    monitored: float = START
    known: bool = True  # oned has its capacity
    fault: str = ""  # of the BMC: dead, slow, lying, says-off, falters, other, password, stuck
    forged: bool = False  # the template's copy of the claim is `copy`, and not what the document holds
    copy: Claim | None = None
    excluded: str = ""
    operators: str = ""  # an operator switched it off: `new`, and `seen` once somebody could know
    touched: bool = False  # somebody else had a hand in it, so that its state is his
    meddled: bool = False  # somebody opened it while it shut down
    fenced: bool = False
    wild: int = 0
    sleeper: bool = False  # has no BMC: silent when it sleeps
    deaf: bool = False  # its monitoring does not arrive
    asked: int = 0
    intents: dict[tuple[int, int], tuple[Phase, float]] = field(default_factory=dict)

    @property
    def takes_vms(self) -> bool:
        """Whether the scheduler places VMs on it."""
        claim = self.seen()[0]
        free = claim is None or claim.phase in NOT_OURS or not claim.verified
        return self.state is HostState.MONITORED and free

    def seen(self) -> tuple[Claim | None, Record]:
        """Return claim and record as they are read from document and template."""
        name = f"node-{self.number}"
        stored = Stored(self.number, 0, 1, HostRecord(name, self.claim, self.record))
        copy = self.copy if self.forged else self.claim
        return effective(stored, claim_vector(copy) if copy else None, name)

    def write(self, claim: Claim | None, record: Record | None) -> None:
        """Write the document, and the copy in the template."""
        value = HostRecord(f"node-{self.number}", claim, record or self.record)
        read = HOST_RECORDS.decode(HOST_RECORDS.encode(value))
        self.claim, self.record, self.forged = read.claim, read.record, False


@dataclass
class FakeVm:
    """A VM."""

    number: int
    host: int = -1
    kind: Kind = Kind.PENDING


@dataclass
class Cloud:
    """The truth."""

    machines: dict[int, Machine] = field(default_factory=dict)
    vms: dict[int, FakeVm] = field(default_factory=dict)
    now: float = START
    monotonic: float = 0.0
    leader: int = 0
    term: int = 1
    down: bool = False
    mute: bool = False  # oned does the next thing, and its answer comes too late
    swapped: int = -1  # bmc.yaml gives this host and the next each other's address
    forgeries: int = 0
    violations: list[str] = field(default_factory=list)
    did: list[str] = field(default_factory=list)

    def new_vm(self, host: int = -1, kind: Kind = Kind.PENDING) -> None:
        number = max(self.vms, default=-1) + 1
        self.vms[number] = FakeVm(number, host, kind)

    def on(self, host: int) -> list[FakeVm]:
        return [vm for vm in self.vms.values() if vm.host == host]

    def file(self) -> Mapping[int, Entry]:
        """Return what bmc.yaml contains."""
        pair = {self.swapped: self.swapped + 1, self.swapped + 1: self.swapped} if self.swapped >= 0 else {}
        return {number: entry(number, pair.get(number)) for number in range(10)}

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds
        for machine in self.machines.values():
            if machine.on and machine.stops_at <= self.monotonic:
                self._goes_off(machine)
            up = machine.on and machine.boots_until <= self.monotonic and not machine.deaf
            if up and machine.state is not HostState.OFFLINE:
                machine.monitored, machine.known = self.now, True
                if machine.state is HostState.INIT:
                    machine.state = HostState.MONITORED

    def _goes_off(self, machine: Machine) -> None:
        machine.on, machine.stops_at = False, float("inf")
        if self.on(machine.number) and not machine.meddled and not machine.fenced:
            self.violations.append(f"host {machine.number} goes off under its VMs")

    def schedule(self) -> None:
        """Place waiting VMs as the scheduler does."""
        for vm in self.vms.values():
            for machine in self.machines.values():
                open_ = machine.state is HostState.MONITORED and machine.known and machine.on
                if vm.kind is Kind.PENDING and open_ and len(self.on(machine.number)) < 4:
                    vm.host, vm.kind = machine.number, Kind.RUNNING

    def behind(self, address: str) -> Machine | None:
        """Return the machine whose BMC answers at an address."""
        number = int(address.rpartition(".")[2]) - 1
        machine = self.machines.get(number)
        other = machine is not None and machine.fault == "other"
        return self.machines.get((number + 1) % max(1, len(self.machines))) if other else machine


class FakeWorld(Effects):
    """The effects of one server on the cloud; disturbances come between any two of them."""

    def __init__(
        self, cloud: Cloud, server: int, term: int, stale: Cloud | None, disturb: Callable[[int], None]
    ) -> None:
        super().__init__(None, BmcConfig(Path("bmc.yaml"), cloud.file()), server, term)  # type: ignore[arg-type]
        self.cloud, self.stale = cloud, stale
        entries = self.book.entries.values()
        self.named = {(str(one.address), one.user) for one in entries if isinstance(one, Ipmi)}
        self.disturb = disturb
        self.halted = self.fencing = False
        self.min_hosts = 0

    @property
    def cut_off(self) -> bool:
        return (self.cloud.leader, self.cloud.term) != (self.server, self.term)

    def _step(self, host: int, *, writes: bool) -> None:
        self.disturb(host)
        self.cloud.pass_time(0.1)
        if self.cloud.down or (writes and self.cut_off):
            raise Failed("oned does not answer")

    def _answered(self) -> None:
        if self.cloud.mute:
            self.cloud.mute = False
            self.cloud.pass_time(30.0)
            raise Failed("oned does not answer in time")

    def now(self) -> float:
        return self.cloud.now

    def monotonic(self) -> float:
        return self.cloud.monotonic

    def stopped(self) -> bool:
        return self.halted

    def _machine(self, host: int) -> Machine:
        if host not in self.cloud.machines:
            raise Failed(f"there is no host {host}")
        return self.cloud.machines[host]

    @property
    def _seen(self) -> Cloud:
        return self.stale if self.cut_off and self.stale else self.cloud

    def see(self, host: int, *, whole: bool = False) -> Sight:
        self._step(host, writes=False)
        cloud = self._seen
        if host not in cloud.machines:
            raise Failed(f"there is no host {host}")
        machine = cloud.machines[host]
        machine.operators = "seen" if machine.operators else ""
        listed = (vm.number for vm in cloud.on(host) if whole or vm.kind is not Kind.PARKED)
        vms = frozenset(listed)
        capacity = {"TOTAL_CPU": "800"} if machine.known else {}
        return Sight(
            host, f"node-{host}", machine.state, vms, machine.wild, *machine.seen(), capacity, machine.monitored, 100, machine.excluded
        )  # fmt: skip

    def others(self, host: int) -> int:
        return sum(one.takes_vms for number, one in self._seen.machines.items() if number != host)

    def write(
        self, host: int, claim: Claim | None, record: Record | None = None, *, before: Claim | None = None
    ) -> None:
        self._step(host, writes=True)
        machine, me = self._machine(host), (self.server, self.term)
        if not expects(HostRecord("", machine.claim), before):
            raise Failed("another writer has changed its record meanwhile")
        machine.write(claim, record)
        machine.intents.pop(me, None)
        if claim:
            machine.intents[me] = (claim.phase, self.cloud.monotonic)
        self._answered()

    def disable(self, host: int) -> None:
        self._status(host, 1)

    def offline(self, host: int) -> None:
        self._status(host, 2)

    def enable(self, host: int) -> None:
        self._status(host, 0)

    def _status(self, host: int, status: int) -> None:
        self._step(host, writes=True)
        machine = self._machine(host)
        if machine.claim and machine.claim.phase is Phase.HELD:
            self.cloud.violations.append(f"host {host}, held by another part, is put into state {status}")
        if machine.operators == "seen":
            self.cloud.violations.append(f"an operator's host {host} is put into state {status}")
        machine.operators = ""  # what nobody could know is undone
        enabled = HostState.MONITORED if machine.known else HostState.INIT
        machine.state = (enabled, HostState.DISABLED, HostState.OFFLINE)[status]
        machine.known = machine.known and machine.state is not HostState.OFFLINE
        self._answered()

    def migrate(self, number: int, source: int, target: int) -> bool:
        self._step(source, writes=True)
        vm = self.cloud.vms.get(number)
        if (
            vm is None
            or vm.host != source
            or vm.kind is not Kind.RUNNING
            or target not in self.cloud.machines
        ):
            return False
        if len(self.cloud.on(target)) >= 4:
            raise Failed("enforced: no room")
        vm.host = target
        self._answered()
        return True

    def _bmc(self, host: int) -> BmcOf:
        return self.book.bmc(host, timeout=PATIENCE)

    def _told(self, call: Callable[[], T]) -> T:
        with patch.object(client, "ask", partial(answers, self)):
            return call()

    def ask_bmc(self, host: int) -> Answer:
        self.disturb(host)
        machine = self._machine(host)
        if machine.sleeper:
            return Answer(Bmc.ON) if machine.on else Answer(Bmc.SILENT, "no answer")
        return self._told(lambda: super(FakeWorld, self).ask_bmc(host))

    def proves_off(self, host: int) -> bool:
        return not self._machine(host).sleeper

    def switch_bmc(self, host: int, what: str) -> str:
        self.cloud.pass_time(0.5)  # the last look and the switch are one step: nothing can come between
        machine = self._machine(host)
        if machine.sleeper:
            PlayedBmc(self, machine).order("on" if what == "on" else "soft")
            return ""
        return self._told(lambda: super(FakeWorld, self).switch_bmc(host, what))

    def query(self) -> dict[int, Bmc]:
        """Ask all BMCs, as each round does."""
        return {
            host: READINGS[said.power]
            for host, said in self._told(partial(query_all, self.book, 8.0)).items()
        }

    def reachable(self, host: int) -> bool:
        self.disturb(host)
        machine = self._machine(host)
        return machine.on and machine.boots_until <= self.cloud.monotonic

    def sync(self, host: int) -> None:
        self._step(host, writes=False)
        if not self.reachable(host):
            raise Failed("no ssh")
        self.cloud.pass_time(3.0)


def observe(seen: Cloud, world: FakeWorld | None = None) -> Cluster:
    """Put the cloud as decide() sees it; BMCs are asked now, whatever else is `seen`."""
    world = world or FakeWorld(seen, 0, 1, None, lambda _: None)
    bmcs = world.query()
    for machine in seen.machines.values():
        machine.operators = "seen" if machine.operators else ""
    hosts = tuple(
        Host(
            m.number, f"node-{m.number}", m.state, SIZE, bmc=bmcs[m.number], claim=m.seen()[0], record=m.seen()[1],
            wild=m.wild, monitored=m.monitored, excluded=m.excluded,
        )
        for m in seen.machines.values()
    )  # fmt: skip
    vms = tuple(
        Vm(v.number, f"vm-{v.number}", FLAVOUR, v.kind, v.host, since=seen.now - 10)
        for v in seen.vms.values()
    )
    return Cluster(100, "alpha", hosts, vms)
