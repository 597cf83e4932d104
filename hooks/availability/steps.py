"""What a decision asks for, in order: a record is always written before what it authorises."""

from __future__ import annotations

from dataclasses import dataclass

from hooks.availability.model import Incident
from hooks.availability.vm_states import Course


@dataclass(frozen=True, slots=True)
class Write:
    """Write the record of an incident; nothing after it happens unless the write returned."""

    incident: Incident


@dataclass(frozen=True, slots=True)
class Disable:
    """Disable the host, so that the scheduler places nothing on it."""

    host: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Claim the host, so that power management neither wakes nor switches it."""

    host: int


@dataclass(frozen=True, slots=True)
class Release:
    """End our claim on the host."""

    host: int


@dataclass(frozen=True, slots=True)
class Protect:
    """Lock a VM (level ADMIN) and clear its RESCHED flag: oned restarts UNKNOWN VMs without a proof."""

    host: int
    vm: int


@dataclass(frozen=True, slots=True)
class DropPlan:
    """Delete OneDRS's pending plan of the cluster."""

    host: int
    cluster: int


@dataclass(frozen=True, slots=True)
class Fence:
    """Order the host off, hard; its state is read afterwards."""

    host: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Wake a sleeping host as a spare."""

    host: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start a VM of a dead host on `target`, after the proof of death was read again."""

    host: int
    vm: int
    target: int
    course: Course


@dataclass(frozen=True, slots=True)
class Boot:
    """Resume a VM that was moved to `target` in POWEROFF, after the proof of death was read again."""

    host: int
    vm: int
    target: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Delete a person's confirmation: the host showed life after it."""

    host: int


@dataclass(frozen=True, slots=True)
class Recover:
    """Tell oned that the VM's last step failed, so that it can be started again elsewhere."""

    host: int
    vm: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Resume, on its own host, a VM that monitoring put into POWEROFF."""

    host: int
    vm: int


@dataclass(frozen=True, slots=True)
class MoveBack:
    """Move a VM, live, back to the host that returned."""

    host: int
    vm: int


@dataclass(frozen=True, slots=True)
class Unlock:
    """Remove our own lock from a VM."""

    host: int
    vm: int


@dataclass(frozen=True, slots=True)
class Relock:
    """Set the owner's lock again, which was removed for the restart."""

    host: int
    vm: int
    level: int


@dataclass(frozen=True, slots=True)
class Clean:
    """Compare the host's libvirt, twice, with oned, destroy VMs that run elsewhere, then sync its drivers."""

    host: int


@dataclass(frozen=True, slots=True)
class Back:
    """Read again that the host is back and its record is unchanged: the steps after it require both."""

    host: int
    incident: Incident


@dataclass(frozen=True, slots=True)
class Enable:
    """Enable the host that we disabled."""

    host: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Move the record into the history."""

    host: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """Report something that a person has to know.

    `key` identifies the report, so that it is sent once; empty means its text. It contains nothing that
    tenants choose, and nothing that changes in each round.
    """

    host: int
    text: str
    key: str = ""


Step = (
    Write
    | Disable
    | Hold
    | Release
    | Protect
    | DropPlan
    | Fence
    | Wake
    | Start
    | Boot
    | Withdraw
    | Recover
    | Resume
    | MoveBack
    | Unlock
    | Relock
    | Clean
    | Back
    | Enable
    | Forget
) | Alarm
