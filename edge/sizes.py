"""How large a packet may be on the way to each hub and direct peer: measured, and kept as the MTU of a route.

The interface has the largest size, the route of the pool the one that passes everywhere. An address gets a
route of its own once more was seen to pass, by an echo that came back in full size. When that size is not
answered any more, though the small one is, it is swallowed on the way: the small one is used from then on.
"""

import contextlib
import threading
import time
from typing import Any, Callable, Dict, Optional, Set

from edge import direct, overlay, programs
from edge.echoes import Echoes
from edge.errors import CommandFailed
from edge.places import INTERFACE

CHECK = 15.0  # seconds between two echoes of the size that is used
ANEW = 600.0  # seconds until more is tried again
NEAR = 8  # bytes: the search ends when it is this precise
TRIES = 3  # a single echo may be lost for other reasons
WAIT = 1.5  # seconds for an answer
TURN = 2.0  # seconds between two steps


class Size:
    """The way to one address: `good` is used, `bad` is known not to pass."""

    def __init__(self, small: int, most: int) -> None:
        self.small, self.most = small, most
        self.good, self.bad = small, most + 1
        self._trial, self._tries, self._answers = 0, 0, False
        self._next = self._sent = 0.0
        self._anew = time.monotonic() + ANEW

    def step(self, heard: Set[int]) -> Set[int]:
        """Take the sizes that were answered; return those to send."""
        now = time.monotonic()
        self._answers = self._answers or self.small in heard
        if self._trial and self._trial in heard:
            self._end(passed=True)
        elif self._trial and now - self._sent < WAIT:
            return set()
        elif self._trial and self._tries == TRIES:
            self._end(passed=False)
        if not self._trial and now >= self._next:
            self._begin(now)
        return self._send(now) if self._trial else set()

    def _send(self, now: float) -> Set[int]:
        self._tries, self._sent = self._tries + 1, now
        return {self._trial, self.small}

    def _begin(self, now: float) -> None:
        if now >= self._anew:
            self._anew, self.bad = now + ANEW, self.most + 1
        if self.bad - self.good > NEAR or self.bad > self.most > self.good:
            self._trial = self.most if self.bad > self.most else (self.good + self.bad) // 2
        elif self.good > self.small:
            self._trial = self.good
        else:
            self._next = min(now + CHECK, self._anew)
        self._tries, self._answers = 0, False

    def _end(self, *, passed: bool) -> None:
        """Use the result; without an answer to the small size there is none."""
        used = self._trial <= self.good
        if passed:
            self.good = self._trial
        elif self._answers:
            self.bad = self._trial
            self.good = self.small if used else self.good
        if (used and passed) or not (passed or self._answers):
            self._next = time.monotonic() + CHECK
        self._trial = 0


class Sizes:
    """Follows the ways of a node: `follow` when hubs or peers may have changed, `step` every few seconds.

    A thread calls `step`, so that a request that stalls does not stop the measurement.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._sizes: Dict[str, Size] = {}
        self._routes: Optional[Dict[str, int]] = None  # an earlier process may have left some
        self._echoes: Optional[Echoes] = None
        self._unable = False
        self._lock, self._ended = threading.RLock(), threading.Event()

    def begin(self) -> None:
        """Measure until `end`."""
        threading.Thread(target=self._work, daemon=True).start()

    def end(self) -> None:
        """Stop measuring; routes stay."""
        self._ended.set()

    def _work(self) -> None:
        said = ""
        while not self._ended.wait(TURN):
            try:
                self.step()
            except (CommandFailed, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    self._say(said)

    def follow(self, state: Dict[str, Any]) -> None:
        """Measure the ways to hubs that answer and to direct peers that carry; raise CommandFailed."""
        with self._lock:
            self._follow(state)

    def _follow(self, state: Dict[str, Any]) -> None:
        small, most = state["mtu"], largest(state)
        wanted = _reached(state) if most > small and not self._unable else set()
        before = {a: size for a, size in self._sizes.items() if (size.small, size.most) == (small, most)}
        if self._routes is None:
            self._routes = {address: mtu for address, mtu in routes(state).items() if "/" not in address}
        self._sizes = {address: before.get(address) or Size(small, most) for address in wanted}
        self._route()

    def step(self) -> None:
        """Send and take echoes; raise CommandFailed."""
        with self._lock:
            self._step()

    def _step(self) -> None:
        if self._echoes is None:
            self._echoes = self._opened() if self._sizes else None
        if self._echoes is None:
            return
        heard = self._echoes.heard()
        for address, size in self._sizes.items():
            for wanted in sorted(size.step({number for where, number in heard if where == address})):
                self._echoes.send(address, wanted)
        self._route()

    def forget(self) -> None:
        """Return to the size that passes everywhere: this machine came to another network."""
        with self._lock:
            self._sizes.clear()
            with contextlib.suppress(CommandFailed):
                self._route()
            self._routes = None

    def _opened(self) -> Optional[Echoes]:
        try:
            return Echoes(next(iter(self._sizes)))
        except OSError as error:
            self._sizes, self._unable = {}, True
            self._say(f"the MTU stays as it is: echoes cannot be sent: {error}")
            return None

    def _route(self) -> None:
        wanted = {address: size.good for address, size in self._sizes.items() if size.good > size.small}
        known = {} if self._routes is None else self._routes
        for address in set(known) - set(wanted):
            del known[address]
            with contextlib.suppress(CommandFailed):  # gone with its interface
                programs.run(
                    [*overlay.ip(address), "route", "del", overlay.single(address), "dev", INTERFACE]
                )
            self._say(f"{address}: the MTU is that of the pool")
        for address, size in wanted.items():
            if known.get(address) != size:
                words = ["route", "replace", overlay.single(address), "dev", INTERFACE, "mtu", str(size)]
                programs.run([*overlay.ip(address), *words])
                known[address] = size
                self._say(f"{address}: the MTU is {size}")


def routes(state: Dict[str, Any]) -> Dict[str, int]:
    """Return the MTU of each route of the interface by its destination; raise CommandFailed."""
    shown = programs.run([*overlay.ip(state["pool"]), "route", "show", "dev", INTERFACE])
    lines = [line.split() for line in shown.splitlines() if " mtu " in line]
    return {words[0]: int(words[words.index("mtu") + 1]) for words in lines}


def largest(state: Dict[str, Any]) -> int:
    """Return the largest MTU that is tried."""
    return max(int(state["mtu"]), int(state.get("mtu_most", 0)))


def _reached(state: Dict[str, Any]) -> Set[str]:
    present, now = direct.dump(), time.time()
    hubs = {
        hub["address"]
        for hub in state["hubs"]
        if hub["key"] in present and now - present[hub["key"]].handshake < direct.STALE
    }
    return hubs | {
        peer["address"]
        for peer in state.get("peers", [])
        if peer["key"] in present and peer["address"] in present[peer["key"]].addresses
    }
