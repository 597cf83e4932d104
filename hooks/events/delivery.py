"""How a sink is served: in order, at least once, with the retries of Standard Webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hooks.events.outbox import Outbox
from hooks.events.stored import Event

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

    @property
    def name(self) -> str:
        """Return the name in the settings."""

    def send(self, event: Event, epoch: int) -> None:
        """Return when the sink has the event for good; raise Unavailable, Gone or Rejected."""

    def close(self) -> None:
        """Release connections; the next event makes new ones."""


@runtime_checkable
class Together(Protocol):
    """A sink that takes several events in one request."""

    def together(self, events: Sequence[Event]) -> int:
        """Return how many of these events the next request takes."""

    def send_together(self, events: Sequence[Event], epoch: int) -> None:
        """Send several events as `send` does one; Rejected means that one of them is refused."""


@runtime_checkable
class Asking(Protocol):
    """A sink whose receiver may ask for a snapshot."""

    @property
    def asks(self) -> bool:
        """Return whether the receiver's last answer asked for one."""


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
    receiver, sent, failures, reached = sink, 0, state.failures, 0
    waiting = list(outbox.pending(sink.name, most))
    while waiting:
        group, waiting = _group(sink, waiting)
        try:
            _send(sink, group, epoch)
        except Rejected as error:
            if len(group) > 1:  # one of them: each goes alone
                waiting, sink = [*group, *waiting], _OneByOne(sink)
                continue
            outbox.bury(sink.name, group[0].number, str(error))
        except (Gone, Unavailable) as error:
            _acknowledge(outbox, receiver, reached)
            _note(outbox, sink.name, 0 if sent else failures, error, now)
            return Delivered(sent, str(error))
        else:
            sent, reached = sent + len(group), group[-1].number
    _acknowledge(outbox, receiver, reached)
    return Delivered(sent)


def _group(sink: Sink, waiting: Sequence[Event]) -> tuple[Sequence[Event], list[Event]]:
    """Return the events of the next request, and the others."""
    size = max(1, sink.together(waiting)) if isinstance(sink, Together) else 1
    return waiting[:size], list(waiting[size:])


def _send(sink: Sink, group: Sequence[Event], epoch: int) -> None:
    if len(group) > 1 and isinstance(sink, Together):
        sink.send_together(group, epoch)
    else:
        sink.send(group[0], epoch)


@dataclass
class _OneByOne:
    """A sink that refused a group: for the rest of the turn each event is sent alone."""

    sink: Sink

    @property
    def name(self) -> str:
        """Return the sink's name."""
        return self.sink.name

    def send(self, event: Event, epoch: int) -> None:
        """Send one event."""
        self.sink.send(event, epoch)

    def close(self) -> None:
        """Release the sink's connections."""
        self.sink.close()


def _acknowledge(outbox: Outbox, receiver: Sink, reached: int) -> None:
    """Note a whole turn at once: each commit waits for the disk, and a repeated event has an equal id."""
    if reached:
        if isinstance(receiver, Asking):
            outbox.ask(receiver.name, wanted=receiver.asks)
        outbox.acknowledged(receiver.name, reached)


def _note(outbox: Outbox, name: str, failures: int, error: Gone | Unavailable, now: float) -> None:
    if isinstance(error, Gone):
        outbox.failed(name, failures + 1, 0.0, str(error), stopped=str(error))
    else:
        outbox.failed(name, failures + 1, now + pause(failures, error.after), str(error))


def pause(failures: int, asked: float | None) -> float:
    """Return the seconds until the next attempt after so many failures in a row, at least what was asked."""
    usual = RETRIES[min(failures, len(RETRIES) - 1)]
    return min(_LONGEST_WAIT, max(usual, asked or 0.0))
