"""What people decided about a host or a cluster: documents of oneadmin that several parts heed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onext import bounds
from onext.oned.documents import Kind


@dataclass(frozen=True, slots=True)
class Order:
    """What a person decided: who, when, and about which incident (the time at which it began).

    `closed`: the host took no VMs before the order either, because somebody had disabled it.
    """

    who: str
    at: float
    incident: float = 0.0
    closed: bool = False


def encode(order: Order) -> Mapping[str, str]:
    """Return an order as a document holds it."""
    times = {"AT": f"{order.at:.3f}", "INCIDENT": f"{order.incident:.3f}"}
    return {"WHO": bounds.words(order.who, 64), **times, "CLOSED": "YES" if order.closed else "NO"}


def decode(values: Mapping[str, str]) -> Order:
    """Read an order; raise ValueError or KeyError."""
    at, incident = bounds.number(values["AT"], 0, 1e12), bounds.number(values["INCIDENT"], 0, 1e12)
    if at is None or incident is None:
        raise ValueError("AT and INCIDENT are times")
    return Order(bounds.words(values["WHO"], 64), at, incident, values.get("CLOSED") == "YES")


MAINTENANCE: Kind[Order] = Kind("maintenance", encode, decode)  # by host: availability leaves it alone
