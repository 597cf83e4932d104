"""What a round leaves behind: files that can be made again, memory of moves, one report of each problem."""

from __future__ import annotations

from collections.abc import Callable

from hooks.power.round_state import RoundState
from onext import log
from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.effects import Effects
from onext.hosts.model import Cluster
from onext.hosts.notify import VmEvent

MOST_PROBLEMS = 10  # lines of log for what is new in one round
_log = log.get("power")
_unwritten: dict[str, str] = {}


def keep(what: str, write: Callable[[], object]) -> None:
    """Write something that can be made again; a full or read-only disk must not stop what hosts need.

    A failure is logged once until the write succeeds.
    """
    try:
        write()
    except OSError as error:
        reason = f"{what} of power: {error.filename or 'a file'} is not written: {error.strerror}"
        if _unwritten.get(what) != reason:
            _log.warning("%s", reason)
        _unwritten[what] = reason
    else:
        _unwritten.pop(what, None)


def remember_moves(cluster: Cluster, acting: Actuator, state: RoundState, now: float) -> None:
    """Keep which VMs were not moved, and tell people of each once."""
    failed = state.moves.look(cluster, now)
    if isinstance(acting.world, Effects):
        state.moves.began(acting.world.moved, now)
    failed |= {vm: why for vm, why in acting.refused.items() if state.moves.note(vm, why, now)}
    names = {vm.id: vm.name for vm in cluster.vms}
    for vm, why in failed.items():
        acting.tell(VmEvent(vm, names.get(vm, ""), "not-moved", why))


def report_problems(cluster: Cluster, state: RoundState) -> None:
    """Log what of a cluster cannot be read: what is new, and not more than a few lines."""
    known = state.problems.get(cluster.id, frozenset())
    fresh = [problem for problem in cluster.problems if problem not in known]
    for problem in fresh[:MOST_PROBLEMS]:
        _log.warning("cluster %d: %s", cluster.id, problem)
    if len(fresh) > MOST_PROBLEMS:
        _log.warning("cluster %d: %d more objects cannot be read", cluster.id, len(fresh) - MOST_PROBLEMS)
    state.problems[cluster.id] = frozenset(cluster.problems)
