"""Which orders about a host the page offers to a caller: those that the worker would accept now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.actions.client import Worker
from gateway.actions.orders import KINDS, AnyOrder, Confirm, Flush, Frame, OnHost, Order, Pause, Resume, name
from gateway.callers import Caller
from gateway.records import Host, Incident
from gateway.refusals import Elsewhere, Invalid, Missing, Refusal
from gateway.short_cache import ShortCache

SECONDS = 5.0  # for which an answer of the worker is used again
_PATIENCE = 5.0  # seconds that a page waits for the worker
_MOST = 256


@dataclass(frozen=True, slots=True)
class Words:
    """The name of an order on the page, and the text above the button that confirms it."""

    label: str
    effect: str


BACK = "back"  # on the page, the second direction of `flush`
WORDS: Mapping[str, Words] = {
    "locate": Words("Locate", "Determines where the host is, and writes it into OpenNebula."),
    "off": Words("Switch off", "Switches the host off. Refused while it has VMs."),
    "drain": Words("Drain and switch off", "Migrates the host's VMs away, then switches it off."),
    "on": Words("Switch on", "Wakes a host that power management switched off."),
    "flush": Words("Empty for maintenance", "Moves the VMs away and takes the host out of service."),
    BACK: Words("Put back into service", "Ends the maintenance of the host."),
    "enroll": Words("Prove off and on", "Switches the empty host off and on, to prove that it wakes."),
    "pause": Words("Pause availability", "Nothing is done about failed hosts of the whole cluster."),
    "resume": Words("Resume availability", "Failed hosts of the cluster are acted on again."),
    "confirm": Words(
        "Confirm that it is off",
        "Only where a person has seen that the host has no power: its VMs start elsewhere, and VMs that still"
        " run on it destroy their disks.",
    ),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """The orders that a person may give about one host.

    `problem` is why there are none, `leader` the address of the server that leads.
    """

    orders: Sequence[str] = ()
    problem: str = ""
    leader: str = ""


def order(action: str, host: Host, fields: Mapping[str, str]) -> Order:
    """Return the order that a form describes; raise Missing for an unknown one, Invalid for wrong fields."""
    if action not in WORDS:
        raise Missing("order not found")
    match action:
        case "pause":
            return Pause(cluster=host.cluster_id)
        case "resume":
            return Resume(cluster=host.cluster_id)
        case "flush" | "back":
            return Flush(host=host.id, undo=action == BACK)
        case "confirm":
            given = {"host": host.id, "incident": fields.get("incident"), "name": fields.get("name")}
            try:
                return msgspec.convert(given, Confirm, strict=False)
            except msgspec.ValidationError:
                raise Invalid("type the name of the host") from None
    kind = KINDS[action]
    assert issubclass(kind, OnHost)
    return kind(host=host.id)


class Offers:
    """Asks the worker, which asks oned with the caller's credential."""

    def __init__(self, worker: Worker, enabled: Collection[str]) -> None:
        self._worker, self._enabled = worker, enabled
        self._known: ShortCache[Offer] = ShortCache(SECONDS, _MOST)

    @property
    def revokes(self) -> bool:
        """Whether users may revoke their tokens."""
        return "revoke" in self._enabled

    async def about(self, caller: Caller, host: Host, incident: Incident | None) -> Offer:
        """Return the orders that a caller may give about a host."""
        possible = self._possible(host, incident)
        if not possible:
            return Offer()
        key = caller.credential.digest, host.id, tuple(possible.values())
        return await self._known.get(key, lambda: self._ask(caller, possible))

    def _possible(self, host: Host, incident: Incident | None) -> Mapping[str, AnyOrder]:
        fields = {"incident": repr(incident.first), "name": host.name} if incident else None
        found: dict[str, AnyOrder] = {}
        for action in WORDS:
            if action == "confirm" and fields is None:
                continue
            one = order(action, host, fields or {})
            if name(one) in self._enabled:
                assert isinstance(one, AnyOrder)
                found[action] = one
        return found

    async def _ask(self, caller: Caller, possible: Mapping[str, AnyOrder]) -> Offer:
        frame = Frame(caller.credential.session, asked=list(possible.values()))
        try:
            _, body = await self._worker.ask(frame, _PATIENCE)
            answers = msgspec.json.decode(body, type=list[bool])
        except Refusal as refusal:
            leader = refusal.origin if isinstance(refusal, Elsewhere) else ""
            return Offer(problem=str(refusal), leader=leader)
        return Offer([one for one, permitted in zip(possible, answers, strict=True) if permitted])
