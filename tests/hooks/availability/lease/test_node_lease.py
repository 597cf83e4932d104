"""The lease as the node counts it, to the millisecond, and what it refuses to read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hooks.availability.lease import challenges
from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.onext_lease.lease import (
    LARGEST,
    LONGEST_LEASE,
    MAGIC,
    NO_GRANT,
    Lease,
    seal,
    unseal,
    whole,
)

KEY, HOST, SESSION, BOOT = b"k" * 32, 7, "5" * 32, "b" * 36
GRANT = {"kind": "grant", "host": HOST, "session": SESSION, "sent": 1000, "epoch": 5, "lease": 60_000}


@pytest.fixture
def lease() -> Lease:
    """Return a lease before its first grant."""
    return Lease(HOST, KEY, SESSION, BOOT)


def tell(lease: Lease, now: int = 2000, /, **changed: Any) -> None:
    """Let a grant come, with some fields changed."""
    assert lease.answer(seal(KEY, {**GRANT, **changed}), now) is None


def counted(lease: Lease) -> tuple[int | None, int]:
    """Return until when the lease counts, and how long the last grant was."""
    return lease.until, lease.lease


def ask(lease: Lease, now: int, nonce: object = "n") -> dict[str, Any]:
    """Return the answer to a hello."""
    reply = lease.answer(seal(KEY, {"kind": "hello", "host": HOST, "nonce": nonce}), now)
    assert reply is not None
    found = unseal(KEY, reply)
    assert found is not None
    return found


def test_it_begins_without_a_grant(lease: Lease) -> None:
    """A node that has just started runs no VMs."""
    assert not lease.granted(0)
    assert not lease.feeds(0)
    assert ask(lease, 17) == {
        "kind": "challenge", "host": HOST, "nonce": "n", "session": SESSION, "sent": 17, "boot": BOOT,
        "held": False, "reason": NO_GRANT, "watchdog": 0, "disarmed": False,
    }  # fmt: skip


def test_a_grant_counts_from_the_challenge_that_it_answers(lease: Lease) -> None:
    """One that was delayed for half a minute would count half a minute too long."""
    tell(lease, 30_000)
    assert lease.lease == 60_000
    assert lease.granted(60_999)
    assert not lease.granted(61_000)


def test_feeding_stops_one_watchdog_before_the_end(lease: Lease) -> None:
    """The watchdog fires when the lease ends, not later."""
    tell(lease)
    lease.held, lease.watchdog = True, 10_000
    assert lease.feeds(50_999)
    assert not lease.feeds(51_000)
    assert lease.ended
    tell(lease, 51_001, sent=51_000)
    assert not lease.granted(51_001)
    assert not lease.feeds(51_001)
    assert not ask(lease, 51_001)["held"]


def test_a_grant_that_has_ended_or_ends_earlier_changes_nothing(lease: Lease) -> None:
    """Datagrams overtake each other."""
    tell(lease, 61_000)
    assert counted(lease) == (None, 0)
    tell(lease, 60_999)
    assert counted(lease) == (61_000, 60_000)
    tell(lease, 2000, sent=500)
    assert counted(lease) == (61_000, 60_000)
    tell(lease, 2000, lease=60_001)
    assert counted(lease) == (61_001, 60_001)


@pytest.mark.parametrize(
    "changed",
    [
        {"session": "6" * 32}, {"host": 8}, {"kind": "hello"}, {"epoch": 4}, {"sent": 2001}, {"sent": -1},
        {"lease": LONGEST_LEASE + 1}, {"lease": -1}, {"lease": True}, {"lease": "60000"}, {"lease": 1.5},
        {"epoch": (1 << 60) + 1}, {"epoch": None}, {"sent": [1]},
    ],
)  # fmt: skip
def test_a_grant_for_others_or_out_of_range_is_refused(lease: Lease, changed: dict[str, Any]) -> None:
    """A sealed message of an earlier leader, of another start or of a broken clock extends nothing."""
    tell(lease, epoch=5, sent=2)
    before = lease.until, lease.lease, lease.epoch
    data = seal(KEY, {**GRANT, "lease": 70_000, **changed})
    assert lease.answer(data, 2000) is None
    assert (lease.until, lease.lease, lease.epoch) == before


def test_the_highest_epoch_is_kept(lease: Lease) -> None:
    """The next leader's epoch is higher; the one before must not grant again."""
    tell(lease, epoch=1 << 60)
    tell(lease, epoch=6, sent=2000)
    assert lease.until == 61_000
    tell(lease, epoch=1 << 60, sent=2000, lease=LONGEST_LEASE)
    assert lease.until == 2000 + LONGEST_LEASE


@pytest.mark.parametrize("nonce", ["n" * 65, 5, None, ["n"]])
def test_a_hello_with_a_strange_nonce_is_not_answered(lease: Lease, nonce: object) -> None:
    """The answer must fit one datagram."""
    assert lease.answer(seal(KEY, {"kind": "hello", "host": HOST, "nonce": nonce}), 0) is None
    assert ask(lease, 0, "n" * 64)["nonce"] == "n" * 64


