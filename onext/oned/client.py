"""Calls to oned, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from onext.oned import binding, credentials, stream
from onext.oned.connection import Source
from onext.oned.errors import Malformed, refusal
from onext.oned.objects import Cluster, Host, State, Vm
from onext.oned.template import Value, render
from onext.oned.transport import Transport
from onext.paths import Paths
from onext.xml import Element, MalformedXML, parse

_MERGE = 1  # append = 0 would delete what monitoring wrote


class RaftState(State):
    """STATE of one.zone.raftstatus."""

    SOLO = 0
    CANDIDATE = 1
    FOLLOWER = 2
    LEADER = 3


@dataclass(frozen=True)
class Raft:
    """What this server believes of its zone; a leader that is cut off believes it too."""

    server_id: int
    state: RaftState
    term: int

    @property
    def acts(self) -> bool:
        """Whether this server may change anything: SOLO or LEADER."""
        return self.state in (RaftState.SOLO, RaftState.LEADER)


class Oned:
    """A front-end, seen through its XML-RPC API as one user.

    Every call has a deadline and raises a subclass of OnedError.
    """

    def __init__(self, endpoint: str, session: str, timeout: float = 30.0) -> None:
        self.endpoint = endpoint
        self.session = session
        self.timeout = timeout
        transport = Transport(replace(self.source, deadline=timeout))
        self._server = binding.connect(endpoint, session, transport)

    @classmethod
    def connect(cls, paths: Paths, endpoint: str | None = None, timeout: float = 30.0) -> Oned:
        """Return the front-end of this machine, with the credentials of OpenNebula's own commands.

        Raises Unauthenticated without them.
        """
        return cls(endpoint or credentials.endpoint(paths), credentials.session(paths), timeout)

    @property
    def source(self) -> Source:
        """The same front-end and user, for whole pools."""
        return Source(self.endpoint, self.session, read_timeout=self.timeout)

    def call(self, method: str, *arguments: object) -> str | int | bool:
        """Call `one.<method>` and return its value as it came: text (often XML), a number or a truth."""
        return _value(method, binding.request(self._server, method, (self.session, *arguments)))

    def document(self, method: str, *arguments: object) -> Element:
        """Call `one.<method>` and return its XML; raise Malformed without it."""
        text = self.call(method, *arguments)
        try:
            return parse(str(text))
        except MalformedXML as error:
            raise Malformed(f"one.{method}: {error}") from error

    def host(self, host_id: int) -> Host:
        """Return one host; raise NotFound."""
        return Host.of(self.document("host.info", host_id, False))

    def hosts(self) -> list[Host]:
        """Return every host that the user may use."""
        return [Host.of(parse(element)) for element in stream.pool(self.source, "hostpool.info", tag="HOST")]

    def vm(self, vm_id: int) -> Vm:
        """Return one VM; raise NotFound."""
        return Vm.of(self.document("vm.info", vm_id, False))

    def vms(self) -> list[Vm]:
        """Return every VM that is not DONE, whole; who wants little of each reads onext.oned.stream."""
        pool = stream.pool(self.source, "vmpool.infoextended", *stream.ALL_VMS, tag="VM")
        return [Vm.of(parse(element)) for element in pool]

    def clusters(self) -> list[Cluster]:
        """Return every cluster."""
        return [Cluster.of(element) for element in self.document("clusterpool.info")]

    def update_host(self, host_id: int, attributes: Mapping[str, Value]) -> None:
        """Merge `attributes` into a host's template; None removes one."""
        self.call("host.update", host_id, render(attributes), _MERGE)

    def update_vm(self, vm_id: int, attributes: Mapping[str, Value]) -> None:
        """Merge `attributes` into a VM's user template; None removes one."""
        self.call("vm.update", vm_id, render(attributes), _MERGE)

    def update_cluster(self, cluster_id: int, attributes: Mapping[str, Value]) -> None:
        """Merge `attributes` into a cluster's template; None removes one."""
        self.call("cluster.update", cluster_id, render(attributes), _MERGE)

    def raft(self) -> Raft:
        """Return this server's view of the zone."""
        status = self.document("zone.raftstatus")
        return Raft(
            server_id=int(status.findtext("SERVER_ID", "-1")),
            state=RaftState(int(status.findtext("STATE", "1"))),
            term=int(status.findtext("TERM", "0")),
        )

    def version(self) -> str:
        """Return oned's version, such as `7.0.2`."""
        return str(self.call("system.version"))


def _value(method: str, answer: object) -> str | int | bool:
    match answer:
        case [True, (str() | int()) as value, *_]:
            return value
        case [False, str() as message, int() as code, *_]:
            raise refusal(f"one.{method}", message, code)
        case _:
            raise Malformed(f"one.{method}: the answer has not the form [success, value, code]")
