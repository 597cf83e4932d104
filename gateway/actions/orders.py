"""The orders of users, each with its bounds, and what is known of one: the types of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from gateway.records import Record
from onext.settings.gateway import ACTIONS

Id = Annotated[int, Meta(ge=0, lt=2**31)]
Key = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
_Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
LARGEST = 96 << 10  # bytes of what the gateway sends to the worker
LARGEST_ANSWER = 256 << 10
KEY = "Idempotency-Key"


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag=str.lower):
    """What a user asks for."""


class OnHost(Order, frozen=True):
    """An order about one host."""

    host: Id


class Locate(OnHost, frozen=True):
    """Determine where a host is. Needs the right HOST MANAGE."""


class Off(OnHost, frozen=True):
    """Switch off a host without VMs, as `onext power off`. Needs the right HOST ADMIN."""


class Drain(OnHost, frozen=True):
    """Migrate a host's VMs away and switch it off, as `onext power off --evacuate`. Needs HOST ADMIN."""


class On(OnHost, frozen=True):
    """Wake a host that was switched off, as `onext power on`. Needs the right HOST ADMIN."""


class Flush(OnHost, frozen=True):
    """Empty a host for maintenance, or put it back (`undo`), as `onext host flush`. Needs HOST ADMIN."""

    undo: bool = False


class Enroll(OnHost, frozen=True):
    """Prove that an empty host goes off and wakes, as `onext power enroll`. For the group oneadmin."""


class Pause(Order, frozen=True):
    """Pause availability in a cluster, as `onext ha pause`. For the group oneadmin."""

    cluster: Id


class Resume(Order, frozen=True):
    """End a pause of availability, as `onext ha resume`. For the group oneadmin."""

    cluster: Id


class Revoke(Order, frozen=True):
    """Refuse a biscuit and all that derive from it, as `onext biscuit revoke`. For its user, and oneadmin."""

    token: Annotated[str, Meta(min_length=1, max_length=16 << 10, pattern=r"^[A-Za-z0-9_=-]+$")]


class Confirm(OnHost, frozen=True):
    """Confirm that a host is off, as `onext ha confirm`. For oneadmin, just logged in.

    `incident` is the `first` of the host's incident in `/v1/ha`, `name` the host's name, typed.
    """

    incident: Annotated[float, Meta(gt=0, lt=1e12)]
    name: _Name


class Snapshot(Order, frozen=True):
    """Send a sink of events the whole state, once an hour. For its `receiver`, and the group oneadmin."""

    sink: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


AnyOrder = Locate | Off | Drain | On | Flush | Enroll | Pause | Resume | Revoke | Confirm | Snapshot
KINDS: Mapping[str, type[Order]] = {kind.__name__.lower(): kind for kind in get_args(AnyOrder)}
assert set(KINDS) == set(ACTIONS)


class Result(Record, frozen=True):
    """An order and how far it is: running, done, failed, or interrupted by an end of the worker."""

    id: str
    action: str
    target: str
    user: str
    state: str
    began: float
    ended: float | None
    output: list[str]


class Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the gateway sends: the caller's credential, and an order, its id, or orders to check."""

    credential: Annotated[str, Meta(min_length=3, max_length=24 << 10)]
    order: AnyOrder | None = None
    key: Key | None = None
    result: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")] | None = None
    asked: Annotated[list[AnyOrder], Meta(max_length=16)] = []  # which of them the caller may give

    def __repr__(self) -> str:
        return "Frame(…)"  # it holds a password


ORDERS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyOrder)
FRAMES: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def name(order: Order) -> str:
    """Return the action of an order."""
    return type(order).__name__.lower()


def target(order: Order) -> str:
    """Return what an order is about, for people; a token is not shown."""
    match order:
        case OnHost():
            return f"host {order.host}"
        case Pause() | Resume():
            return f"cluster {order.cluster}"
        case Snapshot():
            return f"sink {order.sink}"
        case _:
            return "token"
