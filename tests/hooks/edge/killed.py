"""Kills a piece of work at its first effect, then at its second, until it has no more."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MOST = 200  # effects


@dataclass
class Kills:
    """Iterating gives the number of each effect; each turn calls `kill` once."""

    effect: int = 0
    _over: bool = False
    _left: int = 0

    def __iter__(self) -> Iterator[int]:
        """Return the number of the effect at which the work is killed next, and at last one that it has not."""
        while not self._over:
            self.effect += 1
            assert self.effect < MOST
            yield self.effect

    @property
    def points(self) -> int:
        """How many effects the work has."""
        return self.effect - 1

    def around(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is killed before and after its effect, when its turn has come."""

        def counted(*words: Any, **names: Any) -> Any:
            self._count()
            found = effect(*words, **names)
            self._count()
            return found

        return counted

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def kill(self, work: Callable[[], object]) -> None:
        """Do the work in a process that is killed at its effect."""
        child = os.fork()
        if child == 0:
            try:
                self._left = self.effect
                work()
            finally:
                os._exit(0)
        self._over = not os.WIFSIGNALED(os.waitpid(child, 0)[1])
