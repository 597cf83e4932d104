"""Where the VM is after the migration and what OpenNebula is told: both hosts are asked."""

from typing import NamedTuple

from .location import RUNNING
from .virsh import State

NOTHING, ASK_AGAIN = "nothing", "ask again"
RESUME_THERE, RESUME_HERE, REMOVE_HERE = "resume there", "resume here", "remove here"


class Outcome(NamedTuple):
    """The driver's exit code, what is logged, and what is done before both are asked again."""

    exit_code: int
    message: str
    remedy: str = NOTHING

    @property
    def migrated(self) -> bool:
        """Tell whether the VM is on the destination, complete."""
        return self.exit_code == 0


class Run(NamedTuple):
    """How OpenNebula's own migrate ended, and what it had to do after virsh."""

    stock: int  # its exit code
    source: str
    destination: str
    local: bool  # the disks are copied: it resumes the VM at the end
    snapshots: bool  # before that it copies disks with snapshots again


def judge(here: State, there: State, run: Run) -> Outcome:
    """Return the truth, from both ends' states."""
    failed = max(run.stock, 1)
    if here.postcopy or there.postcopy:
        return _in_postcopy(here, there, failed)
    if here.name in RUNNING:
        return _stayed(there, failed, run)
    if there.name in RUNNING:
        return Outcome(0, f"the VM runs on {run.destination}", _leftover(here))
    if there.name == "paused":
        return _paused_there(here, there, failed, run)
    return (
        _paused_here(here, there, failed, run) if here.name == "paused" else _gone(here, there, failed, run)
    )


def _in_postcopy(here: State, there: State, failed: int) -> Outcome:
    if here.failed_postcopy or there.failed_postcopy:
        return Outcome(failed, "post-copy broke off: a part of the VM's memory is on either host")
    return Outcome(failed, "the VM is in post-copy", ASK_AGAIN)


def _stayed(there: State, failed: int, run: Run) -> Outcome:
    if there.name in RUNNING:
        both = f"the VM runs on {run.source} AND on {run.destination}: stop one of them manually"
        return Outcome(failed, both)
    return Outcome(failed, f"the VM stays on {run.source}", ASK_AGAIN if there.name == "paused" else NOTHING)


def _paused_there(here: State, there: State, failed: int, run: Run) -> Outcome:
    message = f"the VM is on {run.destination}, paused ({there.reason})"
    if there.incoming or here.name == "unknown":
        return Outcome(failed, message, ASK_AGAIN)
    if not run.local:  # OpenNebula leaves a VM paused that was paused before
        return Outcome(0, message, _leftover(here))
    if run.stock and run.snapshots:
        advice = (
            f"{message}, and its disks' snapshots were not copied: {run.source} has the complete disks."
            f" Copy them to {run.destination} (see the rsync above), then `virsh resume` the VM there"
        )
        return Outcome(failed, advice)
    if here.name == "absent":
        return Outcome(0, message, RESUME_THERE)
    if _leftover(here) == REMOVE_HERE:
        return Outcome(0, message, REMOVE_HERE)
    both = f"{message}, and {here.name} on {run.source}: `virsh resume` it there if its disks are complete"
    return Outcome(failed, both)


def _paused_here(here: State, there: State, failed: int, run: Run) -> Outcome:
    remedy = RESUME_HERE if there.name == "absent" and not here.paused_by_a_person else NOTHING
    return Outcome(failed, f"the VM is on {run.source}, paused ({here.reason})", remedy)


def _leftover(here: State) -> str:
    """Tell what to do with a source that libvirt would have removed: virsh died before it could."""
    return REMOVE_HERE if here.name == "paused" else NOTHING


def _gone(here: State, there: State, failed: int, run: Run) -> Outcome:
    if there.name == "unknown":
        return Outcome(
            failed, f"{run.destination} does not answer whether the VM is there: {there.reason}", ASK_AGAIN
        )
    why = here.reason or "gone"
    return Outcome(failed, f"the VM is neither on {run.source} ({why}) nor on {run.destination}")