def test_a_long_reason_is_cut(lease: Lease) -> None:
    """Whatever a driver reports, the answer fits one datagram."""
    lease.reason = "x" * 5000
    assert ask(lease, 0)["reason"] == "x" * 200


def disarm(sent: int = 1000, **changed: Any) -> bytes:
    """Return the order to feed without grants."""
    order = {"kind": "disarm", "host": HOST, "session": SESSION, "sent": sent, "epoch": 5, "nonce": "d"}
    return seal(KEY, {**order, **changed})


def test_a_disarmed_node_feeds_without_grants(lease: Lease) -> None:
    """It would reset although its lease was ended by its administrator."""
    tell(lease)
    lease.held, lease.watchdog = True, 10_000
    reply = lease.answer(disarm(), 61_000)
    assert reply is not None
    found = unseal(KEY, reply)
    assert found is not None
    assert (found["disarmed"], found["nonce"]) == (True, "d")
    assert lease.feeds(10**9)


@pytest.mark.parametrize(
    ("data", "now"), [(disarm(), 61_001), (disarm(session="6" * 32), 2000), (disarm(epoch=4), 2000)]
)
def test_an_old_or_foreign_order_to_disarm_is_refused(lease: Lease, data: bytes, now: int) -> None:
    """A recorded one would keep a host running that was taken for dead."""
    tell(lease)
    assert lease.answer(data, now) is None
    assert not lease.disarmed


def test_a_node_whose_lease_ended_is_not_disarmed(lease: Lease) -> None:
    """Others may have started its VMs."""
    lease.ended = True
    assert lease.answer(disarm(), 2000) is None
    assert not lease.disarmed


@pytest.mark.parametrize(
    "data", [b"", b"x", MAGIC, MAGIC + b"0" * 64 + b" {}", seal(b"other", GRANT), b"y" * 2000]
)
def test_what_is_not_sealed_with_the_key_is_not_read(data: bytes) -> None:
    """Everybody can send datagrams."""
    assert unseal(KEY, data) is None


def test_a_sealed_message_is_bounded_and_an_object() -> None:
    """A large or deep one would hold the daemon up, which then does not feed."""
    assert unseal(KEY, seal(KEY, GRANT)) == GRANT
    assert unseal(KEY, seal(KEY, {"x": "y" * LARGEST})) is None
    assert unseal(KEY, seal(KEY, [1])) is None  # type: ignore[arg-type]
    assert len(seal(KEY, {"x": "y" * (LARGEST - len(seal(KEY, {"x": ""})))})) == LARGEST
    assert unseal(KEY, seal(KEY, {"x": "y" * (LARGEST - len(seal(KEY, {"x": ""})))})) is not None


def test_the_order_of_fields_does_not_matter_to_the_seal() -> None:
    """Front-end and node may have different releases of Python."""
    assert seal(KEY, {"b": 1, "a": 2}) == seal(KEY, {"a": 2, "b": 1})


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 11])
def test_a_number_is_whole_and_within_range(value: object) -> None:
    """A boolean or a negative number would be read as a time."""
    with pytest.raises(ValueError, match="within range"):
        whole({"x": value}, "x", 10)
    assert [whole({"x": number}, "x", 10) for number in (0, 10)] == [0, 10]


ANSWER: dict[str, Any] = {
    "kind": "challenge", "host": HOST, "nonce": "n", "session": SESSION, "sent": 1000, "boot": BOOT,
    "held": True, "reason": "", "watchdog": 10_000, "disarmed": False,
}  # fmt: skip


def test_the_front_end_reads_what_the_node_answers(lease: Lease) -> None:
    """Milliseconds of the watchdog become seconds."""
    found = challenges.read(KEY, HOST, "n", seal(KEY, ANSWER))
    assert found == Challenge(SESSION, 1000, BOOT, held=True, reason="", watchdog=10.0, disarmed=False)
    tell(lease, 2000)
    data = challenges.grant(KEY, HOST, found, 6, 60.5)
    assert unseal(KEY, data) == {**GRANT, "epoch": 6, "lease": 60_500}
    assert lease.answer(challenges.disarm(KEY, HOST, found, 6, "d"), 2000) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "hello"}, {"host": 8}, {"nonce": "m"}, {"session": "5" * 31}, {"session": "x" * 32},
        {"boot": "b" * 35}, {"boot": "z" * 36}, {"boot": 5}, {"held": 1}, {"held": None}, {"disarmed": "no"},
        {"sent": -1}, {"sent": (1 << 60) + 1}, {"watchdog": LONGEST_LEASE + 1}, {"watchdog": True},
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_not_read(changed: dict[str, Any]) -> None:
    """A broken node must not count as one that holds its watchdog."""
    assert challenges.read(KEY, HOST, "n", seal(KEY, {**ANSWER, **changed})) is None
    assert challenges.read(KEY, HOST, "n", json.dumps(ANSWER).encode()) is None


def test_a_reason_is_one_short_line() -> None:
    """It is printed in logs and on the page."""
    found = challenges.read(KEY, HOST, "n", seal(KEY, {**ANSWER, "reason": "a\nb" + "c" * 300}))
    assert found is not None
    assert found.reason == "a?b" + "c" * 196 + "…"
