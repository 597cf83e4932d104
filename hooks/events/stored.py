"""What the outbox holds, as values: an event as a sink gets it, and how far a sink is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hooks.events.facts import Object


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event as one sink gets it: `number` is the sink's sequence number."""

    number: int
    id: str
    type: str
    subject: Object
    time: float  # Unix time when the change was found
    late: bool
    facts: Mapping[str, object]
    before: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SinkState:
    """How far a sink is; `next` is the Unix time of the next attempt, `stopped` why none follows."""

    name: str
    last: int
    acknowledged: int
    failures: int = 0
    next: float = 0.0
    stopped: str = ""
    problem: str = ""

    @property
    def lag(self) -> int:
        """Return how many events the sink does not have yet."""
        return self.last - self.acknowledged


def event_of(row: Sequence[object]) -> Event:
    """Return the event of a row of the outbox: number, id, type, kind, object, time, late, facts, before."""
    number, identity, kind, thing, object_id, when, late, facts, before = row
    return Event(
        int(str(number)), str(identity), str(kind), Object(str(thing), int(str(object_id))), float(str(when)),
        bool(late), json.loads(str(facts)), json.loads(str(before)),
    )  # fmt: skip
