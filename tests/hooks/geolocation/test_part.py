"""When a host is located, and what a person learns of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hooks.geolocation import part
from hooks.geolocation.addresses import Address
from hooks.geolocation.database import LookupFailed, NoDatabase
from hooks.geolocation.discovery import NotFoundOut
from hooks.geolocation.location import Coordinates, Unplaced
from onext import results
from onext.cloud import model
from onext.cloud.snapshot import Cloud
from onext.oned.objects import Host, HostState
from onext.part import Context, Key, Retry
from onext.paths import Paths
from onext.results import Result, Results
from onext.settings import Settings

NOW = 1_000_000.0
DAY = 24 * 3600.0
STOCKHOLM = Coordinates(59.25, 18.0833)


@dataclass
class PlayedOned:
    """One host after the other, as somebody may change it meanwhile; remembers what is written."""

    hosts: list[Host]
    written: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def host(self, number: int) -> Host:
        """Return the host as it is at this reading."""
        assert number == 3
        return self.hosts.pop(0) if len(self.hosts) > 1 else self.hosts[0]

    def update_host(self, number: int, attributes: dict[str, Any]) -> None:
        """Remember a change."""
        self.written.append((number, attributes))


@dataclass
class Database:
    """A database that answers the same for every address, or fails."""

    answer: Coordinates | Unplaced | Exception = STOCKHOLM
    name: str = "played"

    def get(self, _settings: object) -> Database:
        """Return itself as the latest, or fail as if there were none."""
        if isinstance(self.answer, NoDatabase):
            raise self.answer
        return self

    def locate(self, _address: Address) -> Coordinates | Unplaced:
        """Return the answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def host(state: HostState = HostState.MONITORED, **template: Any) -> Host:
    return Host(3, "node-a1", state, 0, "default", (), template)


def context(
    root: Path,
    oned: PlayedOned | None = None,
    cloud: tuple[model.Host, ...] = (),
    last: Mapping[int, Result] | None = None,
) -> Context:
    made = Context(Paths.self_contained(root), Settings(), lambda: NOW)
    made.__dict__["oned"] = oned
    reader = SimpleNamespace(cloud=lambda *_: Cloud.of(cloud))
    made = Context(made.paths, made.given, made.now, cast("Any", reader))
    made.__dict__["oned"] = oned
    made.paths.state.mkdir(parents=True, exist_ok=True)
    kept = Results(made.paths.state / results.FILE)
    for number, result in (last or {}).items():
        kept.record(Key(part.NAME, "host", number), result)
    kept.save(force=True)
    return made


def by_ssh(_name: str) -> tuple[Address, ...]:
    return (ip_address("193.0.6.139"),)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """Return the database that the part uses."""
    made = Database()
    monkeypatch.setattr(part, "_latest", made)
    return made


def done(at: float, *, ok: bool = True, message: str = "1,2") -> Result:
    return Result(at, 0.1, ok, message)


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (None, True),
        (done(NOW - DAY - 1), True),
        (done(NOW - DAY + 1), False),
        (done(NOW - DAY), False),
        (done(NOW), False),
        (done(NOW + DAY), False),
        (done(NOW, ok=False), True),
    ],
)
def test_E6_a_host_is_located_again_after_a_day(tmp_path: Path, last: Result | None, due: bool) -> None:
    """A host that moved stays in its old place for good, or every host is asked each minute."""
    given = {3: last} if last else {}
    made = context(tmp_path, cloud=(model.Host(3, "node-a1", HostState.MONITORED),), last=given)
    assert list(part.sweep(made)) == ([Key("geolocation", "host", 3)] if due else [])


def test_C7_hosts_in_other_states_are_left_alone(tmp_path: Path) -> None:
    """A state of a newer OpenNebula, or a host that cannot be read, ends the round for all hosts."""
    hosts = (
        model.Host(1, "asleep", HostState.OFFLINE),
        model.Host(2, "newer", 42),
        model.Host(3, problem="cut"),
        model.Host(4, "locked", HostState.MONITORED, template={"GEOLOCATION_LOCK": "yes"}),
        model.Host(5, "by-hand", HostState.MONITORED, template={"GEOLOCATION": "1,2"}),
        model.Host(6, "good", HostState.MONITORED),
    )
    assert [key.id for key in part.sweep(context(tmp_path, cloud=hosts))] == [6]


def test_a_host_is_located(tmp_path: Path, database: Database) -> None:
    """GEOLOCATION is not written, or under another host's number."""
    oned = PlayedOned([host()])
    decision = part.locate(context(tmp_path, oned), 3, by_ssh)
    assert decision.looked
    ((number, written),) = oned.written
    assert (number, written["GEOLOCATION"]) == (3, "59.25,18.0833")
    assert written["ONEXT_GEOLOCATION"]["TIME"] == int(NOW)


