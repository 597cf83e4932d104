"""one.system.*."""

from sandbox.calls import answers
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller


@call("one.system.version", reads=True)
def version(front: FrontEnd, _caller: Caller) -> str:
    """Return the version that this plays."""
    return front.world.release.version


@call("one.system.config", reads=True)
def config(front: FrontEnd, caller: Caller) -> Document:
    """Return oned.conf as XML, to administrators."""
    answers.admin(caller)
    return Document.of(front.configuration.xml())
