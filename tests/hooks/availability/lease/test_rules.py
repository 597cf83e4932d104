"""Each rule of the lease alone, on a virtual clock: what it prevents happens without it."""

from __future__ import annotations

import pytest

from hooks.availability.lease import challenges, ledger
from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.grants import ARMED, Armed, Arming
from hooks.availability.lease.onext_lease import daemon as node_daemon
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from tests.hooks.availability.lease import played_node
from tests.hooks.availability.lease.played_node import HOST, KEY, LEASE, SECRET, WATCHDOG, Played


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Return a host that is armed and granted by server 0."""
    monkeypatch.setattr(node_daemon, "now", node_daemon.now)  # restored afterwards
    made = Played.begin()
    made.work(4)
    assert made.leading.granter.armed() == {HOST}
    return made


def test_a_host_that_is_cut_off_resets_and_only_then_counts_as_dead(played: Played) -> None:
    """VMs of an edge host would start twice, or never."""
    played.world.connected = set()
    assert played.work(17)
    assert not played.world.on


def test_a_lease_counts_until_the_watchdog_has_surely_fired(played: Played) -> None:
    """The front-end that granted for hours waits for nothing but this lease."""
    assert not played.work(20)
    played.world.connected = set()
    assert played.work(17)


def wait_for_the_last_feeding(played: Played, watchdog: float = WATCHDOG) -> None:
    """Let time pass until the daemon may feed for one second more."""
    daemon = played.world.daemon
    assert daemon is not None
    assert daemon.lease.until is not None
    played.world.advance((daemon.lease.until - played.world.node_clock()) / 1000 - watchdog - 1)


def feed_at_the_last_moment(played: Played, watchdog: float = WATCHDOG) -> None:
    """Let the daemon check in time, feed as late as the watchdog allows, and hang; the front-end writes on."""
    wait_for_the_last_feeding(played, watchdog)
    fed, played.world.pause_before_feeding = played.world.fed, watchdog - 0.5
    played.world.tell(None)
    assert played.world.fed != fed
    played.world.stopped = True
    played.leading.round()


def test_vms_end_at_once_when_the_grants_end(played: Played) -> None:
    """The time in which the watchdog fires is a reserve, not a time in which VMs go on writing."""
    played.world.connected = set()
    wait_for_the_last_feeding(played)
    assert played.world.vms
    played.world.advance(2.0)
    assert not played.world.vms


@pytest.mark.parametrize("stops", ["stopped", "killed"])
def test_a_daemon_that_stops_resets_its_node(played: Played, stops: str) -> None:
    """A daemon that hangs must not keep its node running past the lease."""
    if stops == "stopped":
        played.world.stopped = True
    else:
        played.world.daemon = None
    played.world.advance(WATCHDOG)
    assert not played.world.on
    assert played.work(17)


def test_a_pause_between_the_check_and_the_feeding_is_covered(played: Played) -> None:
    """A daemon that is descheduled at the worst moment feeds once too late."""
    played.work(20)  # the front-end has granted for so long that it waits for nothing but this lease
    played.world.advance(0.5)
    played.world.connected = set()
    feed_at_the_last_moment(played)
    assert played.work(20)


def test_a_daemon_that_feeds_late_hangs_and_is_killed_is_covered(played: Played) -> None:
    """The kernel feeds a watchdog once more when its file is closed: the node would run past its proof of death."""
    played.work(20)
    played.world.advance(0.5)
    played.world.connected = set()
    feed_at_the_last_moment(played)
    played.world.advance(WATCHDOG - 1)
    played.leading.round()
    played.world.start_daemon()
    assert played.world.fed == played.world.time
    for _ in range(40):
        played.world.advance(0.5)
        played.holds()
    assert played.work(5)


def test_a_healthy_host_is_granted_for_an_hour(played: Played) -> None:
    """A lease that ends although all is well resets hosts with running VMs."""
    assert not played.work(360)
    assert played.world.boot == 0


def test_an_old_leader_whose_write_fails_grants_nothing(played: Played) -> None:
    """It would keep a host running that the new leader takes for dead."""
    played.world.connected = {0}
    played.world.leader = 1
    for _ in range(20):
        played.fronts[0].round()
        played.work(1)
    assert not played.world.on


def test_a_new_leader_waits_for_what_the_old_one_may_have_granted_last(played: Played) -> None:
    """A grant of the last second counts for a whole lease."""
    played.world.connected = {0}
    played.fronts[0].round()
    played.world.leader = 1
    assert played.work(19)
    assert not played.world.on


def test_a_new_leader_waits_for_the_slowest_watchdog_and_its_last_feedings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not know how long the watchdog takes that the old leader's last grant lets the daemon feed."""
    monkeypatch.setattr(node_daemon, "now", node_daemon.now)
    monkeypatch.setattr(played_node, "WATCHDOG", ledger.WATCHDOG)
    played = Played.begin()
    played.work(20)
    played.world.advance(0.5)
    played.world.connected, played.world.leader = set(), 1
    played.leading.round()
    feed_at_the_last_moment(played, ledger.WATCHDOG)
    played.world.advance(ledger.WATCHDOG - 1)
    played.world.start_daemon()
    assert played.world.fed == played.world.time
    for number in range(80):
        played.world.advance(0.5)
        played.holds()
        if number % 20 == 0:
            played.leading.round()
    assert played.work(10)


