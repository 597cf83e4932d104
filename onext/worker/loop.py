"""The worker: takes keys from the spool and lets the parts make them so, for ever."""

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
from onext.part import Context, Key, Part, Retry, Underway
from onext.results import FILE, Result, Results
from onext.worker.inbox import Inbox
from onext.worker.leadership import Leadership
from onext.worker.queue import Queue
from onext.worker.renewal import Renewal

ROUND = 60.0  # seconds between sweeps
SOON = 5.0  # seconds until what is under way is looked at again
BREATHER = 4.0  # times as long as the last look took: most of the time is left to others
_TICK = 1.0
_log = logging.getLogger("onext.worker")


@dataclass
class _Crew:
    """A part and its threads."""

    part: Part
    pool: ThreadPoolExecutor
    queue: Queue = field(default_factory=Queue)
    running: dict[Future[str], tuple[tuple[Key, ...], float]] = field(default_factory=dict)
    sweep: Future[list[Key]] | None = None


class Worker:
    """One process for each server: keys in, reconciled objects out."""

    def __init__(self, context: Context, parts: Sequence[Part]) -> None:
        self._renewal = Renewal(context)
        self._inbox = Inbox(context.paths.spool)
        self._inbox.prepare()
        self._results = Results.load(context.paths.state / FILE)
        self._leadership = Leadership()
        self._crews = {
            part.name: _Crew(part, ThreadPoolExecutor(part.threads + 1, part.name)) for part in parts
        }
        self._swept: float | None = None
        self._ready, self._bell = os.pipe()
        os.set_blocking(self._ready, False)
        os.set_blocking(self._bell, False)

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until `stop` says so; what is in work then is finished."""
        wake = os.open(self._inbox.folder / spool.WAKE, os.O_RDWR | os.O_NONBLOCK)
        while not stop():
            self.turn()
            select.select([wake, self._ready], [], [], self._patience())
            for descriptor in (wake, self._ready):
                _drain(descriptor)
        for crew in self._crews.values():
            crew.pool.shutdown(cancel_futures=True)
            self._collect(crew, time.monotonic())
        self._results.save(force=True)

    def turn(self) -> None:
        """Take what came, collect what ended, start what is due."""
        now = time.monotonic()
        for key in self._inbox.take():
            self._accept(key, now)
        for crew in self._crews.values():
            self._collect(crew, now)
        context = self._renewal.look()
        if context is not None:
            self._begin(context, now)
        self._results.save()

    def _begin(self, context: Context, now: float) -> None:
        acts = self._leadership.acts(context)
        may = [
            crew
            for crew in self._crews.values()
            if not context.stopped(crew.part.name) and (acts or not crew.part.leader_only)
        ]
        if self._swept is None or now - self._swept >= ROUND or self._leadership.changed:
            self._sweep(context, may)
            self._swept, self._leadership.changed = now, False
        for crew in may:
            self._start(context, crew, now)

    def idle(self) -> bool:
        """Whether a round was made, and nothing waits or is in work."""
        return self._swept is not None and not any(
            len(crew.queue) or crew.sweep for crew in self._crews.values()
        )

    def _accept(self, key: Key, now: float) -> None:
        crew = self._crews.get(key.part)
        if crew is None:
            _log.error("%s: no such part is installed here; forgotten", key)
            self._inbox.done(key)
        else:
            crew.queue.add(key, now)

    def _sweep(self, context: Context, crews: Sequence[_Crew]) -> None:
        for crew in crews:
            if crew.sweep is None:
                crew.sweep = crew.pool.submit(lambda part: list(part.sweep(context)), crew.part)
                crew.sweep.add_done_callback(self._ring)

    def _found(self, crew: _Crew) -> list[Key]:
        sweep, crew.sweep = crew.sweep, None
        assert sweep is not None
        try:
            return sweep.result()
        except (OnedError, Retry) as error:
            _log.warning("%s: the round is left out: %s", crew.part.name, error)
        except Exception:  # noqa: BLE001 - the outermost edge of a part: the others go on
            _log.exception("%s: the round failed", crew.part.name)
        return []

    def _start(self, context: Context, crew: _Crew, now: float) -> None:
        free = (1 if crew.part.whole_pool else crew.part.threads) - len(crew.running)
        due = crew.queue.due(now)
        batches = [tuple(due)] if crew.part.whole_pool and due else [(key,) for key in due]
        for keys in batches[: max(0, free)]:
            for key in keys:
                crew.queue.start(key)
            future = crew.pool.submit(partial(crew.part.reconcile, context, keys))
            crew.running[future] = (keys, time.time())
            future.add_done_callback(self._ring)

    def _collect(self, crew: _Crew, now: float) -> None:
        if crew.sweep is not None and crew.sweep.done():
            crew.queue.offer(self._found(crew), now)
        for future in [future for future in crew.running if future.done()]:
            keys, began = crew.running.pop(future)
            ok, message = _outcome(crew.part.name, future)
            took = time.time() - began
            for key in keys:
                self._finish(crew, key, Result(began, took, ok, message))
            if isinstance(message, Underway):
                crew.queue.later(keys[0], now + max(SOON, BREATHER * took))

    def _finish(self, crew: _Crew, key: Key, result: Result) -> None:
        if result.ok:
            crew.queue.done(key)
            if not crew.queue.waits(key):
                self._inbox.done(key)
        else:
            delay = crew.queue.failed(key, time.monotonic())
            result = Result(result.at, result.took, ok=False, message=result.message, retry=delay)
            if not self._results.says(key, result.message):  # the same words again and again tell no more
                _log.warning("%s: %s; again in %.0f s, then less often", key, result.message, delay)
        if result.ok and not result.message:
            self._results.forget(key)
        else:
            self._results.record(key, result)

    def _patience(self) -> float:
        dues = [due for crew in self._crews.values() if (due := crew.queue.next_due()) is not None]
        return max(0.0, min([_TICK, *(due - time.monotonic() for due in dues if due > time.monotonic())]))

    def _ring(self, _future: object) -> None:
        with suppress(BlockingIOError):
            os.write(self._bell, b"\n")


def _outcome(part: str, future: Future[str]) -> tuple[bool, str]:
    try:
        return True, future.result()
    except NotFound as error:
        logging.getLogger(f"onext.{part}").info("gone meanwhile: %s", error)
        return True, ""
    except (OnedError, Retry) as error:
        return False, str(error)
    except Exception as error:
        logging.getLogger(f"onext.{part}").exception("failed")
        return False, f"{type(error).__name__}: {error}"


def _drain(descriptor: int) -> None:
    with suppress(BlockingIOError):
        while len(os.read(descriptor, 4096)) == 4096:
            pass
