"""What a part tells the worker and `onext doctor` about itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from onext import results
from onext.cloud.reader import LIFETIME, Reader
from onext.cloud.snapshot import Cloud
from onext.events import RENAMED
from onext.oned.client import Oned
from onext.paths import Paths
from onext.settings import Settings, load

_KEY = re.compile(r"([a-z]{1,40})\.([a-z]{1,40})\.(0|[1-9][0-9]{0,9})", re.ASCII)


class Key(NamedTuple):
    """What to reconcile: `geolocation.host.12`, or `targets.pool.0` for a part that reads whole pools."""

    part: str
    resource: str  # host, vm, call, pool
    id: int

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read a key as `str` writes it; raise ValueError."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise ValueError(f"{text}: not a key such as geolocation.host.12")
        return cls(RENAMED.get(found[1], found[1]), found[2], int(found[3]))


@dataclass(frozen=True)
class Context:
    """What a part works with: the paths of this front-end, its settings, its oned, the time."""

    paths: Paths = field(default_factory=Paths.find)
    given: Settings | None = None  # instead of those in the file
    now: Callable[[], float] = field(default=time.time)
    reader: Reader = field(default_factory=Reader, compare=False)
    patience: float | None = None  # seconds for one call to oned, unless the settings give them

    @cached_property
    def settings(self) -> Settings:
        """The administrator's settings, read once; raise SettingsError."""
        return self.given or load(self.paths.settings)

    @cached_property
    def oned(self) -> Oned:
        """Oned as the user of this front-end; raise Unauthenticated without credentials."""
        access = self.settings.oned
        given = "timeout" in access.model_fields_set
        timeout = access.timeout if given or self.patience is None else self.patience
        return Oned.connect(self.paths, access.endpoint, timeout)

    def cloud(self, max_age: float = LIFETIME) -> Cloud:
        """Return oned's pools as of this round, with the changes that events told of; raise an OnedError.

        All parts of a worker share what was read at most `max_age` seconds ago; a command reads for itself,
        what it asks for.
        """
        return self.reader.cloud(self.oned, max_age)

    def last(self) -> Mapping[str, results.Result]:
        """Return the worker's last result of each key, by the key's text."""
        return results.read(self.paths.state / results.FILE)

    def stopped(self, part: str) -> bool:
        """Whether `onext stop` froze this part, or all."""
        return any((self.paths.stopped / name).exists() for name in (part, "all"))


class Underway(str):
    """The answer of a reconcile whose work is under way: it is called again in a moment."""

    __slots__ = ()


class Retry(Exception):
    """A reconcile could not finish now: oned, ssh or DNS failed. The worker tries again later."""


class Busy(Retry):
    """Another process is at the same work: the worker tries again in seconds, and logs nothing."""


@dataclass(frozen=True)
class Check:
    """One line of `onext doctor`: what was checked, the result, and what to do otherwise."""

    name: str
    level: str  # ok, warn, fail
    message: str
    remedy: str = ""


def no_checks(_context: Context) -> Iterable[Check]:
    """Have nothing to check."""
    return ()


def no_sweep(_context: Context) -> Iterable[Key]:
    """Have nothing to bring up to date once a minute."""
    return ()


@dataclass(frozen=True)
class Part:
    """One part of the bundle.

    `reconcile` makes one key (or, for a `whole_pool` part, everything) what it should be and returns a
    short sentence for `onext status`, empty where there was nothing to do, and Underway where it has
    more to do soon. It may be called at any time, again, and for objects that are gone; it raises Retry or
    an OnedError to be called again later.
    `background` keeps something going that no round may delay, such as a thread; it returns at once. It is
    called once a minute on every server, also where the part is stopped.
    `sweep` names the keys that need a look though nothing happened; it is called once a minute and after
    a change of leader.
    """

    name: str
    reconcile: Callable[[Context, Sequence[Key]], str]
    sweep: Callable[[Context], Iterable[Key]] = no_sweep
    checks: Callable[[Context], Iterable[Check]] = no_checks
    background: Callable[[Context], None] | None = None
    whole_pool: bool = False  # it reads whole pools: events of all objects are one key, PART.pool.0
    threads: int = 1  # calls at once
    leader_only: bool = True  # what changes OpenNebula, hosts or BMCs; files are written on every server
