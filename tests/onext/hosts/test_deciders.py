"""At most one decider for each cluster."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from onext.hosts.actions.world import Failed
from onext.hosts.deciders import DECIDERS, Decider, Mandate, Watch
from onext.oned.client import Oned
from onext.oned.documents import Documents
from onext.oned.errors import Refused
from onext.xml import Element
from tests.onext.hosts.document_pool import DocumentPool

LEASE = 120.0


@dataclass
class Zone:
    """A front-end with documents, and two clocks."""

    pool: DocumentPool = field(default_factory=DocumentPool)
    now: float = 1_800_000_000.0
    monotonic: float = 1000.0
    down: bool = False

    def document(self, method: str, *arguments: object) -> Element:
        return self.pool.document(method, *arguments)

    def call(self, method: str, *arguments: object) -> int:
        if self.down and method in ("document.update", "document.allocate"):
            raise Refused("no quorum")
        return self.pool.call(method, *arguments)

    def mandate(self, holder: str, server: int = 0, term: int = 1) -> Mandate:
        documents = Documents(cast("Oned", self), DECIDERS)
        me = Decider(holder, server, term, 0.0, LEASE)
        return Mandate(documents, 100, me, lambda: self.now, lambda: self.monotonic, Watch())

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.now += seconds


def test_S13_two_parts_or_servers_never_decide_on_one_cluster_at_once() -> None:
    """One would switch hosts off that the other counts on."""
    zone = Zone()
    power = zone.mandate("power")
    power.hold()
    for other in (zone.mandate("availability"), zone.mandate("power", 1, 2), zone.mandate("balance", 1, 2)):
        with pytest.raises(Failed, match="power on server 0 decides on cluster 100"):
            other.hold()
    power.release()
    zone.mandate("availability", 1, 2).hold()
    with pytest.raises(Failed, match="availability on server 1"):
        power.hold()


def test_a_decider_that_died_is_replaced_after_its_lease_by_our_own_clock() -> None:
    """A killed worker would stop a cluster for ever; a clock that jumps must not shorten the wait."""
    zone = Zone()
    zone.mandate("power").hold()
    other = zone.mandate("power", 1, 2)
    with pytest.raises(Failed):
        other.hold()
    zone.now += 86_400.0
    with pytest.raises(Failed):
        other.hold()
    zone.monotonic += LEASE + 1
    other.hold()
    with pytest.raises(Failed):
        zone.mandate("power").hold()


def test_the_same_part_on_the_same_server_continues_at_once() -> None:
    """A restarted worker would wait two minutes before it wakes anything."""
    zone = Zone()
    zone.mandate("power").hold()
    zone.mandate("power", term=2).hold()


def test_a_mandate_is_written_seldom_and_renewed_in_time() -> None:
    """A write for each step of each host would fill the log of Raft; one that has run out binds nobody."""
    zone = Zone()
    power = zone.mandate("power")
    power.hold()
    power.hold()
    first = zone.pool.documents[1][1]["VERSION"]
    zone.passes(LEASE / 2)
    power.hold()
    assert (first, zone.pool.documents[1][1]["VERSION"]) == ("1", "2")


def test_without_a_write_nobody_decides() -> None:
    """A server that is cut off believes to lead: only a write that returned proves it."""
    zone = Zone(down=True)
    with pytest.raises(Failed, match="no quorum"):
        zone.mandate("power").hold()


@pytest.mark.parametrize("changes", [{"TERM": "nan"}, {"LEASE": "1e9"}, {"SINCE": "x"}])
def test_an_invalid_record_binds_for_a_lease_and_no_longer(changes: dict[str, Any]) -> None:
    """A damaged record must neither let two decide nor stop the cluster for ever."""
    zone = Zone()
    zone.mandate("power").hold()
    zone.pool.documents[1][1].update(changes)
    other = zone.mandate("power", 1, 2)
    with pytest.raises(Failed, match="an invalid record decides"):
        other.hold()
    zone.passes(LEASE + 1)
    other.hold()


@pytest.mark.parametrize(("seconds", "written"), [(29.9, False), (30.0, True)])
def test_a_mandate_is_renewed_after_a_quarter_of_its_lease(seconds: float, written: bool) -> None:
    """It would run out in the middle of a round, or be written for each step."""
    zone = Zone()
    power = zone.mandate("power")
    power.hold()
    zone.passes(seconds)
    power.hold()
    assert (zone.pool.documents[1][1]["VERSION"] == "2") is written


@pytest.mark.parametrize(("seconds", "free"), [(LEASE - 0.5, False), (LEASE, True)])
def test_a_lease_ends_at_its_second(seconds: float, free: bool) -> None:
    """Two would decide for a moment, or nobody for another one."""
    zone = Zone()
    zone.mandate("power").hold()
    other = zone.mandate("power", 1, 2)
    with pytest.raises(Failed):
        other.hold()
    zone.passes(seconds)
    if free:
        other.hold()
    else:
        with pytest.raises(Failed, match="tried again when that has ended"):
            other.hold()


def test_a_renewed_record_binds_anew() -> None:
    """A slow server that is at work would be overtaken."""
    zone = Zone()
    power, other = zone.mandate("power"), zone.mandate("power", 1, 2)
    power.hold()
    for _ in range(4):
        with pytest.raises(Failed):
            other.hold()
        zone.passes(LEASE / 2)
        power.hold()


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("SERVER", "-1", "1000000000"),
        ("TERM", "-1", "1000000000000000"),
        ("SINCE", "0", "1e11"),
        ("LEASE", "0", "86400"),
    ],
)
def test_numbers_of_a_record_are_within_bounds(key: str, low: str, high: str) -> None:
    """A lease of a year would stop the cluster for a year."""
    values = dict(DECIDERS.encode(Decider("power", 0, 1, 5.0, LEASE)))
    for good in (low, high):
        DECIDERS.decode({**values, key: good})
    for bad in ("-2", "x", "", "1e16", f"{float(high) + 1:.0f}"):
        with pytest.raises(ValueError, match="is not a number"):
            DECIDERS.decode({**values, key: bad})


def test_what_is_not_held_is_not_released() -> None:
    """Another part's right would be given away."""
    zone = Zone()
    zone.mandate("availability").hold()
    before = dict(zone.pool.documents[1][1])
    zone.mandate("power", 1, 2).release()
    assert zone.pool.documents[1][1] == before
    mine = zone.mandate("availability")
    mine.hold()
    zone.down = True
    mine.release()
    zone.down = False
    mine.hold()
    mine.release()
    assert zone.pool.documents[1][1]["HOLDER"] == ""
    assert zone.pool.documents[1][1]["LEASE"] == "0"
