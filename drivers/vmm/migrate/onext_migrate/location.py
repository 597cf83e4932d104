"""On which host a VM is, from what both libvirts answer, asked until the answer is final."""

import time
from typing import Callable, NamedTuple, Tuple

from .virsh import State

HERE, THERE, BOTH, NOWHERE, UNKNOWN, MOVING = "here", "there", "both", "nowhere", "unknown", "moving"
RUNNING = ("running", "idle", "in shutdown", "pmsuspended", "blocked")
_PAUSE = 0.5  # seconds between two questions


class Location(NamedTuple):
    """Where the VM is, and what the libvirts answered."""

    where: str
    here: State
    there: State

    @property
    def message(self) -> str:
        """Return the states for a log line."""
        return f"source: {_text(self.here)}, destination: {_text(self.there)}"


def locate(here: State, there: State) -> str:
    """Return where the VM is.

    On the destination a VM is "paused (migrating)" while memory arrives, and something else when it has
    arrived; on the source it is paused at the very end, until libvirt removes it.
    """
    if "unknown" in (here.name, there.name):
        return UNKNOWN
    if here.failed_postcopy or there.failed_postcopy:
        return UNKNOWN
    if here.postcopy or there.postcopy or there.incoming:
        return MOVING if here.name != "absent" or there.postcopy else UNKNOWN
    if there.name == "absent":
        return NOWHERE if here.name in ("absent", "crashed") else HERE
    if here.name in RUNNING:
        return BOTH
    return THERE if there.name != "crashed" else NOWHERE


def settle(states: Callable[[], Tuple[State, State]], active: Callable[[], bool], seconds: float) -> Location:
    """Ask until two answers agree and no migration job is active, else after so long it is unknown.

    Post-copy is waited for without an end, and what follows it has as long again.
    """
    end = time.monotonic() + seconds
    last = ""
    while True:
        here, there = states()
        where = locate(here, there)
        final = where not in (UNKNOWN, MOVING) and where == last
        if final and not (where in (HERE, BOTH) and active()):
            return Location(where, here, there)
        if here.postcopy or there.postcopy:
            end = time.monotonic() + seconds
        if time.monotonic() >= end or here.failed_postcopy or there.failed_postcopy:
            return Location(UNKNOWN, here, there)
        last = where
        time.sleep(_PAUSE)


def _text(state: State) -> str:
    return f"{state.name} ({state.reason})" if state.reason else state.name
