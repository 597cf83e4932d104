"""Where the guest is after the migration, whatever any exit code says: both ends' word made the truth."""

from typing import NamedTuple

from .virsh import State

NOTHING, RESUME_THERE, RESUME_HERE, ASK_AGAIN = "nothing", "resume there", "resume here", "ask again"
_RUNNING = ("running", "idle", "in shutdown", "pmsuspended")


class Outcome(NamedTuple):
    """The driver's exit code, what is to be said, and what is to be done before both are asked again."""

    exit_code: int
    message: str
    remedy: str = NOTHING

    @property
    def migrated(self) -> bool:
        """Tell whether the guest is on the destination."""
        return self.exit_code == 0


def judge(here: State, there: State, stock: int, source: str, destination: str) -> Outcome:
    """Return the truth, from both ends' states and the exit code of OpenNebula's own migrate."""
    failed = stock if stock > 0 else 1
    if here.name in _RUNNING:
        return _stayed(there, failed, source, destination)
    if there.name in _RUNNING:
        return Outcome(0, f"the guest runs on {destination}")
    if there.name == "paused":
        # OpenNebula's own migrate moves a guest with local disks paused, and resumes it last
        remedy = RESUME_THERE if here.name == "absent" else ASK_AGAIN
        return Outcome(0, f"the guest is on {destination}, paused", remedy)
    if here.name == "paused":
        remedy = RESUME_HERE if there.name == "absent" and "user" not in here.reason else NOTHING
        return Outcome(failed, f"the guest is on {source}, paused ({here.reason})", remedy)
    return _gone(here, there, failed, source, destination)


def _stayed(there: State, failed: int, source: str, destination: str) -> Outcome:
    if there.name in _RUNNING:
        both = f"the guest runs on {source} AND on {destination}: stop one of them by hand"
        return Outcome(failed, both)
    return Outcome(failed, f"the guest goes on at {source}", ASK_AGAIN if there.name == "paused" else NOTHING)


def _gone(here: State, there: State, failed: int, source: str, destination: str) -> Outcome:
    if there.name == "unknown":
        return Outcome(failed, f"{destination} does not say whether the guest is there: {there.reason}")
    why = here.reason or "gone"
    return Outcome(failed, f"the guest is neither on {source} ({why}) nor on {destination}")
