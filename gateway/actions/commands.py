"""Which command carries out an order: the one that a person would type, with the same checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.actions import rights
from gateway.actions.orders import Confirm, Flush, OnHost, Order, Pause, Resume, Revoke, Snapshot, name

_SHORT, _LONG = 180.0, 4 * 3600.0  # seconds
_WORDS: Mapping[str, tuple[Sequence[str], float]] = {
    "locate": (("geo", "update"), _SHORT),
    "off": (("power", "off"), _LONG),
    "drain": (("power", "off", "--evacuate"), _LONG),
    "on": (("power", "on"), _LONG),
    "enroll": (("power", "enroll"), _LONG),
    "flush": (("host", "flush"), _LONG),
    "pause": (("ha", "pause"), _SHORT),
    "resume": (("ha", "resume"), _SHORT),
    "confirm": (("ha", "confirm"), _SHORT),
    "revoke": (("biscuit", "revoke"), _SHORT),
    "snapshot": (("events", "snapshot", "--hourly"), _SHORT),
}


@dataclass(frozen=True)
class Command:
    """Words behind `onext`, and for how many seconds it may run; nothing in it is secret."""

    words: Sequence[str]
    seconds: float


def of(order: Order) -> Command:
    """Return the command for an order; raise Invalid."""
    words, seconds = _WORDS[name(order)]
    return Command([*words, *_options(order), *_object(order)], seconds)


def _options(order: Order) -> Sequence[str]:
    match order:
        case Flush(undo=True):
            return ["--undo"]
        case Confirm():
            return [f"--name={order.name}", f"--incident={order.incident:.3f}"]
        case Revoke():
            return [f"--id={rights.revocation_id(order.token)}"]
        case _:
            return []


def _object(order: Order) -> Sequence[str]:
    match order:
        case OnHost():
            return [str(order.host)]
        case Pause() | Resume():
            return [str(order.cluster)]
        case Snapshot():
            return [order.sink]
        case _:
            return []
