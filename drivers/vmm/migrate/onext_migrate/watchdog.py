"""Whether a running migration makes progress: decided from what is observed each second.

A tunnel that dies in mid-stream hangs virsh without an end, so it has to be watched. In post-copy nothing
is ever aborted: half of the VM's memory is on the other side.
"""

from typing import Callable, NamedTuple, Optional

GOOD, REPAIR, ABORT = "good", "mend", "abort"


class Observation(NamedTuple):
    """What is to be seen at one moment (seconds on a monotonic clock)."""

    now: float
    active: bool  # libvirt has a migration job for the VM
    postcopy: Callable[[], bool]  # asked only where a migration would be aborted: it costs the VM's machine
    figures: object  # the job's figures; any change is progress
    received: Optional[int]  # packets that came out of the tunnel, None without a device
    answered: bool  # the far end's reflector answered since the last look
    starting: bool = False  # virsh runs, and no job was seen yet: it may hang in connecting


class Verdict(NamedTuple):
    """What to do, and why."""

    what: str
    why: str = ""


class Watchdog:
    """Remembers when things last moved."""

    def __init__(self, no_progress: float, dead_tunnel: float) -> None:
        self._no_progress, self._dead_tunnel = no_progress, dead_tunnel
        self._figures: object = None
        self._received: Optional[int] = None
        self._progress: Optional[float] = None
        self._alive: Optional[float] = None

    def look(self, sight: Observation) -> Verdict:
        """Judge one moment."""
        if (
            not (sight.active or sight.starting)
            or self._progress is None
            or self._alive is None
            or sight.figures != self._figures
        ):
            self._progress = sight.now
        if self._alive is None or sight.answered or (sight.received or 0) > (self._received or 0):
            self._alive = sight.now
        self._figures, self._received = sight.figures, sight.received
        silent, still = sight.now - self._alive, sight.now - self._progress
        why = ""
        if silent >= self._dead_tunnel:
            why = f"nothing came through the tunnel for {silent:.0f} s"
        elif still >= self._no_progress:
            doing = "progress" if sight.active else "migration job"
            why = f"no {doing} for {still:.0f} s"
        if why and (sight.active or sight.starting) and not sight.postcopy():
            return Verdict(ABORT, why)
        if silent >= self._dead_tunnel / 3:
            return Verdict(REPAIR, f"nothing came through the tunnel for {silent:.0f} s")
        return Verdict(GOOD)
