"""The child process that talks to BMCs, played: what each answers, who hears a password, what may be done."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from onext.hosts.bmc import client
from onext.hosts.bmc.errors import BmcError, Unreachable, WrongPassword
from onext.hosts.bmc.identity import Reported
from onext.hosts.bmc.job import Job, Order, fulfil
from onext.hosts.bmc.watts import Draw
from onext.hosts.model import Phase
from onext.oned.objects import HostState

if TYPE_CHECKING:
    from tests.onext.hosts.actions.cloud_model import FakeWorld, Machine

BOOT, SHUTDOWN, LEASE = 120.0, 40.0, 120.0
PASSWORD = "one for all"  # as many have it: it alone must not tell machines apart


def uuid(number: int) -> str:
    """Return the UUID of a machine."""
    return f"4c4c4544-0042-3510-8053-b4c04f56{number:04x}"


def answers(world: "FakeWorld", jobs: Iterable[Job], deadline: float) -> dict[int, client.Answer]:
    """Play the child process: what each BMC answers, and who hears a password."""
    jobs = list(jobs)
    return {job.id: {"seconds": 0.1, **_answer(world, job, deadline, len(jobs) == 1)} for job in jobs}


def _answer(world: "FakeWorld", job: Job, deadline: float, alone: bool) -> dict[str, Any]:
    cloud = world.cloud
    if (job.address, job.user) not in world.named or job.password != PASSWORD:
        cloud.violations.append(f"a password of {job.user} is sent to {job.address}, which no entry names so")
    machine = cloud.behind(job.address)
    waits = deadline if alone else 0.0
    if machine is None or machine.fault == "dead":
        cloud.pass_time(waits)
        return _failed(Unreachable("it does not answer"))
    if machine.fault == "password":
        return _failed(WrongPassword("it does not take this user and password"))
    try:
        said = fulfil(job, PlayedBmc(world, machine))
    except BmcError as error:
        return _failed(error)
    if machine.fault == "slow":  # it does what it was told, and reports it too late
        cloud.pass_time(waits)
        return _failed(Unreachable(f"no answer within {deadline} s"))
    return said


def _failed(error: BmcError) -> dict[str, Any]:
    return {"error": type(error).__name__, "reason": str(error)}


class PlayedBmc:
    """A session with the BMC of a machine; each order is judged when it is given."""

    def __init__(self, world: "FakeWorld", machine: "Machine") -> None:
        self.world, self.machine = world, machine

    def power(self) -> str:
        machine = self.machine
        machine.asked += 1
        off = machine.fault == "says-off" or (machine.fault == "falters" and machine.asked % 2)
        return "on" if machine.on and not off else "off"

    def identity(self) -> Reported:
        return Reported(uuid(self.machine.number))

    def order(self, order: Order) -> None:
        machine, cloud = self.machine, self.world.cloud
        judge(self.world, machine, order)
        if machine.fault == "lying" or (machine.fault == "stuck" and order == "soft"):
            return
        if order == "on":
            machine.boots_until = cloud.monotonic + BOOT if not machine.on else machine.boots_until
            machine.on, machine.stops_at = True, float("inf")
        elif machine.on:
            machine.stops_at = cloud.monotonic + (SHUTDOWN if order == "soft" else 0.0)
            machine.meddled = False

    def watts(self, *, on: bool) -> Draw:  # noqa: ARG002 - every driver has it
        return Draw()

    def privilege(self) -> bool | None:
        return None

    def close(self) -> None: ...


def judge(world: "FakeWorld", machine: "Machine", order: Order) -> None:
    """Look whether what is done now may be done."""
    cloud, me, number = world.cloud, (world.server, world.term), machine.number
    claim = machine.claim
    say = cloud.violations.append
    cloud.did.append("fence" if world.fencing else order)
    if claim is None or (claim.server, claim.term) != me or claim.holder != "power":
        say(f"server {world.server} switches host {number} {order} without the intent: {claim}")
    if world.fencing:
        machine.fenced = True
        if machine.state is not HostState.ERROR:
            say(f"host {number} is fenced while {machine.state.name}")
        return
    _judge_deciders(world, machine)
    if order == "on" and machine.operators == "seen":
        say(f"an operator's host {number} is woken")
    if order != "on":
        _judge_off(world, machine)


def _judge_deciders(world: "FakeWorld", machine: "Machine") -> None:
    cloud, me = world.cloud, (world.server, world.term)
    for other, (phase, when) in machine.intents.items():
        if other != me and phase in (Phase.STOPPING, Phase.WAKING) and cloud.monotonic - when < LEASE:
            cloud.violations.append(f"host {machine.number} has two deciders: {me} and {other}")


def _judge_off(world: "FakeWorld", machine: "Machine") -> None:
    cloud, number, say = world.cloud, machine.number, world.cloud.violations.append
    if cloud.on(number) or machine.wild:
        say(f"host {number} is switched off with VMs")
    if machine.excluded:
        say(f"host {number} is switched off although it is excluded")
    if not machine.record.proven:
        say(f"host {number} is switched off although it never proved to wake")
    if machine.state is not HostState.OFFLINE:
        say(f"host {number} is switched off while {machine.state.name}")
    if sum(one.takes_vms for one in cloud.machines.values()) < world.min_hosts:
        say(f"host {number} is switched off below MIN_HOSTS")
