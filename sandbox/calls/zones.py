"""one.zone.* and one.zonepool.info: one zone, alone or as a member of a Raft that the test makes up."""

from sandbox.errors import NoExistsError
from sandbox.frontend import FrontEnd
from sandbox.markup import tag, text
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller

_NO_GRPC = "127.0.0.1:1"  # a port where nothing listens


def zone_xml(front: FrontEnd) -> str:
    """Return the only zone."""
    grpc = text("ENDPOINT_GRPC", _NO_GRPC) if front.world.release.grpc else ""
    endpoint = tag("TEMPLATE", text("ENDPOINT", front.layout.endpoint) + grpc)
    head = tag("ID", 0) + tag("NAME", "OpenNebula") + tag("STATE", 0)
    return tag("ZONE", head + endpoint + tag("SERVER_POOL", ""))


@call("one.zone.info", "i?b", reads=True)
def zone_info(front: FrontEnd, _caller: Caller, oid: int, decrypt: bool = False) -> Document:  # noqa: ARG001, FBT001, FBT002
    """Return the zone."""
    if oid != 0:
        raise NoExistsError("zone", oid)
    return Document.of(zone_xml(front))


@call("one.zonepool.info", reads=True)
def pool_info(front: FrontEnd, _caller: Caller) -> Document:
    """Return the zone, as a pool."""
    return Document.of(tag("ZONE_POOL", zone_xml(front)))


@call("one.zone.raftstatus", reads=True)
def raftstatus(front: FrontEnd, _caller: Caller) -> Document:
    """Return what this server believes of itself."""
    raft = front.raft
    alone = raft.state == raft.SOLO
    server = -1 if alone else 0
    index = -1 if alone else 100
    fields = (
        ("SERVER_ID", server),
        ("STATE", raft.state),
        ("TERM", raft.term),
        ("VOTEDFOR", server),
        ("COMMIT", 0 if alone else index),
        ("LOG_INDEX", index),
        ("LOG_TERM", -1 if alone else raft.term),
        ("FEDLOG_INDEX", -1),
    )
    return Document.of(tag("RAFT", "".join(tag(name, value) for name, value in fields)))