def test_a_late_or_replayed_grant_extends_nothing(played: Played) -> None:
    """Whoever records the traffic could keep a host alive that was taken for dead."""
    played.world.connected = set()
    recorded = played.world.sent[-1]
    for _ in range(60):
        played.world.advance(1.0)
        played.world.tell(recorded)
    assert not played.world.on


def test_a_grant_for_an_earlier_start_of_the_daemon_counts_for_nothing(played: Played) -> None:
    """After a restart the times of the former challenge tell nothing."""
    recorded = played.world.sent[-1]
    played.world.start_daemon()
    played.world.tell(recorded)
    assert played.world.daemon is not None
    assert played.world.daemon.lease.until is None


def test_a_lower_epoch_is_refused(played: Played) -> None:
    """A front-end that no longer leads must not prolong anything."""
    daemon, clock = played.world.daemon, played.world.node_clock
    assert daemon is not None
    reply = daemon.step(challenges.hello(KEY, HOST, "n"))
    assert reply is not None
    answered = challenges.read(KEY, HOST, "n", reply)
    assert answered is not None
    before = daemon.lease.until
    played.world.tell(challenges.grant(KEY, HOST, answered, daemon.lease.epoch - 1, 600.0))
    assert daemon.lease.until == before
    played.world.tell(challenges.grant(KEY, HOST, answered, daemon.lease.epoch, 600.0))
    assert daemon.lease.until == clock() + 600_000


def test_messages_that_are_not_sealed_with_the_hosts_key_are_ignored(played: Played) -> None:
    """Anybody in the network could otherwise reset hosts, or keep them running."""
    daemon = played.world.daemon
    assert daemon is not None
    for data in (
        b"",
        b"onext-lease 1 0 {}",
        challenges.hello(b"other", HOST, "n"),
        challenges.hello(KEY, 8, "n"),
        b"x" * 5000,
    ):
        assert daemon.step(data) is None


def run_without_the_watchdog(played: Played, reason: str) -> None:
    """Let a daemon that was started again find no watchdog, then cut the host off: nothing is a proof."""
    assert played.world.daemon is not None
    played.world.daemon.node.unfit = lambda: reason  # type: ignore[method-assign]
    played.world.fed = None
    played.work(2)
    played.world.connected = set()
    assert not played.work(20)


def test_a_host_whose_watchdog_is_not_held_proves_nothing(played: Played) -> None:
    """It was started again without a watchdog: it does not reset when its grants end."""
    played.world.start_daemon()
    run_without_the_watchdog(played, "softdog does not count")
    status = played.leading.status()
    assert status is not None
    assert "softdog" in status.detail


@pytest.mark.parametrize("worker", ["runs on", "starts anew"])
def test_a_host_that_fails_before_the_first_grant_of_a_restarted_daemon_counts_as_dead(
    played: Played, worker: str
) -> None:
    """A daemon that crashes shortly before its host would leave the VMs down until a person comes."""
    played.world.start_daemon()
    if worker == "starts anew":
        played.leading.restart()
    played.leading.round()
    played.world.connected = set()  # its grant is lost
    assert played.work(20)
    assert not played.world.on


def test_a_restarted_daemon_that_does_not_get_the_watchdog_proves_nothing(played: Played) -> None:
    """Another program has it, and feeds it without grants."""
    played.world.start_daemon()
    played.leading.round()
    run_without_the_watchdog(played, "another program holds it")


