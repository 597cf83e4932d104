"""When a lease is a proof, to the second: too early starts VMs twice, too late leaves them down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.ledger import Contact, Ledger
from hooks.availability.lease.onext_lease.lease import NO_GRANT

HOST, LEASE, ALONE = 7, 60.0, float("inf")
HELD = Challenge("s" * 32, 1, "b" * 36, held=True, reason="", watchdog=10.0, disarmed=False)
STARTED = replace(HELD, session="t" * 32, held=False, reason=NO_GRANT, watchdog=0.0)
SETTLED = 1.25 * 120.0 + 3.2  # seconds that a new leader waits with a lease of 60 s


def leading(until: float, lease: float = LEASE) -> Ledger:
    """Return the ledger of a front-end that has written every 10 s, alone, until then."""
    found = Ledger(lease)
    for now in range(0, int(until) + 1, 10):
        found.wrote(float(now), 0.0, own=now > 0)
    return found


def granted(at: float, challenge: Challenge = HELD) -> Ledger:
    """Return the ledger of a front-end of long standing that granted last at `at`."""
    found = leading(at)
    found.heard(HOST, challenge, at)
    found.granted(HOST, challenge, at)
    return found


def expired(found: Ledger, now: float, silent: float = ALONE) -> bool:
    """Return whether the lease is a proof at `now`; the front-end has just written."""
    found.wrote(now, 0.0, own=True)
    status = found.status(HOST, now, silent=silent)
    assert not (status.expired and status.answers)
    return status.expired


def test_a_lease_ends_after_both_feedings_and_the_margin() -> None:
    """60 s, twice the watchdog's 10 s, 2 s and 1 %."""
    found = granted(600.0)
    assert not expired(found, 682.5)
    assert expired(found, 682.7)
    assert found.status(HOST, 682.7, silent=ALONE).detail == "last answered 83 s ago"


def test_the_latest_grant_counts() -> None:
    """A grant that was noted later and ends earlier, with a faster watchdog, shortens nothing."""
    found = granted(600.0, replace(HELD, watchdog=30.0))
    found.granted(HOST, HELD, 605.0)
    assert not expired(found, 722.5)
    assert expired(found, 722.7)


def test_a_daemon_that_has_yet_to_take_the_watchdog_counts_with_the_slowest_one() -> None:
    """It does not know how long its watchdog takes."""
    found = granted(600.0)
    found.heard(HOST, STARTED, 610.0)
    found.granted(HOST, STARTED, 610.0)
    assert not expired(found, 732.5)
    assert expired(found, 732.7)


@pytest.mark.parametrize("before", [0.0, 100.0, 300.0])
def test_a_new_leader_waits_for_the_longest_grants_of_others(before: float) -> None:
    """What the leader before granted last is not in its own ledger."""
    found = Ledger(LEASE)
    found.wrote(1000.0, before, own=False)
    found.inherit({HOST: ("b" * 36, True, 900.0)}, 1000.0)
    longest = max(120.0, before)
    wait = 1.25 * longest + 2.0 + 0.01 * longest
    assert not expired(found, 1000.0 + wait - 0.1)
    assert expired(found, 1000.0 + wait + 0.1)


@pytest.mark.parametrize("event", ["another wrote", "it may have"])
def test_the_wait_begins_anew_once_another_may_have_granted(event: str) -> None:
    """A front-end that led before knows nothing of the grants in between."""
    found = granted(600.0)
    if event == "it may have":
        found.lost()
        assert not found.status(HOST, 690.0, silent=ALONE).expired
    found.wrote(700.0, 0.0, own=event == "it may have")
    assert not expired(found, 700.0 + SETTLED - 0.1)
    assert expired(found, 700.0 + SETTLED + 0.1)


def test_its_own_writes_do_not_prolong_the_wait() -> None:
    """A leader that writes every ten seconds would never take a lease for ended."""
    found = Ledger(LEASE)
    found.wrote(0.0, 0.0, own=False)
    found.inherit({HOST: ("b" * 36, True, 900.0)}, 0.0)
    for now in range(10, 160, 10):
        found.wrote(float(now), 120.0, own=True)
    assert expired(found, SETTLED + 0.1)


def test_a_front_end_that_has_not_written_for_thirty_seconds_proves_nothing() -> None:
    """Another may lead by then."""
    found = granted(600.0)
    found.wrote(700.0, 0.0, own=True)
    assert found.status(HOST, 730.0, silent=ALONE).expired
    late = found.status(HOST, 730.5, silent=ALONE)
    assert (late.answers, late.expired, late.boot) == (False, False, HELD.boot)


