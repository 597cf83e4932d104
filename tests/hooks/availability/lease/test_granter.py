"""The rounds of one front-end: which hosts it grants, what it records, and what it reports."""

from __future__ import annotations

import logging

import pytest

from hooks.availability.lease.grants import ARMED, ZONE, Armed, Arming, Granted, Grants
from hooks.availability.lease.keys import Secret
from hooks.availability.lease.onext_lease import daemon as node_daemon
from onext.oned.documents import Documents
from tests.hooks.availability.lease.played_node import HOST, SECRET, FrontEnd, Played


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Return a host that is armed and granted by server 0."""
    monkeypatch.setattr(node_daemon, "now", node_daemon.now)  # restored afterwards
    made = Played.begin()
    made.work(4)
    return made


def recorded(front: FrontEnd) -> Grants:
    """Return the record of grants."""
    stored = front.zone.grants.get(ZONE)
    assert stored is not None
    assert stored.value is not None
    return stored.value


def state(played: Played) -> Arming | None:
    """Return how far the host is armed, None where it is not."""
    stored = Documents(played.pool, ARMED).get(HOST)  # type: ignore[arg-type]
    return stored.value.state if stored is not None and stored.value is not None else None


def disarming(played: Played) -> None:
    """Order the host to be disarmed."""
    documents = Documents(played.pool, ARMED)  # type: ignore[arg-type]
    played.pool.server = played.world.leader
    played.pool.locked.clear()
    stored = documents.get(HOST)
    assert stored is not None
    one = Armed(Arming.DISARMING, "node", "salt", SECRET.name, 1, 0.0)
    documents.put(HOST, one, stored.version)


def test_the_record_has_each_host_as_it_answered(played: Played) -> None:
    """A new leader knows a host that died before it led from there only."""
    front = played.leading
    row = recorded(front).hosts[HOST]
    assert (row.boot, row.held) == (f"{0:036x}", True)
    assert row.at == pytest.approx(played.world.time, abs=1.0)
    played.world.connected = set()
    played.work(3)
    assert recorded(front).hosts[HOST].at == row.at


def test_a_host_without_its_watchdog_is_recorded_as_such(played: Played) -> None:
    """A new leader would take its silence for a proof."""
    assert played.world.daemon is not None
    played.world.daemon.node.unfit = lambda: "softdog does not count"  # type: ignore[method-assign]
    played.world.daemon.lease.held, played.world.fed = False, None
    played.world.daemon.lease.reason = "softdog does not count"
    played.work(2)
    assert not recorded(played.leading).hosts[HOST].held


@pytest.mark.parametrize("acknowledges", [True, False])
def test_a_host_is_disarmed_once_it_has_acknowledged(played: Played, acknowledges: bool) -> None:
    """It would reset after its record is removed, because no front-end grants it then."""
    disarming(played)
    assert played.world.daemon is not None
    if not acknowledges:
        played.world.daemon.lease._disarm = lambda *_: None  # type: ignore[method-assign]
    played.work(2)
    assert state(played) is (None if acknowledges else Arming.DISARMING)
    assert played.world.boot == 0
    status = played.leading.status()
    assert status is None


def test_a_host_that_does_not_answer_stays_to_be_disarmed(played: Played) -> None:
    """The order is repeated until it arrives."""
    disarming(played)
    played.world.connected = set()
    played.work(2)
    assert state(played) is Arming.DISARMING


def test_the_epoch_grows_though_the_clock_is_set_back(played: Played) -> None:
    """Nodes refuse a lower epoch: all would reset."""
    front = played.leading
    before = recorded(front).epoch
    front.zone.now = lambda: 5.0
    played.work(2)
    assert recorded(front).epoch == before + 2
    assert played.world.vms


def test_the_first_epoch_is_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be above those of a zone whose record was lost."""
    monkeypatch.setattr(node_daemon, "now", node_daemon.now)
    made = Played.begin()
    made.leading.zone.now = lambda: 1234.5
    made.work(1)
    assert recorded(made.leading).epoch == 1_234_500
    made = Played.begin()
    made.leading.zone.now = lambda: 0.0
    made.work(1)
    assert recorded(made.leading).epoch == 0


def test_a_key_that_is_not_here_is_reported_once(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    """A front-end to which lease.key was not copied grants nothing: hosts reset when it leads."""
    front = played.leading
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            front.granter.round(front.zone, Secret(b"o" * 32))
    assert [one.getMessage() for one in caplog.records] == [
        f"lease: hosts [{HOST}]: no key of theirs is here: copy lease.key"
    ]
    assert "copy lease.key" in front.granter.problem
    front.round()
    assert front.granter.problem == ""


@pytest.mark.parametrize(("lease", "pause"), [(20.0, 20 / 6), (60.0, 10.0), (3600.0, 10.0)])
def test_there_are_six_rounds_in_a_short_lease(played: Played, lease: float, pause: float) -> None:
    """A few lost datagrams must not reset a host."""
    played.leading.granter.ledger.lease = lease
    assert played.leading.granter.pause == pytest.approx(pause)


def test_hosts_that_others_recorded_stay_in_the_record(played: Played) -> None:
    """A host that is down since before this leader would be armed without a contact, and never dead."""
    played.world.connected = set()
    played.world.leader = 1
    played.work(3)
    assert recorded(played.fronts[1]).hosts[HOST].held
    assert recorded(played.fronts[1]).writer == played.fronts[1].granter.writer
    assert recorded(played.fronts[1]).server == 1


def test_a_new_leader_knows_how_long_a_host_has_been_silent(played: Played) -> None:
    """It compares that with what else the host answered: too long a silence would never be a proof."""
    answered = played.world.time
    played.world.connected = set()
    played.world.advance(50.0)
    played.world.leader = 1
    played.work(1)
    assert played.fronts[1].granter.ledger.contacts[HOST].at == pytest.approx(answered, abs=1.5)


def test_hosts_that_are_not_armed_leave_the_record(played: Played) -> None:
    """Their rows would be taken for contacts of a later lease."""
    front = played.leading
    stored = front.zone.grants.get(ZONE)
    assert stored is not None
    assert stored.value is not None
    played.pool.locked.clear()
    more = {**stored.value.hosts, 8: Granted("b", held=True, at=1.0)}
    front.zone.grants.put(ZONE, Grants(stored.value.epoch, 0, 1, "another", 90.0, 1.0, more), stored.version)
    played.work(1)
    assert set(recorded(front).hosts) == {HOST}