def test_the_first_grant_after_a_restart_counts_with_the_longest_watchdog(played: Played) -> None:
    """The daemon does not know yet how long the watchdog takes that it will feed, once too late, and then hangs."""
    played.work(20)
    played.world.advance(8.0)
    played.world.start_daemon()
    played.leading.round()
    played.world.advance(0.5)
    played.world.connected = set()
    feed_at_the_last_moment(played)
    assert played.work(20)


def test_a_host_that_answered_others_after_its_daemon_proves_nothing(played: Played) -> None:
    """It may have booted without the daemon and run VMs since."""
    played.world.connected = set()
    played.work(17)
    status = played.leading.status(40.0)
    assert status is not None
    assert not status.expired


def test_a_front_end_that_cannot_write_takes_nothing_for_a_proof(played: Played) -> None:
    """Another front-end may grant meanwhile."""
    played.world.connected = set()
    played.world.leader = 1
    played.world.advance(200.0)
    assert not played.fronts[0].expired()


def test_a_host_that_is_being_disarmed_proves_nothing(played: Played) -> None:
    """The order may have arrived though its acknowledgement did not."""
    documents: Documents[Armed] = Documents(played.pool, ARMED)  # type: ignore[arg-type]
    stored = documents.get(HOST)
    assert stored is not None
    documents.put(HOST, Armed(Arming.DISARMING, "node", "salt", SECRET.name, 1, 0.0), stored.version)
    played.world.connected = set()
    assert not played.work(20)


def test_disarming_ends_the_proof_before_the_daemon_is_told(played: Played) -> None:
    """A disarmed host runs on without grants: its lease must never be taken for expired."""
    documents: Documents[Armed] = Documents(played.pool, ARMED)  # type: ignore[arg-type]
    stored = documents.get(HOST)
    assert stored is not None
    documents.put(HOST, Armed(Arming.DISARMING, "node", "salt", SECRET.name, 1, 0.0), stored.version)
    played.work(2)
    assert documents.get(HOST) is None
    played.world.connected = set()
    assert not played.work(20)
    assert played.world.vms


def test_a_front_end_that_leads_again_counts_what_the_other_granted_meanwhile(played: Played) -> None:
    """Two elections between two of its rounds: its own grants have ended, the other's have not."""
    played.world.connected = set()
    assert played.work(20)
    played.world.returns_after = 0.0
    played.world.advance(2.0)
    played.world.leader, played.world.connected = 1, {1}
    played.fronts[1].round()
    played.world.leader = 0
    played.world.advance(1.0)
    assert played.world.vms
    assert not played.holds()
    assert not played.work(5)


def test_an_expiry_that_cannot_be_compared_with_the_record_proves_nothing(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the record the front-end does not know whether another one granted last."""
    played.world.connected = set()
    assert played.work(17)
    monkeypatch.setattr(Documents, "get", _unreadable)
    status = played.leading.status()
    assert status is not None
    assert not status.expired
    assert "cannot be read" in status.detail


def _unreadable(*_: object) -> None:
    raise OnedError("no answer")


def test_a_watchdog_that_takes_longer_than_may_be_proves_nothing_and_resets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its driver keeps a timeout of its own: the proof would come early, or the node reset at its first grant."""
    monkeypatch.setattr(node_daemon, "now", node_daemon.now)
    monkeypatch.setattr(played_node, "WATCHDOG", LEASE + 10.0)
    played = Played.begin()
    played.work(30)
    assert played.world.boot == 0
    assert played.leading.granter.armed() == frozenset()
    assert played.world.daemon is not None
    assert "more than 30 s" in played.world.daemon.lease.reason
    played.world.connected = set()
    assert not played.work(20)
    assert played.world.boot == 0


def test_a_host_that_reports_a_longer_watchdog_than_may_be_proves_nothing(played: Played) -> None:
    """A node with another program than this one: a new leader waits for thirty seconds."""
    answered = Challenge("s" * 32, 1, "b" * 36, True, "", ledger.WATCHDOG + 1, disarmed=False)
    assert not ledger.counts(answered)
    book = ledger.Ledger(LEASE)
    for now in range(0, 500, 5):
        book.heard(HOST, answered, float(now))
        book.wrote(float(now), 0.0, own=now > 0)
        book.granted(HOST, answered, float(now))
    book.wrote(900.0, 0.0, own=True)
    assert not book.status(HOST, 900.0, silent=float("inf")).expired
