"""one.vmpool.*."""

from collections.abc import Callable

from sandbox.calls.answers import listing, paged
from sandbox.calls.hosts import chosen
from sandbox.errors import ApiError, InternalError
from sandbox.frontend import FrontEnd
from sandbox.markup import wire
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import PRIMARY_GROUP, Caller
from sandbox.state.names import VMState
from sandbox.state.vm import VM

_ALL, _NOT_DONE = -2, -1


def _chosen(
    front: FrontEnd, caller: Caller, whose: int, page: tuple[int, int], state: int, query: str
) -> list[VM]:
    if whose < PRIMARY_GROUP:
        raise ApiError("Incorrect filter_flag")
    if not _ALL <= state <= VMState.CLONING_FAILURE:
        raise ApiError("Incorrect filter_flag, state")
    if query:
        raise InternalError("JSON query search is not supported by the SQL backend")
    vms = listing(front, caller, front.world.vms, whose)
    if state != _ALL:
        vms = [vm for vm in vms if (vm.state != VMState.DONE if state == _NOT_DONE else vm.state == state)]
    return paged(vms, page)


def _pool(vms: list[VM], chunk: Callable[[VM], bytes]) -> Document:
    return Document([*Document.of("<VM_POOL>"), *map(chunk, vms), *Document.of("</VM_POOL>")])


@call("one.vmpool.info", "iiii?s", reads=True)
def pool_info(
    front: FrontEnd, caller: Caller, whose: int, start: int, end: int, state: int, query: str = ""
) -> Document:
    """Return VMs in short."""
    return _pool(_chosen(front, caller, whose, (start, end), state, query), VM.short_chunk)


@call("one.vmpool.infoextended", "iiii?s", reads=True)
def pool_extended(
    front: FrontEnd, caller: Caller, whose: int, start: int, end: int, state: int, query: str = ""
) -> Document:
    """Return VMs with everything but what was measured."""
    return _pool(_chosen(front, caller, whose, (start, end), state, query), VM.extended_chunk)


@call("one.vmpool.infoset", "sb", reads=True)
def pool_set(front: FrontEnd, caller: Caller, numbers: str, extended: bool) -> Document:  # noqa: FBT001
    """Return the VMs whose ids are in a list."""
    wanted = {int(number) for number in numbers.split(",") if number.strip().isdigit()}
    vms = [vm for vm in listing(front, caller, front.world.vms) if vm.id in wanted]
    return _pool(vms, VM.extended_chunk if extended else VM.short_chunk)


@call("one.vmpool.monitoring", "i?i", reads=True)
def pool_monitoring(front: FrontEnd, caller: Caller, whose: int, seconds: int = -1) -> Document:
    """Return records by VM: all (-1), the last ones (0), those of the last seconds."""
    vms = sorted(listing(front, caller, front.world.vms, whose), key=lambda vm: vm.id)
    records = [wire(xml) for vm in vms for xml in chosen(vm.records, seconds)]
    return Document([*Document.of("<MONITORING_DATA>"), *records, *Document.of("</MONITORING_DATA>")])


@call("one.vmpool.accounting", "iii", reads=True)
def accounting(front: FrontEnd, caller: Caller, whose: int, start: int, end: int) -> Document:
    """Return the stays on hosts that touch a span of time (-1: open), each with its VM."""
    vms = sorted(listing(front, caller, front.world.vms, whose), key=lambda vm: vm.id)
    found = [
        wire(stay.xml()[: -len("</HISTORY>")] + vm.payload() + "</HISTORY>")
        for vm in vms
        for stay in vm.history
        if (end == -1 or stay.stime <= end) and (start == -1 or not stay.etime or stay.etime >= start)
    ]
    return Document([*Document.of("<HISTORY_RECORDS>"), *found, *Document.of("</HISTORY_RECORDS>")])
