"""The table of calls: each is a function of a module in `sandbox.calls` that registers itself here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sandbox.errors import FAULT_TYPE, FaultError
from sandbox.rpc.wire import Argument, Value

Handler = Callable[..., Value]
HandlerT = TypeVar("HandlerT", bound=Handler)

_TYPES: dict[str, type | tuple[type, ...]] = {"i": int, "s": str, "b": bool, "a": list, "d": (int, float)}
_NAMES = {"i": "int", "s": "string", "b": "boolean", "a": "array", "d": "double"}

CALLS: dict[str, "Call"] = {}


@dataclass(frozen=True)
class Call:
    """One call: who does it, the types that must come and those that may."""

    name: str
    handler: Handler
    required: str
    optional: str
    leader_only: bool
    locked: bool

    def check(self, arguments: list[Argument]) -> list[Any]:
        """Return the arguments that the handler gets; FaultError as xmlrpc-c's paramList raises it."""
        if len(arguments) < len(self.required):
            raise FaultError(FAULT_TYPE, "Not enough parameters")
        wanted = (self.required + self.optional)[: len(arguments)]
        for kind, argument in zip(wanted, arguments, strict=False):
            odd = isinstance(argument, bool) and kind != "b"
            if odd or not isinstance(argument, _TYPES[kind]):
                raise FaultError(FAULT_TYPE, f"Parameter that is supposed to be {_NAMES[kind]} is not")
        return arguments[: len(wanted)]


def call(
    name: str, types: str = "", *, reads: bool = False, locked: bool = True
) -> Callable[[HandlerT], HandlerT]:
    """Register a function `(front, caller, *arguments)` as a call; `types` as in `is?b` (after `?` optional).

    A call that only reads is answered by followers too.
    """
    required, _, optional = types.partition("?")

    def register(handler: HandlerT) -> HandlerT:
        CALLS[name] = Call(name, handler, required, optional, leader_only=not reads, locked=locked)
        return handler

    return register
