"""At most one decider for each cluster: the part and the server that may claim its hosts now.

A document of oneadmin for each cluster. Its writer holds it until it is released, or until another server
has seen it unchanged for its lease by its own clock: the time of day may jump.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from onext import bounds
from onext.hosts.actions.world import Failed
from onext.oned.documents import Documents, Kind, Stored
from onext.oned.errors import OnedError

FREE = ""


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides on a cluster; `holder` is a part (power, availability, maintenance, balance) or empty."""

    holder: str
    server: int
    term: int
    since: float
    lease: float


def _encode(decider: Decider) -> Mapping[str, str]:
    return {
        "HOLDER": decider.holder,
        "SERVER": str(decider.server),
        "TERM": str(decider.term),
        "SINCE": f"{decider.since:.0f}",
        "LEASE": f"{decider.lease:.0f}",
    }


def _decode(values: Mapping[str, str]) -> Decider:
    server = bounds.whole(values["SERVER"], -1, 1_000_000_000)
    term = bounds.whole(values["TERM"], -1, 1_000_000_000_000_000)
    since = bounds.number(values["SINCE"], 0, 1e11)
    lease = bounds.number(values["LEASE"], 0, 86_400)
    if server is None or term is None or since is None or lease is None:
        raise ValueError("SERVER, TERM, SINCE or LEASE is not a number")
    return Decider(bounds.words(values["HOLDER"], 32), server, term, since, lease)


DECIDERS: Kind[Decider] = Kind("cluster", _encode, _decode)


@dataclass
class Watch:
    """Since when, by our own clock, each cluster's record has been as it is; kept between rounds."""

    seen: dict[int, tuple[int, float]] = field(default_factory=dict)  # cluster -> (version, first seen)

    def unchanged(self, cluster: int, version: int, now: float) -> float:
        """Return for how many seconds this version of a cluster's record has been seen."""
        known = self.seen.get(cluster)
        if known is None or known[0] != version:
            known = self.seen[cluster] = (version, now)
        return now - known[1]


@dataclass
class Mandate:
    """The right of one part on one server to decide on a cluster: taken when first needed, then renewed."""

    records: Documents[Decider]
    cluster: int
    me: Decider  # as it is written; `since` is replaced
    now: Callable[[], float]
    monotonic: Callable[[], float]
    watch: Watch = field(default_factory=Watch)
    _held: tuple[Stored[Decider], float] | None = None  # as written, and when by our own clock

    def hold(self) -> None:
        """Take or renew the right; raise Failed where another part or server has it."""
        if self._held and self.monotonic() - self._held[1] < self.me.lease / 4:
            return
        try:
            found = self.records.get(self.cluster)
            self._refuse(found)
            mine = Decider(self.me.holder, self.me.server, self.me.term, self.now(), self.me.lease)
            began = self.monotonic()
            self._held = self.records.put(self.cluster, mine, found.version if found else None), began
        except OnedError as error:
            raise Failed(f"cluster {self.cluster}: the right to decide was not taken: {error}") from error

    def _refuse(self, found: Stored[Decider] | None) -> None:
        """Raise Failed while another's record binds; what is invalid binds for our own lease."""
        holder = found.value if found else None
        if found is None or (
            holder is not None and holder.holder in (FREE, self.me.holder) and self._here(holder)
        ):
            return
        lease = holder.lease if holder else self.me.lease
        if self.watch.unchanged(self.cluster, found.version, self.monotonic()) < lease:
            who = f"{holder.holder} on server {holder.server}" if holder else "an invalid record"
            raise Failed(f"{who} decides on cluster {self.cluster} now; tried again when that has ended")

    def _here(self, holder: Decider) -> bool:
        return holder.holder == FREE or holder.server == self.me.server

    def release(self) -> None:
        """Let others decide; a record that cannot be released ends with its lease."""
        if self._held is None:
            return
        stored, self._held = self._held[0], None
        free = Decider(FREE, self.me.server, self.me.term, self.now(), 0.0)
        try:
            self.records.put(self.cluster, free, stored.version)
        except OnedError:
            return
