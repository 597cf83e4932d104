"""one.hook.* and one.hookpool.info."""

import time

from sandbox.calls.answers import change, info, listing, the
from sandbox.errors import FAULT_TYPE, FaultError, InternalError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller
from sandbox.state.hook import Hook, HookError
from sandbox.state.pool_object import ADMIN, CREATE, MANAGE, USE
from sandbox.state.pools import check_name

_EVERY = (-2, -1, -1)


@call("one.hook.allocate", "s")
def allocate(front: FrontEnd, caller: Caller, source: str) -> int:
    """Register a hook."""
    front.world.access.demand(caller, CREATE, "HOOK", None)
    hook = Hook.from_template(front.parse(source))
    check_name(hook.name)
    return front.world.hooks.add(hook).id


@call("one.hook.info", "i?b", reads=True)
def hook_info(front: FrontEnd, caller: Caller, oid: int, decrypt: bool = False) -> Document:  # noqa: ARG001, FBT001, FBT002
    """Return a hook with its log."""
    return info(the(front, caller, front.world.hooks, oid, USE))


@call("one.hook.update", "is?i")
def update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
    """Change a hook; what would not be a hook is refused, and the old one stays."""
    hook = the(front, caller, front.world.hooks, oid, MANAGE)
    before = hook.template.copy()
    change(front, hook, source, mode)
    tried = hook.template.copy()
    tried.put("NAME", hook.name)
    tried.put("TYPE", hook.type)
    tried.put("ON", "CUSTOM")
    try:
        hook.template = Hook.from_template(tried).template
        hook.template.remove("ON")
    except HookError as error:
        hook.template = before
        raise InternalError(f"Cannot update template. {error}") from error
    return oid


@call("one.hook.delete", "i")
def delete(front: FrontEnd, caller: Caller, oid: int) -> int:
    """Remove a hook and its log."""
    front.world.hooks.drop(the(front, caller, front.world.hooks, oid, ADMIN))
    return oid


@call("one.hook.rename", "is")
def rename(front: FrontEnd, caller: Caller, oid: int, name: str) -> int:
    """Give a hook another name."""
    front.world.hooks.rename(the(front, caller, front.world.hooks, oid, MANAGE), name)
    return oid


@call("one.hook.retry", "ii")
def retry(front: FrontEnd, caller: Caller, oid: int, execution: int) -> int:
    """Run an execution of the log once more."""
    hook = the(front, caller, front.world.hooks, oid, MANAGE)
    run = next((run for run in hook.log if run.number == execution), None)
    if run is None:
        raise InternalError("Invalid HookLog body. Arguments not found.")
    front.hooks.retry(hook, run)
    return oid


@call("one.hookpool.info", "?iii", reads=True)
def pool_info(front: FrontEnd, caller: Caller, *given: int) -> Document:
    """Return all hooks, without their logs; before 7.4 the three range arguments must come."""
    if len(given) < len(_EVERY) and front.world.release.pool_ranges:
        raise FaultError(FAULT_TYPE, "Not enough parameters")
    whose, start, end = (*given, *_EVERY[len(given) :])
    hooks = listing(front, caller, front.world.hooks, whose, (start, end))
    return Document.of(f"<HOOK_POOL>{''.join(hook.listed_xml() for hook in hooks)}</HOOK_POOL>")


@call("one.hooklog.info", "iiii", reads=True)
def log_info(front: FrontEnd, caller: Caller, since: int, until: int, oid: int, outcome: int) -> Document:
    """Return executions between two times (-1: any): those that succeeded (1), failed (-1), both (0)."""
    hooks = (
        [the(front, caller, front.world.hooks, oid, USE)]
        if oid >= 0
        else listing(front, caller, front.world.hooks)
    )
    last = until if until >= 0 else time.time() + 1
    shown = {0: (True, False), 1: (True,), -1: (False,)}[max(-1, min(outcome, 1))]
    records = [
        hook.record(run)
        for hook in hooks
        for run in hook.log
        if since <= run.when <= last and (run.code == 0) in shown
    ]
    return Document.of(f"<HOOKLOG>{''.join(records)}</HOOKLOG>")