def test_the_record_names_the_longest_grants_until_the_others_have_ended() -> None:
    """The next leader waits for what it reads there."""
    found = Ledger(LEASE)
    assert found.longest_until(0.0, 300.0) == 300.0
    found.wrote(0.0, 300.0, own=False)
    settled = 1.25 * 300.0 + 2.0 + 3.0
    assert found.longest_until(settled - 0.1, 300.0) == 300.0
    assert found.longest_until(settled + 0.1, 300.0) == 120.0
    assert Ledger(LEASE).longest_until(0.0, 0.0) == 120.0


def test_a_shorter_lease_by_new_settings_does_not_shorten_what_was_granted() -> None:
    """The next leader would wait for the new one only."""
    found = leading(600.0, 300.0)
    found.lease = 20.0
    assert found.longest_until(1e6, 0.0) == 360.0


def test_a_daemon_answers_for_twenty_five_seconds() -> None:
    """A host whose datagrams were lost twice would be a suspect."""
    found = granted(600.0)
    fresh = found.status(HOST, 625.0, silent=ALONE)
    assert (fresh.answers, fresh.expired, fresh.boot) == (True, False, HELD.boot)
    assert fresh.detail == "its daemon answers, armed"
    assert not found.status(HOST, 625.5, silent=ALONE).answers


def test_a_host_that_never_answered_is_neither_alive_nor_dead() -> None:
    """It may run VMs since before it was armed."""
    status = leading(600.0).status(HOST, 600.0, silent=ALONE)
    assert (status.answers, status.expired) == (False, False)
    assert "has not answered yet" in status.detail


def test_what_another_recorded_shows_no_life() -> None:
    """A new leader has not heard the host itself."""
    found = leading(600.0)
    found.inherit({HOST: ("b" * 36, True, 5.0)}, 600.0)
    assert not found.status(HOST, 600.0, silent=ALONE).answers


@pytest.mark.parametrize(("silent", "proof"), [(74.9, False), (75.1, True)])
def test_a_host_that_answered_others_later_may_run_without_a_lease(silent: float, proof: bool) -> None:
    """It was booted without its daemon: 25 s after the last challenge its answers are another boot's."""
    assert expired(granted(600.0), 700.0, silent) is proof


@pytest.mark.parametrize(
    "answered", [replace(HELD, held=False, reason="softdog"), replace(HELD, disarmed=True), STARTED]
)
def test_a_host_without_its_watchdog_proves_nothing(answered: Challenge) -> None:
    """It does not reset when its grants end."""
    found = granted(600.0, answered)
    assert not expired(found, 5000.0)
    detail = found.status(HOST, 5000.0, silent=ALONE).detail
    assert (answered.reason or "not known why") in detail


@pytest.mark.parametrize("boot", ["b", "c"])
def test_a_restarted_daemon_keeps_the_watchdog_of_its_boot_only(boot: str) -> None:
    """After a reboot nothing ticks until the first grant."""
    found = granted(600.0)
    found.heard(HOST, replace(STARTED, boot=boot * 36), 610.0)
    assert expired(found, 1000.0) is (boot == "b")


def test_a_restarted_daemon_after_disarming_keeps_nothing() -> None:
    """The watchdog was fed without grants before."""
    found = granted(600.0, replace(HELD, disarmed=True))
    found.heard(HOST, STARTED, 610.0)
    assert not expired(found, 5000.0)


def test_an_older_contact_gives_way_to_what_another_recorded_later_and_keeps_its_grant() -> None:
    """The host answered the other leader since."""
    found = granted(600.0)
    found.inherit({HOST: ("c" * 36, False, 5.0)}, 610.0)
    assert found.contacts[HOST] == Contact("", "c" * 36, held=False, reason="", at=605.0, until=682.6)


def test_a_later_contact_stays() -> None:
    """The record of the leader before is older than what the host answered itself."""
    found = granted(600.0)
    before = found.contacts[HOST]
    found.inherit({HOST: ("c" * 36, False, 20.0)}, 610.0)
    assert found.contacts[HOST] == before


@pytest.mark.parametrize(("boot", "held"), [("b", True), ("c", False)])
def test_a_record_tells_a_new_worker_that_the_watchdog_ticks(boot: str, held: bool) -> None:
    """Daemon and worker were both started again: only the record knows that the watchdog was held."""
    found = leading(600.0)
    found.heard(HOST, STARTED, 600.0)
    found.inherit({HOST: (boot * 36, True, 30.0)}, 600.0)
    assert found.contacts[HOST].held is held


def test_hosts_that_are_not_armed_any_more_are_forgotten() -> None:
    """A host that is armed again would begin with the contact of its former lease."""
    found = granted(600.0)
    found.keep({8: None})
    assert found.contacts == {}
    found = granted(600.0)
    found.keep({HOST: None})
    assert list(found.contacts) == [HOST]
