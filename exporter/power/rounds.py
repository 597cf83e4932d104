"""Rounds over all hosts: in parallel, one request each, within a budget, dead hosts left alone."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from exporter.power.readings import Implausible, NotPower, Reading, Source, read
from onext.http import Http, HttpError
from onext.settings.exporter import Power

_LARGEST = 16 << 20  # bytes of one page: some 80,000 processes
_LONGEST = 16  # times the back-off, for a host that never answers
_HURRIED = 2  # so many of them count as one failure
_HOST_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_log = logging.getLogger("onext.exporter")


@dataclass
class Host:
    """What is remembered of a host: which source to ask, when again, and what it answered last."""

    name: str
    choice: int = 0  # index into the sources
    failures: int = 0
    hurried: int = 0  # failures near the end of the budget, which prove little
    not_before: float = 0.0  # time.monotonic()
    asked: float = 0.0
    busy: bool = False
    reading: Reading | None = None
    tried: dict[Source, bool] = field(default_factory=dict)  # which sources were asked, and answered
    implausible: Counter[Source] = field(default_factory=Counter)
    reported: dict[Source, str] = field(default_factory=dict)  # kind of the failure that was logged last

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
        host.reading = None  # what it answers now, or nothing
        return True

    def _ask(self, host: Host, deadline: float) -> None:
        settings = self._settings
        source = settings.sources[host.choice % len(settings.sources)]
        left = deadline - time.monotonic()
        if left <= 0:
            return
        host.busy, host.asked = True, self._clock()
        timeout = min(left, settings.read_timeout)
        try:
            body = self._http.get(self._url(host.name, source), timeout=timeout).body
            self._answered(host, read(source, body, settings.highest_watts))
        except Implausible as error:
            self._implausible(host, source, error)
        except (HttpError, NotPower) as error:
            hurried = timeout < settings.read_timeout / 2 and isinstance(error, HttpError)
            host.hurried = host.hurried + 1 if hurried else _HURRIED
            if host.hurried >= _HURRIED:  # else it had too little time to prove anything
                self._failed(host, source, error)
                host.hurried = 0
        except Exception:  # noqa: BLE001 - an error in this code on one page must not hide the others, nor itself
            _log.exception("power: %s of host %s", source, host.name)
            self._failed(host, source, NotPower("an internal error"))
        finally:
            host.busy = False

    def _url(self, name: str, source: Source) -> str:
        """Return the address to ask; raise NotPower where the host's name cannot be a part of one."""
        if not _HOST_NAME.fullmatch(name):
            raise NotPower("the host's name is neither a DNS name nor an address")
        port = self._settings.scaphandre_port if source == "scaphandre" else self._settings.kepler_port
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"

    def _answered(self, host: Host, reading: Reading) -> None:
        host.reading = reading
        host.failures, host.hurried, host.not_before = 0, 0, 0.0
        host.tried = {reading.source: True}
        host.reported.clear()
        if reading.dropped:
            host.implausible[reading.source] += reading.dropped

    def _implausible(self, host: Host, source: Source, error: Implausible) -> None:
        """Try the next source in the next round: it answers at once, so waiting is unnecessary."""
        host.implausible[source] += 1
        self._report(host, source, error)
        host.tried[source] = False
        host.choice += 1

    def _failed(self, host: Host, source: Source, error: Exception) -> None:
        self._report(host, source, error)
        host.tried[source] = False
        with self._lock:
            self.errors += 1
        host.failures += 1
        host.choice += 1
        host.not_before = self._clock() + pause(host.failures, self._settings)

    def _report(self, host: Host, source: Source, error: Exception) -> None:
        """Log a failure once for each kind, until the host answers again."""
        if host.reported.get(source) != type(error).__name__:
            host.reported[source] = type(error).__name__
            _log.warning("power: %s of host %s has no figures: %s", source, host.name, error)


def pause(failures: int, settings: Power) -> float:
    """Return the seconds for which a host is not asked after so many failures in a row.

    0 until each source has failed, then the settings' back-off, twice it after the second round of all
    sources, and so on up to _LONGEST times.
    """
    rounds, others_left = divmod(failures, len(settings.sources))
    return 0.0 if others_left else settings.back_off * min(rounds, _LONGEST)
