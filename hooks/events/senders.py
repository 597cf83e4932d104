"""One thread for each sink, so that a slow or dead sink never delays another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hooks.events.database import OutboxError
from hooks.events.delivery import MOST_AT_ONCE, Delivered, Sink, deliver
from hooks.events.epoch import Epoch
from hooks.events.outbox import Outbox
from hooks.events.sinks.configured import Misconfigured
from onext import log

_IDLE = 5.0  # seconds between two checks where nothing wakes the sender
_log = log.get("events")


@dataclass
class Sender:
    """Serves one sink until it is stopped."""

    sink: Sink
    file: Path
    epoch: Epoch
    halted: Callable[[], bool]
    clock: Callable[[], float] = time.time
    idle: float = _IDLE
    _wake: threading.Event = field(default_factory=threading.Event)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _before: threading.Thread | None = None
    _reported: str = ""

    def start(self, before: Sender | None = None) -> None:
        """Start the thread; it sends nothing before that of `before`, its predecessor, has ended."""
        self._before = before._thread if before else None  # noqa: SLF001 - its own kind
        self._thread = threading.Thread(target=self._run, name=f"sink-{self.sink.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for events now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the request that is under way."""
        self._end.set()
        self._wake.set()

    def _run(self) -> None:
        if self._before is not None:
            self._before.join()
            self._before = None
        while not self._end.is_set():
            try:
                self._serve()
            except OutboxError as error:
                self._report(str(error))
            except Exception:  # noqa: BLE001 - the edge of a thread: the next look follows
                _log.exception("sink %s: delivery failed", self.sink.name)
            self._wake.wait(self.idle)
            self._wake.clear()

    def _serve(self) -> None:
        outbox = Outbox(self.file)
        try:
            while self.epoch.may_send and not self._end.is_set() and not self.halted():
                outcome = deliver(outbox, self.sink, self.epoch.number, self.clock(), MOST_AT_ONCE)
                self._report(outcome.problem)
                if not _more(outcome):
                    return
        finally:
            self.sink.close()  # an idle connection would have to be kept alive
            outbox.close()

    def _report(self, problem: str) -> None:
        if problem and problem != self._reported:
            _log.warning("%s", problem)
        elif self._reported and not problem:
            _log.info("sink %s accepts events again", self.sink.name)
        self._reported = problem


def _more(outcome: Delivered) -> bool:
    return outcome.sent == MOST_AT_ONCE and not outcome.problem


@dataclass
class Senders:
    """The senders of all configured sinks; a changed configuration replaces those that it concerns."""

    running: dict[str, tuple[object, Sender]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def follow(self, wanted: Mapping[str, tuple[object, Callable[[], Sender]]]) -> None:
        """Start, replace and stop senders so that they are those wanted: by name, configuration and maker.

        A sink that cannot be used as it is configured is reported once and has no sender.
        """
        for name in [name for name in self.running if name not in wanted]:
            self.running.pop(name)[1].stop()
        for name, (configuration, make) in wanted.items():
            current = self.running.get(name)
            if current is not None and current[0] == configuration:
                continue
            if current is not None:
                current[1].stop()
            try:
                sender = make()
            except Misconfigured as error:
                self.running.pop(name, None)
                if self.refused.get(name) != str(error):
                    _log.error("%s", error)
                self.refused[name] = str(error)
                continue
            self.refused.pop(name, None)
            sender.start(current[1] if current else None)
            self.running[name] = (configuration, sender)

    def wake(self) -> None:
        """Let every sender look for events now."""
        for _, sender in self.running.values():
            sender.wake()

    def stop(self) -> None:
        """End all senders."""
        self.follow({})
