"""One call from bytes to bytes: who calls, may it be done now, do it, tell the API hooks."""

import time
from typing import TYPE_CHECKING

from sandbox.errors import FAULT_NO_SUCH_METHOD, FAULT_TYPE, FaultError, InternalError, OnedError
from sandbox.hooks import Event
from sandbox.markup import escape, tag
from sandbox.rpc import wire
from sandbox.rpc.table import Call
from sandbox.rpc.wire import Argument, Chunks, Document, Value
from sandbox.state.access import Caller

if TYPE_CHECKING:
    from sandbox.frontend import FrontEnd

_CONTROL = "sandbox."


class Dispatcher:
    """Answers calls for a front-end."""

    def __init__(self, front: "FrontEnd", calls: dict[str, Call]) -> None:
        self._front, self._calls = front, calls

    def answer(self, body: bytes) -> Chunks:
        """Return the answer to the call in `body`."""
        try:
            method, arguments = wire.request(body)
            return self._call(method, arguments)
        except FaultError as error:
            return wire.fault(error)

    def _call(self, method: str, arguments: list[Argument]) -> Chunks:
        call = self._calls.get(method)
        if call is None:
            raise FaultError(FAULT_NO_SUCH_METHOD, f"Method '{method}' not defined")
        if not arguments or not isinstance(arguments[0], str):
            raise FaultError(FAULT_TYPE, "Not enough parameters")
        if not method.startswith(_CONTROL):
            self._trouble(method)
        caller = None
        try:
            caller = self._front.authentication.authenticate(arguments[0])
            value = self._run(call, caller, call.check(arguments[1:]))
        except OnedError as error:
            self._front.log.write(
                "E",
                "ReM",
                f"Req:0 UID:{caller.uid if caller else '-'} {method} result FAILURE [{method}] {error}",
            )
            self._announce(method, arguments, done=False, value=f"[{method}] {error}")
            return wire.failure(method, error)
        self._announce(method, arguments, done=True, value=value)
        return wire.success(value)

    def _run(self, call: Call, caller: Caller, arguments: list[Argument]) -> Value:
        if call.leader_only and not call.name.startswith(_CONTROL):
            self._front.raft.demand_writable()
        if not call.locked:
            return call.handler(self._front, caller, *arguments)
        with self._front.lock:
            return call.handler(self._front, caller, *arguments)

    def _trouble(self, method: str) -> None:
        """Do what the test asked for: answer late, or not at all."""
        trouble = self._front.trouble
        if trouble.refuses:
            raise ConnectionAbortedError
        if trouble.seconds and method.startswith(trouble.calls):
            time.sleep(trouble.seconds)

    def _announce(self, method: str, arguments: list[Argument], *, done: bool, value: Value) -> None:
        if not self._front.hooks.wanted(method):
            return
        given = ["****", *wire.plain(arguments[1:])]
        out = [
            "true" if done else "false",
            "" if isinstance(value, Document) else wire.plain([value])[0],
            "0",
        ]
        listed = "".join(_parameter(n, "IN", text) for n, text in enumerate(given, 1))
        listed += "".join(_parameter(n, "OUT", text) for n, text in enumerate(out, 1))
        extra = tag("EXTRA", self._extra(method, value) if done else "")
        info = tag("CALL_INFO", tag("RESULT", int(done)) + tag("PARAMETERS", listed) + extra)
        self._front.hooks.happened(Event(method, info, api=True))

    def _extra(self, method: str, value: Value) -> str:
        """Return the object that a call allocated."""
        _, resource, what = method.split(".", 2)
        if what != "allocate" or not isinstance(value, int):
            return ""
        return str(self._front.world.pool(resource).get(value).payload())


def _parameter(number: int, way: str, text: str) -> str:
    return tag("PARAMETER", tag("POSITION", number) + tag("TYPE", way) + tag("VALUE", escape(text)))


class Raft:
    """What the zone believes of this server: 0 SOLO, 1 CANDIDATE, 2 FOLLOWER, 3 LEADER."""

    SOLO, CANDIDATE, FOLLOWER, LEADER = range(4)

    def __init__(self) -> None:
        self.state = self.SOLO
        self.term = 0
        self.cut_off = False  # a leader that is cut off: its writes block

    def demand_writable(self) -> None:
        """Raise what oned answers where it may not write; block where a real one would."""
        while self.cut_off:
            time.sleep(0.05)
        if self.state == self.FOLLOWER:
            raise InternalError("Cannot process request, no leader found")
        if self.state == self.CANDIDATE:
            raise InternalError("Cannot process request, oned cluster in election mode")
