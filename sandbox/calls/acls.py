"""one.acl.*."""

from sandbox.calls import answers
from sandbox.errors import InternalError, NoExistsError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import ALL, Caller


@call("one.acl.info", reads=True)
def acl_info(front: FrontEnd, caller: Caller) -> Document:
    """Return all rules, to administrators."""
    answers.admin(caller)
    rules = "".join(rule.xml() for rule in front.world.access.rules.values())
    return Document.of(f"<ACL_POOL>{rules}</ACL_POOL>")


@call("one.acl.addrule", "sss?s")
def addrule(front: FrontEnd, caller: Caller, user: str, resource: str, rights: str, zone: str = "") -> int:
    """Add a rule, its parts in hexadecimal, and return its id."""
    answers.admin(caller)
    try:
        bits = [int(part, 16) for part in (user, resource, rights)] + [int(zone, 16) if zone else ALL]
    except ValueError as error:
        raise InternalError(f"Rule is malformed: {error}") from error
    return front.world.access.add(*bits)


@call("one.acl.delrule", "i")
def delrule(front: FrontEnd, caller: Caller, oid: int) -> int:
    """Remove a rule."""
    answers.admin(caller)
    if front.world.access.rules.pop(oid, None) is None:
        raise NoExistsError("ACL", oid)
    return oid
