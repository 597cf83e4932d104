"""Rounds over all hosts: in parallel, one request each, within a budget, dead hosts left alone."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from exporter.power.readings import NotPower, Reading, Source, read
from onext.http import Http, HttpError
from onext.settings.exporter import Power

_LARGEST = 16 << 20  # bytes of one page: some 80,000 processes
_LONGEST = 16  # times the back-off, for a host that never answers
_HURRIED = 2  # so many of them count as one failure
_log = logging.getLogger("onext.exporter")


@dataclass
class Host:
    """What is remembered of a host: which source to ask, when again, and what it said last."""

    name: str
    choice: int = 0  # index into the sources
    failures: int = 0
    hurried: int = 0  # failures near the end of the budget, which prove little
    not_before: float = 0.0  # time.monotonic()
    asked: float = 0.0
    busy: bool = False
    reading: Reading | None = None
    tried: dict[Source, bool] = field(default_factory=dict)  # which sources were asked, and answered

    @property
    def answers(self) -> bool:
        """Whether it gave figures when it was last asked."""
        return any(self.tried.values())


class Rounds:
    """The power of many hosts; `gather` is called by one scrape at a time."""

    def __init__(self, settings: Power, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._hosts: dict[int, Host] = {}
        self._lock = threading.Lock()
        self.errors = 0  # requests without figures, since the beginning
        self._http = Http(
            connections=settings.threads, size=_LARGEST, connect_timeout=settings.connect_timeout
        )
        self._pool = ThreadPoolExecutor(settings.threads, "power") if settings.sources else None

    def gather(self, hosts: Mapping[int, str]) -> Mapping[int, Host]:
        """Ask every host that is due and return what is known of each; takes at most the budget.

        A reading is from this round, or younger than the settings' interval; a host that fails has none.
        """
        if self._pool is None:
            return {}
        self._hosts = {
            number: known
            if (known := self._hosts.get(number)) and known.name == name
            else Host(name, asked=-self._settings.interval)
            for number, name in hosts.items()
        }
        now = self._clock()
        due = [host for host in self._hosts.values() if self._due(host, now)]
        # First those that answered last time; where the budget is too small, not always the same go without.
        due.sort(key=lambda host: (not host.answers, random.random()))  # noqa: S311 - an order, no secret
        deadline = time.monotonic() + self._settings.budget
        tasks = [self._pool.submit(self._ask, host, deadline) for host in due]
        _, late = wait(tasks, timeout=self._settings.budget)
        for task in late:
            task.cancel()
        return self._hosts

    def _due(self, host: Host, now: float) -> bool:
        if host.busy or now < host.not_before:
            return False
        if now - host.asked < self._settings.interval:
            return False
        host.reading = None  # what it says now, or nothing
        return True

    def _ask(self, host: Host, deadline: float) -> None:
        settings = self._settings
        source = settings.sources[host.choice % len(settings.sources)]
        port = settings.scaphandre_port if source == "scaphandre" else settings.kepler_port
        left = deadline - time.monotonic()
        if left <= 0:
            return
        host.busy, host.asked = True, self._clock()
        timeout = min(left, settings.read_timeout)
        name = f"[{host.name}]" if ":" in host.name else host.name
        try:
            host.reading = read(source, self._http.get(f"http://{name}:{port}/metrics", timeout=timeout).body)
            host.failures, host.hurried, host.not_before = 0, 0, 0.0
            host.tried = {source: True}
        except (HttpError, NotPower) as error:
            hurried = timeout < settings.read_timeout / 2 and isinstance(error, HttpError)
            host.hurried = host.hurried + 1 if hurried else _HURRIED
            if host.hurried >= _HURRIED:  # else it had too little time to prove anything
                self._failed(host, source, error)
                host.hurried = 0
        finally:
            host.busy = False

    def _failed(self, host: Host, source: Source, error: Exception) -> None:
        if host.tried.get(source) is not False:
            _log.warning("power: %s of host %s gives no figures: %s", source, host.name, error)
        host.tried[source] = False
        with self._lock:
            self.errors += 1
        host.failures += 1
        host.choice += 1
        if host.failures % len(self._settings.sources) == 0:  # none of them answers
            times = min(host.failures // len(self._settings.sources), _LONGEST)
            host.not_before = self._clock() + self._settings.back_off * times
