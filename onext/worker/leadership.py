"""Whether this server may change anything."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from onext import atomic
from onext.oned.client import Raft
from onext.oned.errors import OnedError
from onext.part import Context

FILE = "leadership"  # in the state folder: the last answer that differed from the one before
AGE = 5.0  # seconds after which one.zone.raftstatus is asked again
BELIEVED = 10.0  # seconds for which an answer counts while the next one is awaited
_log = logging.getLogger("onext.worker")


class Leadership:
    """Asks oned whether this server is SOLO or LEADER, beside the worker's loop; no answer is a no."""

    def __init__(self, ring: Callable[[object], None] = lambda _: None) -> None:
        self.changed = False  # it just became leader; the loop resets it
        self._ring = ring
        self._pool = ThreadPoolExecutor(1, "leadership")
        self._asking: Future[Raft] | None = None
        self._asked = self._answered = float("-inf")
        self._acts = False
        self._last = ""

    def acts(self, context: Context) -> bool:
        """Return whether this server acts by oned's last answer, a few seconds old at most; never waits."""
        now = time.monotonic()
        before = self._acts
        if self._asking is not None and self._asking.done():
            self._acts, self._answered = self._read(context, self._asking), now
            self._asking = None
        if self._asking is None and now - self._asked >= AGE:
            self._asked = now
            with suppress(RuntimeError):  # no thread can be started: no answer, which is a no
                self._asking = self._pool.submit(lambda: context.oned.raft())  # noqa: PLW0108 - it connects
                self._asking.add_done_callback(self._ring)
        if self._acts and now - self._answered > BELIEVED:
            self._acts = False
            self._note(context, logging.WARNING, "nothing is changed: oned does not answer")
        self.changed |= self._acts and not before
        return self._acts

    def close(self) -> None:
        """Let the thread end; an answer that is awaited is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, context: Context, answer: Future[Raft]) -> bool:
        try:
            raft = answer.result()
        except OnedError as error:
            self._note(context, logging.WARNING, f"nothing is changed: {error}")
            return False
        except Exception as error:  # noqa: BLE001 - whatever is wrong with an answer, it is not a yes
            self._note(context, logging.ERROR, f"nothing is changed: {error}")
            return False
        more = "" if raft.acts else ": nothing is changed here"
        self._note(context, logging.INFO, f"oned reports {raft.state.name}{more}")
        return raft.acts

    def _note(self, context: Context, level: int, message: str) -> None:
        """Log and keep what is new: the same every five seconds would hide everything else."""
        if message != self._last:
            _log.log(level, "%s", message)
            with suppress(OSError):  # a full disk must not end the worker
                context.paths.state.mkdir(parents=True, exist_ok=True)
                atomic.write(context.paths.state / FILE, message.encode())
            self._last = message


def last_answer(context: Context) -> str:
    """Return what oned last answered to the worker, "" before it was ever asked."""
    try:
        return (context.paths.state / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
