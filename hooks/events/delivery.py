"""How a sink is served: in order, at least once, with the retries of Standard Webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hooks.events.outbox import Event, Outbox

RETRIES = (
    5.0,
    300.0,
    1800.0,
    7200.0,
    18_000.0,
    36_000.0,
    50_400.0,
    72_000.0,
    86_400.0,
)  # seconds, 75 hours in all
MOST_AT_ONCE = 100
_LONGEST_WAIT = 86_400.0


class Unavailable(Exception):
    """The sink did not accept an event now; `after` are the seconds that it asked for, or None."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Gone(Exception):
    """The sink refuses all events until a person resumes it."""


class Rejected(Exception):
    """The sink can never accept this event: it becomes a dead letter, the others follow."""


class Sink(Protocol):
    """Where events go."""

    name: str

    def send(self, event: Event, epoch: int) -> None:
        """Return when the sink has the event for good; raise Unavailable, Gone or Rejected."""


@dataclass(frozen=True)
class Delivered:
    """The outcome of one turn."""

    sent: int
    problem: str = ""


def deliver(outbox: Outbox, sink: Sink, epoch: int, now: float, most: int = MOST_AT_ONCE) -> Delivered:
    """Send what is due to one sink, in order; stop at the first event that it does not accept."""
    state = outbox.sink(sink.name)
    if state.stopped or now < state.next <= now + _LONGEST_WAIT:
        return Delivered(0, state.stopped or state.problem)
    sent, failures = 0, state.failures
    for event in outbox.pending(sink.name, most):
        try:
            sink.send(event, epoch)
        except Rejected as error:
            outbox.bury(sink.name, event.number, str(error))
            continue
        except Gone as error:
            outbox.failed(sink.name, failures + 1, 0.0, str(error), stopped=str(error))
            return Delivered(sent, str(error))
        except Unavailable as error:
            outbox.failed(sink.name, failures + 1, now + pause(failures, error.after), str(error))
            return Delivered(sent, str(error))
        outbox.acknowledged(sink.name, event.number)
        sent, failures = sent + 1, 0
    return Delivered(sent)


def pause(failures: int, asked: float | None) -> float:
    """Return the seconds until the next attempt after so many failures in a row, at least what was asked."""
    usual = RETRIES[min(failures, len(RETRIES) - 1)]
    return min(_LONGEST_WAIT, max(usual, asked or 0.0))
