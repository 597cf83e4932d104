"""What is: the hosts and VMs of one cluster, as values. Nothing here asks or changes anything.

CPU is in hundredths of a core, memory in MiB, times are Unix times, powers are watts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onext.hosts.energy import Curve
from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import HostState


class Phase(str, Enum):
    """How far we are with a host that we claimed."""

    DRAINING = "draining"  # disabled by us, its VMs move away
    CLOSING = "closing"  # offline, checked once more
    STOPPING = "stopping"  # the BMC was, or is about to be, told to switch off
    OFF = "off"  # the BMC confirmed it
    WAKING = "waking"  # the BMC was told to switch on
    RETURNING = "returning"  # on its way back to MONITORED without having been off
    QUARANTINED = "quarantined"  # did not wake often enough: for a person
    LEFT = "left"  # its power was switched outside onext: not touched for a while
    HELD = "held"  # another part (availability, maintenance) works on it


GOING = (Phase.DRAINING, Phase.CLOSING, Phase.STOPPING)
NOT_OURS = (Phase.QUARANTINED, Phase.LEFT)
SHUT = (HostState.OFFLINE, HostState.DISABLED)
OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)  # the scheduler places VMs there
POWER = "power"


@dataclass(frozen=True, slots=True)
class Claim:
    """What was written before a host was touched: at most one for each host, whichever part holds it.

    `server` and `term` tell which front-end acts, `lease` for how many seconds after `since` it may.
    `capacity` is what oned forgets of an OFFLINE host. A claim that is not `verified` by the document of the
    host permits to bring it back into service, and nothing else.
    """

    phase: Phase
    since: float
    server: int = -1
    term: int = 0
    lease: float = 0.0
    reason: str = ""
    capacity: Mapping[str, str] = field(default_factory=dict)
    failures: int = 0
    asked: float = 0.0  # when the BMC was told
    until: float = 0.0  # of LEFT
    hard: bool = False  # powered off hard
    by_hand: bool = False  # a person ordered it: no decision undoes it
    slept: bool = False  # WAKING: it was surely off, so that its waking proves that it can
    opened: bool = False  # WAKING, RETURNING: we made it DISABLED; one that is OFFLINE again is an operator's
    holder: str = POWER  # the part that works on the host: power, availability or maintenance
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """What a host's past tells; `proven` is when off, wake and sync last worked."""

    proven: float = 0.0
    boot_seconds: float = 180.0
    identity: str = ""
    on_since: float = 0.0
    offs: tuple[float, ...] = ()  # times of the last day's switching off
    off_seconds: float = 0.0
    joules: float = 0.0
    wakes: int = 0
    failed_wakes: int = 0


class Bmc(Enum):
    """What a host's BMC reported just now."""

    ON = "on"
    OFF = "off"
    SILENT = "silent"
    NONE = "none"  # no entry in bmc.yaml


class Kind(Enum):
    """What may be done with a VM."""

    RUNNING = "running"  # may move live
    PARKED = "parked"  # POWEROFF or SUSPENDED: bound to its host
    BUSY = "busy"  # any other state on a host: wait
    PENDING = "pending"  # waits for a host


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM. `fixed` states why it cannot move (empty: it can).

    `hosts` are those on which its requirements, datastores and VM group allow it (None: all). VMs that
    share a key in `apart` never share a host; those with one key in `together` share one.
    """

    id: int
    name: str
    size: Size
    kind: Kind
    host: int = -1
    fixed: str = ""
    hosts: frozenset[int] | None = None
    apart: frozenset[str] = frozenset()
    together: str = ""
    group: int = 0
    since: float = 0.0  # of PENDING: when it began to wait
    invalid: bool = False  # it, or its requirements, could not be read: `fixed` states what


@dataclass(frozen=True, slots=True)
class Host:
    """A hypervisor node. `size` is what VMs may use of it (after RESERVED_CPU and RESERVED_MEM)."""

    id: int
    name: str
    state: HostState
    size: Size
    curve: Curve = field(default_factory=Curve)
    bmc: Bmc = Bmc.NONE
    claim: Claim | None = None
    record: Record = field(default_factory=Record)
    excluded: str = ""  # why it is never switched off (empty: it may be)
    monitored: float = 0.0  # when monitoring last came
    wild: int = 0  # VMs that OpenNebula does not know
    sleeper: bool = False  # has no BMC: it can only be suspended
    due: float = float("inf")  # when the next scheduled action of its VMs is due
    pinned: bool = False  # PIN_POLICY = PINNED: takes VMs with pinned CPUs only
    bmc_error: str = ""  # why its BMC is SILENT

    @property
    def takes_vms(self) -> bool:
        """Whether the scheduler places VMs here now."""
        return self.claim_free and self.state in OPEN

    @property
    def claim_free(self) -> bool:
        """Whether no part is at work on it; a claim that no document verifies does not count."""
        return self.claim is None or self.claim.phase in NOT_OURS or not self.claim.verified

    @property
    def by_hand(self) -> bool:
        """Whether a person ordered what is being done with it, or its being off."""
        return self.claim is not None and self.claim.by_hand and self.claim.verified

    def off_seconds(self, now: float) -> float:
        """Return for how long we have had it off, up to now."""
        return self.record.off_seconds + self._asleep(now)

    def joules(self, now: float) -> float:
        """Return what that has saved up to now, all boots subtracted, also the one that is to come."""
        saved = self.curve.saved(self._asleep(now), self.record.boot_seconds)
        return self.record.joules + max(0.0, saved)

    def _asleep(self, now: float) -> float:
        off = self.claim is not None and self.claim.phase is Phase.OFF and self.claim.verified
        return max(0.0, now - self.claim.since) if off and self.claim else 0.0

    @property
    def phase(self) -> Phase | None:
        """Return how far power is with it.

        A claim that no document verifies means that the host is to be brought back where it is shut, and
        nothing where it is in service. A claim of another part is HELD.
        """
        if self.claim is None:
            return None
        if self.claim.verified or self.claim.phase in NOT_OURS:
            return self.claim.phase if self.claim.holder == POWER else Phase.HELD
        if self.state not in SHUT:
            return None
        asleep = self.claim.phase in (Phase.OFF, Phase.WAKING)
        return Phase.WAKING if asleep else Phase.RETURNING


@dataclass(frozen=True, slots=True)
class Cluster:
    """All input of a decision. `held` states why nothing may shrink (empty: it may)."""

    id: int
    name: str
    hosts: tuple[Host, ...]
    vms: tuple[Vm, ...]
    flavours: tuple[Size, ...] = ()  # of oneadmin's templates
    held: str = ""
    migrations: int = 0  # started by us during the last hour
    problems: tuple[str, ...] = ()  # what could not be read, one line for each object

    def on(self, host: int) -> tuple[Vm, ...]:
        """Return the VMs on a host, in any state."""
        return tuple(vm for vm in self.vms if vm.host == host)

    def by_host(self) -> dict[int, list[Vm]]:
        """Group all placed VMs by host; each host has an entry."""
        groups: dict[int, list[Vm]] = {host.id: [] for host in self.hosts}
        for vm in self.vms:
            if vm.host in groups:
                groups[vm.host].append(vm)
        return groups


def total(vms: list[Vm] | tuple[Vm, ...]) -> Size:
    """Sum up the sizes of VMs."""
    return sum((vm.size for vm in vms), ZERO)
