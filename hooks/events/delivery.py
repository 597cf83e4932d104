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

    def close(self) -> None:
        """Release connections; the next event makes new ones."""


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
    sent, failures, reached = 0, state.failures, 0
    problem = ""
    for event in outbox.pending(sink.name, most):
        try:
            sink.send(event, epoch)
        except Rejected as error:
            outbox.bury(sink.name, event.number, str(error))
        except (Gone, Unavailable) as error:
            problem = str(error)
            _note(outbox, sink.name, reached, 0 if sent else failures, error, now)
            break
        else:
            sent, reached = sent + 1, event.number
    else:
        _acknowledge(outbox, sink.name, reached)
    return Delivered(sent, problem)


def _acknowledge(outbox: Outbox, name: str, reached: int) -> None:
    """Note a whole turn at once: each commit waits for the disk, and a repeated event has an equal id."""
    if reached:
        outbox.acknowledged(name, reached)


def _note(
    outbox: Outbox, name: str, reached: int, failures: int, error: Gone | Unavailable, now: float
) -> None:
    _acknowledge(outbox, name, reached)
    if isinstance(error, Gone):
        outbox.failed(name, failures + 1, 0.0, str(error), stopped=str(error))
    else:
        outbox.failed(name, failures + 1, now + pause(failures, error.after), str(error))


def pause(failures: int, asked: float | None) -> float:
    """Return the seconds until the next attempt after so many failures in a row, at least what was asked."""
    usual = RETRIES[min(failures, len(RETRIES) - 1)]
    return min(_LONGEST_WAIT, max(usual, asked or 0.0))