@pytest.mark.parametrize("meanwhile", [{"GEOLOCATION_LOCK": "YES"}, {"GEOLOCATION": "7,7"}])
def test_E6_what_a_person_wrote_while_ssh_took_its_time_stays(
    tmp_path: Path, database: Database, meanwhile: dict[str, Any]
) -> None:
    """The value that somebody wrote a second ago is overwritten by what was read before."""
    oned = PlayedOned([host(), host(**meanwhile)])
    decision = part.locate(context(tmp_path, oned), 3, by_ssh)
    assert oned.written == []
    assert decision.reason.startswith("not changed: ")


@pytest.mark.parametrize(
    "before",
    [host(HostState.OFFLINE), host(HostState.ERROR), host(GEOLOCATION="7,7"), host(GEOLOCATION_LOCK="YES")],
)
def test_a_host_that_is_not_due_is_not_asked(tmp_path: Path, database: Database, before: Host) -> None:
    """Hosts that are off, or a person's, are reached by ssh all the time."""

    def never(_name: str) -> tuple[Address, ...]:
        raise AssertionError("must not be asked")

    oned = PlayedOned([before])
    assert not part.locate(context(tmp_path, oned), 3, never, never).looked
    assert oned.written == []


def fails(_name: str) -> tuple[Address, ...]:
    raise NotFoundOut("ssh: no route")


@pytest.mark.parametrize(
    ("answer", "ask", "reason"),
    [
        (STOCKHOLM, fails, "ssh: no route"),
        (LookupFailed("the service is down"), by_ssh, "the service is down"),
        (NoDatabase("no database of cities"), by_ssh, "no database of cities"),
    ],
)
def test_a_failure_is_tried_again_and_changes_nothing(
    tmp_path: Path, database: Database, answer: Any, ask: Callable[[str], tuple[Address, ...]], reason: str
) -> None:
    """A host loses its place because a service was down."""
    database.answer = answer
    oned = PlayedOned([host()])
    with pytest.raises(Retry, match=rf"host 3 \(node-a1\) is not located: .*{reason}"):
        part.locate(context(tmp_path, oned), 3, ask, fails)
    assert oned.written == []


def test_an_address_without_a_place_is_a_result(tmp_path: Path, database: Database) -> None:
    """A host at the centre of a country is asked again every few minutes."""
    database.answer = Unplaced("the centre of a country")
    oned = PlayedOned([host()])
    decision = part.locate(context(tmp_path, oned), 3, by_ssh)
    assert (decision.changes, oned.written) == ({}, [])
    assert "the centre of a country" in decision.reason


def test_reconcile_reports_what_was_looked_at(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that was not due gets a result, and is then not looked at for a day."""
    monkeypatch.setattr(part, "ssh_asker", lambda _: by_ssh)
    located = context(tmp_path, PlayedOned([host()]))
    assert part.reconcile(located, [Key("geolocation", "host", 3)]) == "59.25,18.0833 (ssh)"
    asleep = context(tmp_path, PlayedOned([host(HostState.OFFLINE)]))
    assert part.reconcile(asleep, [Key("geolocation", "host", 3)]) == ""
    assert part.reconcile(asleep, [Key("geolocation", "pool", 0)]) == ""


def test_E5_hosts_that_are_not_located_are_in_doctor(tmp_path: Path, database: Database) -> None:
    """Four hosts fail for weeks, and doctor is green."""
    failed = {n: done(NOW, ok=False, message=f"host {n}: no route") for n in range(4)}
    _, hosts = part.checks(context(tmp_path, last={**failed, 9: done(NOW)}))
    assert (hosts.name, hosts.level) == ("hosts", "fail")
    assert hosts.message == (
        "4 of 5 could not be located: host 0: no route; host 1: no route; host 2: no route; and 1 more"
    )
    _, hosts = part.checks(context(tmp_path / "b", last={9: done(NOW)}))
    assert (hosts.level, hosts.message) == ("ok", "1 checked, none failed")
    three = {n: done(NOW, ok=False, message=f"{n}") for n in range(3)}
    _, hosts = part.checks(context(tmp_path / "c", last=three))
    assert hosts.message == "3 of 3 could not be located: 0; 1; 2"


def test_doctor_reports_the_database(tmp_path: Path, database: Database) -> None:
    """No host gets a place, and doctor does not tell that a file is missing."""
    found, _ = part.checks(context(tmp_path))
    assert (found.name, found.level, found.message) == ("database", "ok", "played")
    database.answer = NoDatabase("no database of cities")
    found, _ = part.checks(context(tmp_path))
    assert (found.level, found.message) == ("fail", "no database of cities")
    assert found.remedy
