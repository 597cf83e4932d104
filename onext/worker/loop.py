"""The worker: takes events from the spool and lets the parts reconcile what they concern."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from onext import spool
from onext.oned.errors import NotFound, OnedError
from onext.part import Busy, Context, Key, Part, Retry, Underway
from onext.results import FILE, Result, Results
from onext.worker.deliveries import Deliveries, keys, whole
from onext.worker.heartbeat import Heartbeat
from onext.worker.inbox import Inbox, Taken
from onext.worker.leadership import Leadership
from onext.worker.queue import Queue
from onext.worker.renewal import Renewal
from onext.worker.warnings import Warnings

ROUND = 60.0  # seconds between sweeps
SETTLE = 1.25  # seconds without an event after which a part that reads whole pools begins
LONGEST = 5.0  # seconds after the first event in which it begins anyway
SOON = 5.0  # seconds until what is under way is reconciled again
BREATHER = 4.0  # times as long as the last call took: most of the time is left to others
BUSY = 2.0  # seconds until work is tried again that another process was at
_TICK = 1.0
_log = logging.getLogger("onext.worker")


@dataclass(frozen=True)
class _Call:
    """What is in work: its keys, and when it began, for people and for durations."""

    keys: tuple[Key, ...]
    at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)


@dataclass
class _Crew:
    """A part and its threads."""

    part: Part
    pool: ThreadPoolExecutor
    queue: Queue
    running: dict[Future[str], _Call] = field(default_factory=dict)
    sweep: Future[list[Key]] | None = None

    @classmethod
    def of(cls, part: Part) -> _Crew:
        """Return a part with as many threads as it asks for, and one for its sweep."""
        queue = Queue(SETTLE, LONGEST) if part.whole_pool else Queue()
        return cls(part, ThreadPoolExecutor(part.threads + 1, part.name), queue)


class Worker:
    """One process for each server: events in, reconciled objects out."""

    def __init__(self, context: Context, parts: Sequence[Part]) -> None:
        self._ready, self._bell = os.pipe()
        os.set_blocking(self._ready, False)
        os.set_blocking(self._bell, False)
        self._reader = context.reader
        self._renewal = Renewal(context)
        self._heartbeat = Heartbeat(context.paths)
        self._inbox = Inbox(context.paths.spool)
        self._inbox.prepare()
        self._deliveries = Deliveries()
        self._results = Results.load(context.paths.state / FILE)
        self._results.keep(part.name for part in parts)
        self._leadership = Leadership(self._ring)
        self._warnings = Warnings()
        self._crews = {part.name: _Crew.of(part) for part in parts}
        self._swept: float | None = None

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until `stop` returns true; what is in work then is finished."""
        wake = os.open(self._inbox.folder / spool.WAKE, os.O_RDWR | os.O_NONBLOCK)
        try:
            while not stop():
                self.turn()
                select.select([wake, self._ready], [], [], self._patience())
                for descriptor in (wake, self._ready):
                    _drain(descriptor)
        finally:
            os.close(wake)
        for crew in self._crews.values():
            crew.pool.shutdown(cancel_futures=True)
            self._collect(crew, time.monotonic())
        self._leadership.close()
        self._save(force=True)

    def turn(self) -> None:
        """Take what came, collect what ended, start what is due."""
        now = time.monotonic()
        self._heartbeat.beat()
        for item in self._inbox.take():
            self._accept(item, now)
        for crew in self._crews.values():
            self._collect(crew, now)
        context = self._renewal.current()
        if context is not None:
            self._begin(context, now)
        self._save()

    def idle(self) -> bool:
        """Whether a round was made, and nothing waits or is in work."""
        return self._swept is not None and not any(
            len(crew.queue) or crew.sweep for crew in self._crews.values()
        )

    def _begin(self, context: Context, now: float) -> None:
        acts = self._leadership.acts(context)
        may = [
            crew
            for crew in self._crews.values()
            if not context.stopped(crew.part.name) and (acts or not crew.part.leader_only)
        ]
        if self._swept is None or now - self._swept >= ROUND or self._leadership.changed:
            self._reader.expire()
            self._keep_going(context)
            self._sweep(context, may)
            self._swept, self._leadership.changed = now, False
        for crew in may:
            self._start(context, crew, now)

    def _accept(self, item: Taken, now: float) -> None:
        """Hand an event to the parts that it concerns, and let the shared pools know what changed."""
        if item.key is None and item.resource in ("host", "vm"):
            self._reader.changed(item.resource, item.id)
        else:
            self._reader.expire()
        caused = keys(item, [crew.part for crew in self._crews.values()])
        if not caused and item.key is not None:
            _log.error("%s: no such part is installed here; it is ignored", item.file)
        if not self._deliveries.add(item.file, caused, self._in_work):
            self._inbox.done(item.file)
        for key in caused:
            self._crews[key.part].queue.add(key, now)

    def _in_work(self, key: Key) -> bool:
        return self._crews[key.part].queue.in_work(key)

    def _keep_going(self, context: Context) -> None:
        for part in (crew.part for crew in self._crews.values() if crew.part.background is not None):
            try:
                part.background(context)  # type: ignore[misc]  # chosen above
            except Exception:  # noqa: BLE001 - the outermost edge of a part: the others continue
                self._warnings.failure(part.name, "its work in the background did not start")

    def _sweep(self, context: Context, crews: Sequence[_Crew]) -> None:
        for crew in crews:
            if crew.sweep is None:
                with suppress(RuntimeError):  # no thread can be started: the next round tries again
                    crew.sweep = crew.pool.submit(lambda part: list(part.sweep(context)), crew.part)
                    crew.sweep.add_done_callback(self._ring)

    def _found(self, crew: _Crew) -> list[Key]:
        sweep, crew.sweep = crew.sweep, None
        assert sweep is not None
        try:
            return [whole(crew.part, key) for key in sweep.result()]
        except (OnedError, Retry) as error:
            self._warnings.warn(crew.part.name, "this round is skipped: %s", error)
        except Exception:  # noqa: BLE001 - the outermost edge of a part: the others continue
            self._warnings.failure(crew.part.name, "the round failed")
        return []

    def _start(self, context: Context, crew: _Crew, now: float) -> None:
        free = (1 if crew.part.whole_pool else crew.part.threads) - len(crew.running)
        due = crew.queue.due(now)
        batches = [tuple(due)] if crew.part.whole_pool and due else [(key,) for key in due]
        for batch in batches[: max(0, free)]:
            try:
                future = crew.pool.submit(partial(crew.part.reconcile, context, batch))
            except RuntimeError as error:
                self._warnings.warn(crew.part.name, "no thread can be started: %s", error)
                return
            for key in batch:
                crew.queue.start(key)
            crew.running[future] = _Call(batch)
            future.add_done_callback(self._ring)

    def _collect(self, crew: _Crew, now: float) -> None:
        if crew.sweep is not None and crew.sweep.done():
            crew.queue.offer(self._found(crew), now)
        for future in [future for future in crew.running if future.done()]:
            call = crew.running.pop(future)
            batch, took = call.keys, time.monotonic() - call.began
            error = future.exception()
            if isinstance(error, Busy):
                for key in batch:
                    crew.queue.busy(key, now + BUSY)
                continue
            ok, message = _outcome(crew.part.name, future)
            if not ok:
                self._report(crew, batch, message, error)
            for key in batch:
                self._finish(crew, key, Result(call.at, took, ok, message))
            if isinstance(message, Underway):
                crew.queue.later(batch[0], now + max(SOON, BREATHER * took))

    def _report(self, crew: _Crew, batch: Sequence[Key], message: str, error: BaseException | None) -> None:
        """Log a failure once, however many keys it concerns and however often it comes."""
        name = str(batch[0]) if len(batch) == 1 else f"{batch[0]} and {len(batch) - 1} more"
        if error is not None and not isinstance(error, OnedError | Retry):
            self._warnings.failure(crew.part.name, f"{name} failed", error)
        elif not self._results.repeats(batch[0], message):  # a repeated message is not logged
            self._warnings.warn(crew.part.name, f"{name}: %s; tried again, less and less often", message)

    def _finish(self, crew: _Crew, key: Key, result: Result) -> None:
        if result.ok:
            crew.queue.done(key)
            if not crew.queue.waits(key):
                for file in self._deliveries.answered(key):
                    self._inbox.done(file)
        else:
            delay = crew.queue.failed(key, time.monotonic())
            result = Result(result.at, result.took, ok=False, message=result.message, retry=delay)
        if result.ok and not result.message:
            self._results.forget(key)
        else:
            self._results.record(key, result)

    def _save(self, *, force: bool = False) -> None:
        try:
            self._results.save(force=force)
        except OSError as error:  # a full or read-only disk: the results are for people, the work continues
            self._warnings.warn("worker", "the results cannot be kept: %s", error)

    def _patience(self) -> float:
        dues = [due for crew in self._crews.values() if (due := crew.queue.next_due()) is not None]
        return max(0.0, min([_TICK, *(due - time.monotonic() for due in dues if due > time.monotonic())]))

    def _ring(self, _future: object) -> None:
        with suppress(OSError):  # full of rings already, or closed at the end
            os.write(self._bell, b"\n")


def _outcome(part: str, future: Future[str]) -> tuple[bool, str]:
    try:
        return True, future.result()
    except NotFound as error:
        logging.getLogger(f"onext.{part}").info("the object is gone: %s", error)
        return True, ""
    except (OnedError, Retry) as error:
        return False, str(error)
    except Exception as error:  # noqa: BLE001 - the outermost edge of a part; logged with its traceback
        return False, f"{type(error).__name__}: {error}"


def _drain(descriptor: int) -> None:
    with suppress(BlockingIOError):
        while len(os.read(descriptor, 4096)) == 4096:
            pass
