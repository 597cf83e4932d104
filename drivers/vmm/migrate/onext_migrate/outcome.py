"""Where the guest is after the migration, whatever anybody's exit code says: both ends' word, made into the truth."""

from typing import NamedTuple

from .virsh import State

NOTHING, RESUME_THERE, RESUME_HERE, ASK_AGAIN = "nothing", "resume there", "resume here", "ask again"
_RUNNING = ("running", "idle", "in shutdown", "pmsuspended")


class Outcome(NamedTuple):
    """The driver's exit code, what is to be said, and what is to be done first (then both ends are asked again)."""

    exit_code: int
    message: str
    remedy: str = NOTHING

    @property
    def migrated(self) -> bool:
        """Tell whether the guest is on the destination."""
        return self.exit_code == 0


def judge(here: State, there: State, stock: int, source: str, destination: str) -> Outcome:
    """Return the truth, from both ends' states and the exit code of OpenNebula's own migrate."""
    failed = stock or 1
    if here.name in _RUNNING:
        if there.name in _RUNNING:
            return Outcome(
                failed, f"the guest runs on {source} AND on {destination}: stop one of them by hand"
            )
        return Outcome(
            failed, f"the guest goes on at {source}", ASK_AGAIN if there.name == "paused" else NOTHING
        )
    if there.name in _RUNNING:
        return Outcome(0, f"the guest runs on {destination}")
    if there.name == "paused":
        # OpenNebula's own migrate moves a guest with local disks paused, and resumes it last
        return Outcome(
            0, f"the guest is on {destination}, paused", RESUME_THERE if here.name == "absent" else ASK_AGAIN
        )
    if here.name == "paused":
        remedy = RESUME_HERE if there.name == "absent" and "user" not in here.reason else NOTHING
        return Outcome(failed, f"the guest is on {source}, paused ({here.reason})", remedy)
    if there.name == "unknown":
        said = f"{destination} does not say whether the guest is there: {there.reason}"
        return Outcome(stock if here.name == "absent" else failed, said)
    return Outcome(
        failed, "the guest is neither on {} ({}) nor on {}".format(source, here.reason or "gone", destination)
    )
