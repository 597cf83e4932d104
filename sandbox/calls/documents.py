"""one.document.* and one.documentpool.info."""

from sandbox.calls.answers import change, document, info, listing, owned, the
from sandbox.errors import InternalError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document as Answer
from sandbox.state.access import Caller
from sandbox.state.document import Document
from sandbox.state.pool_object import CREATE, MANAGE, USE

_LONGEST = 128


@call("one.document.allocate", "si")
def allocate(front: FrontEnd, caller: Caller, source: str, kind: int) -> int:
    """Make a document of a type; without a NAME it is named after its id."""
    template = front.parse(source)
    front.world.access.demand(caller, CREATE, "DOCUMENT", None)
    name = template.get("NAME")
    template.remove("NAME")
    if len(name) > _LONGEST:
        raise InternalError(f"NAME is too long; max length is {_LONGEST} chars.")
    made = front.world.documents.add(owned(Document(name=name, type=kind, template=template), caller))
    made.name = name or f"document-{made.id}"
    return made.id


@call("one.document.info", "i?b", reads=True)
def document_info(front: FrontEnd, caller: Caller, oid: int, _decrypt: bool = False) -> Answer:  # noqa: FBT001, FBT002
    """Return a document."""
    return info(the(front, caller, front.world.documents, oid, USE))


@call("one.document.update", "is?i")
def update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
    """Replace (0) or merge (1) a document's template."""
    return change(front, the(front, caller, front.world.documents, oid, MANAGE), source, mode)


@call("one.document.delete", "i")
def delete(front: FrontEnd, caller: Caller, oid: int) -> int:
    """Remove a document."""
    front.world.documents.drop(the(front, caller, front.world.documents, oid, MANAGE))
    return oid


@call("one.document.clone", "is")
def clone(front: FrontEnd, caller: Caller, oid: int, name: str) -> int:
    """Copy a document under another name."""
    source = the(front, caller, front.world.documents, oid, USE)
    copy = Document(name=name, type=source.type, template=source.template.copy())
    return front.world.documents.add(owned(copy, caller)).id


@call("one.documentpool.info", "iiii", reads=True)
def pool_info(front: FrontEnd, caller: Caller, whose: int, start: int, end: int, kind: int) -> Answer:
    """Return the documents of a type, newest first."""
    pool = front.world.documents
    shown = listing(front, caller, pool, whose, (start, end), only=lambda one: one.type == kind)
    return document(pool.root, shown)
