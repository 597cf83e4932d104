"""What may happen in a cloud between any two steps of ours, and to which of its machines."""

from onext.hosts.model import Claim, Kind, Phase, Record
from onext.oned.objects import HostState
from tests.onext.hosts.actions.cloud_model import Cloud, Machine

USUAL = {
    "MODE": "auto",
    "PACK": "yes",
    "MIN_ON_MINUTES": "0",
    "CYCLES_PER_DAY": "48",
    "TARGET_UTILISATION": "100",
}
TEMPLATES: tuple[dict[str, str], ...] = (  # what a delegated manager may write
    USUAL,
    {
        **USUAL,
        "MIN_HOSTS": "0",
        "MAX_PARALLEL_OFF": "1000000",
        "BUFFER_VMS": "0",
        "MAX_DOWN_HOSTS": "1000000",
    },
    {**USUAL, "MODE": "off"},
    {**USUAL, "MODE": "advise", "MIN_HOSTS": "1000000"},
    {**USUAL, "MIN_HOSTS": "-1", "MODE": "automatic", "X": "$(reboot)"},
    {**USUAL, "BUFFER_VMS": "1000", "BUFFER_CPU": "1000000"},
    {**USUAL, "WAKE_TIMEOUT": "60", "PARKED_VMS": "migrate", "MAX_PARALLEL_ON": "1"},
    {**USUAL, "MAX_MIGRATIONS": "0", "BUFFER_GROUPS": "0:1000"},
)
FAULTS = ("dead", "slow", "lying", "says-off", "falters", "other", "password", "stuck")
DISTURBANCES = (
    "arrive", "force", "leave", "park", "resume", "disable", "enable", "offline", "delete", "error", "recover",
    "kill", "takeover", "oned down", "oned up", "oned slow", "jump", "wait", "healthy", "operator off", "press",
    "wild", "stop", "template", "swapped", "forge", "strip", "upgrade", "exclude", "unproven", "held", *FAULTS,
)  # fmt: skip
OFTEN = (
    "force", "park", "wild", "arrive", "kill", "slow", "takeover", "oned slow", "disable", "press", "offline",
    "says-off", "falters", "forge", "upgrade", "held",
)  # fmt: skip
SETTLED = (Phase.OFF, Phase.QUARANTINED, Phase.LEFT)


def to_machine(cloud: Cloud, what: str, machine: Machine) -> None:  # noqa: C901, PLR0912 (a list of what may happen)
    """Let something happen to one host, its BMC or its VMs."""
    host = machine.number
    up = machine.on and machine.boots_until <= cloud.monotonic
    if what == "force" and machine.state is not HostState.OFFLINE and machine.known:
        cloud.new_vm(host, Kind.RUNNING)
    elif what == "park":
        for vm in cloud.on(host)[:1]:
            vm.kind = Kind.PARKED
    elif what == "resume":
        for vm in cloud.on(host):
            vm.kind = Kind.RUNNING
    elif what in ("disable", "enable"):
        asleep = machine.claim is not None and machine.claim.phase is Phase.OFF
        machine.touched, machine.operators = True, "new" if what == "disable" and asleep else ""
        machine.meddled = machine.stops_at < float("inf")
        enabled = HostState.MONITORED if machine.known and up else HostState.INIT
        machine.state = HostState.DISABLED if what == "disable" else enabled
    elif what == "offline":
        _put_offline(machine)
    elif what == "delete" and not cloud.on(host) and len(cloud.machines) > 4:
        del cloud.machines[host]
    elif what == "error" and machine.state is HostState.MONITORED:
        machine.state = HostState.ERROR
    elif what == "recover" and machine.state is HostState.ERROR:
        machine.state = HostState.MONITORED
    elif what == "operator off" and machine.claim is None and not cloud.on(host):
        _put_offline(machine)
        machine.on = False
    elif what == "press" and not machine.on:
        machine.on, machine.touched, machine.boots_until = True, True, cloud.monotonic + 60.0
    elif what == "wild":
        machine.wild = 1 - machine.wild
    elif what == "forge":
        _forge(cloud, machine)
    elif what == "strip":
        machine.forged, machine.copy = True, None
    elif what == "upgrade" and machine.claim and machine.claim.phase is not Phase.HELD:
        machine.forged, machine.copy, machine.claim, machine.record = True, machine.claim, None, Record()
    elif what == "exclude":
        machine.excluded = "" if machine.excluded else "ONEXT_POWER_EXCLUDE is set"
    elif what == "unproven":
        machine.record = Record()
    elif what == "held":
        _held(cloud, machine)
    elif what in FAULTS:
        machine.fault = what
    elif what == "healthy":
        machine.fault, cloud.swapped = "", -1


def _forge(cloud: Cloud, machine: Machine) -> None:
    """Let a manager of the host write a claim into its template: he may have the host woken, nothing else."""
    cloud.forgeries += 1
    phase = list(Phase)[cloud.forgeries % len(Phase)]
    machine.copy = Claim(
        phase, cloud.now - 1, cloud.leader, cloud.term, 120.0, capacity={"TOTAL_CPU": "800"}, asked=1.0,
        by_hand=True, slept=True, opened=cloud.forgeries % 2 == 0,
    )  # fmt: skip
    machine.forged = machine.touched = True
    machine.operators = ""


def _held(cloud: Cloud, machine: Machine) -> None:
    """Let availability take a host that no part works on, or return one that it took."""
    if machine.claim is None and machine.state is HostState.MONITORED:
        machine.claim = Claim(Phase.HELD, cloud.now, holder="availability")
    elif machine.claim and machine.claim.phase is Phase.HELD:
        machine.claim = None


def _put_offline(machine: Machine) -> None:
    """Let an operator put it OFFLINE where oned does not show us that already, or could take it for ours."""
    claim = machine.claim
    ours = claim is not None and claim.phase is not Phase.DRAINING and not claim.opened
    if machine.state is not HostState.OFFLINE and not (ours and claim and claim.phase not in SETTLED):
        machine.state, machine.known = HostState.OFFLINE, False
        machine.operators, machine.touched = "new", True
