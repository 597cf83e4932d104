"""Values of the availability part: hosts, VMs and incidents. Nothing here asks or changes anything.

Times named `since`, `first`, `started`, `fenced` are Unix times of the server that wrote them; ages are
measured by a clock that only advances, because the time of day may jump.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import HostState


class Phase(str, Enum):
    """The step of an incident. Each is written to its record before anything of that step is done."""

    SUSPECT = "suspect"  # the host is disabled, its VMs are locked against OpenNebula's own planners
    CONFIRM = "confirm"  # evidence is collected until CONFIRM_SECONDS have passed
    HELD = "held"  # nothing is done until the named reason ends, or a person decides
    FENCING = "fencing"  # the BMC or fence agent is ordered to power the host off
    FENCED = "fenced"  # a proof of death was found; each restart asks for a fresh one
    EVACUATING = "evacuating"  # VMs restart elsewhere, by priority
    DONE = "done"  # every VM of the list is settled; the host is still down
    RETURNING = "returning"  # the host is back: stale VMs are removed, VMs unlocked, the host enabled


class Action(str, Enum):
    """What happens to a VM of a dead host."""

    MIGRATE = "migrate"  # restart on another host from its disks on shared storage
    RECREATE = "recreate"  # delete and instantiate anew from its images; data on local disks is lost
    LEAVE = "leave"  # wait for its host


class Stage(str, Enum):
    """How far an incident is with one VM."""

    WAITING = "waiting"
    STARTED = "started"  # ordered to start elsewhere
    RUNNING = "running"  # RUNNING elsewhere and ready
    FAILED = "failed"  # all retries are used
    LEFT = "left"  # it stays with its host or its owner, with the reason
    GONE = "gone"  # moved or removed by others


SETTLED = (Stage.RUNNING, Stage.FAILED, Stage.LEFT, Stage.GONE)


@dataclass(frozen=True, slots=True)
class Host:
    """A host as the front-end sees it now.

    `silent` are seconds since our probe or oned's monitoring last reached it. `boot_id` is empty where no
    probe reports it. `claimed`: power management holds the host; `maintenance`: a person does.
    """

    id: int
    name: str
    state: HostState
    silent: float = 0.0
    error: str = ""
    boot_id: str = ""
    rebooted: bool = False  # its boot id differs from that of the instance that ran its VMs
    fence: bool = False  # a BMC or fence agent is configured
    armed: bool = False  # it acknowledged a lease
    claimed: bool = False
    maintenance: bool = False
    bmc: str = ""  # fingerprint of its entry in bmc.yaml
    held: bool = False  # availability holds the claim on it


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM as oned has it now. `host` and `seq` are those of its last history record.

    `parked_by` tells who put a POWEROFF VM into that state: "person", "monitoring", or empty where unknown.
    `service` names OneFlow or OneKS where that owns the VM.
    """

    id: int
    name: str
    host: int
    seq: int
    state: int
    lcm: int
    size: Size = ZERO
    shared: bool = True  # every disk is on shared storage
    pci: bool = False
    lock: int = 0  # level: 0 none, 1 use, 2 manage, 3 admin, 4 all
    resched: bool = False
    parked_by: str = ""
    service: str = ""
    priority: int = 5
    action: Action | None = None
    ready: str = ""
    answers: bool | None = None  # of its readiness check; None where it was not asked


@dataclass(frozen=True, slots=True)
class Entry:
    """One VM of an incident's list: what was found when the incident began, and how far it is."""

    vm: int
    seq: int
    priority: int
    stage: Stage = Stage.WAITING
    attempts: int = 0
    target: int = -1
    tried: tuple[int, ...] = ()  # hosts where a restart failed
    started: float = 0.0
    locked: bool = False  # by us: only our own locks are removed
    owner_lock: int = 0  # level of its owner's lock, which is set again once it runs elsewhere
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """The record that authorises what is done about one host (an OpenNebula document of oneadmin)."""

    host: int
    name: str
    cluster: int
    phase: Phase
    first: float  # when the suspicion began
    since: float  # when this phase began
    server: int = -1
    term: int = 0
    reason: str = ""
    boot_id: str = ""  # of the instance that failed
    error: str = ""  # oned's error text when the incident began
    entries: tuple[Entry, ...] = ()
    disabled: bool = False  # by us: only what we disabled is enabled again
    fencings: int = 0
    fenced: float = 0.0  # when the last order was given
    proof: str = ""  # source and time of the proof, for people; it authorises nothing
    confirmed: str = ""  # who confirmed the death by hand, and when
    bmc: str = ""  # fingerprint of the entry in bmc.yaml whose reports count for this incident
    alarms: tuple[str, ...] = ()  # reasons that were reported already

    def entry(self, vm: int) -> Entry | None:
        """Return the entry of a VM, None where the incident has none."""
        return next((entry for entry in self.entries if entry.vm == vm), None)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster: its hosts, the VMs on them, and what other parts do to it.

    `answering` are hosts that the front-end or a peer reaches. `quiet` are seconds since the last fencing in
    this cluster. `paused` is a person's `onext ha pause`.
    """

    id: int
    name: str
    hosts: tuple[Host, ...]
    vms: tuple[Vm, ...] = ()
    answering: frozenset[int] = frozenset()
    quiet: float = float("inf")
    paused: bool = False
    plan: bool = False  # OneDRS has a plan here
    incidents: Mapping[int, Incident] = field(default_factory=dict)
    unread: frozenset[int] = frozenset()  # VMs that are there and could not be read
    rival: str = ""  # another hook that restarts VMs

    def on(self, host: int) -> tuple[Vm, ...]:
        """Return the VMs whose last history record names this host."""
        return tuple(vm for vm in self.vms if vm.host == host)
