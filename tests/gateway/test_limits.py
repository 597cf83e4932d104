"""Allowances: what is spent comes back by the second, and never more than at the beginning."""

from __future__ import annotations

import pytest

from gateway import limits
from gateway.limits import Buckets
from gateway.refusals import TooMany
from tests.gateway.test_sessions import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the allowances."""
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    return made


def refused(buckets: Buckets, key: str, tokens: float = 1.0) -> float:
    """Return the seconds that a client is told to wait."""
    with pytest.raises(TooMany) as found:
        buckets.take(key, tokens)
    return found.value.retry


def test_an_allowance_comes_back_by_the_second(clock: Clock) -> None:
    """A user who asks too often would wait for ever, or not at all."""
    buckets = Buckets(0.5, 3.0)
    for _ in range(3):
        buckets.take("a")
    assert refused(buckets, "a") == 2.0
    assert refused(buckets, "a", 2.0) == 4.0, "what is refused costs nothing"
    buckets.take("b")
    clock.now += 1.0
    assert refused(buckets, "a") == 1.0
    clock.now += 1.0
    buckets.take("a")
    assert refused(buckets, "a") == 2.0
    clock.now += 1000.0
    for _ in range(3):
        buckets.take("a")
    assert refused(buckets, "a") == 2.0, "no more than at the beginning"


def test_looking_takes_nothing(clock: Clock) -> None:
    """Every request of a user would count as a failed login."""
    buckets = Buckets(0.5, 1.5)
    for _ in range(9):
        buckets.demand("a")
    buckets.take("a", 0.5)
    buckets.demand("a")
    buckets.take("a", 0.5)
    with pytest.raises(TooMany) as found:
        buckets.demand("a")
    assert found.value.retry == 1.0
    clock.now += 1.0
    buckets.demand("a")


def test_work_that_is_done_is_charged_up_to_what_is_left(clock: Clock) -> None:
    """One decision that took long would keep a user out for minutes."""
    buckets = Buckets(0.5, 3.0)
    buckets.charge("a", 1.0)
    buckets.take("a", 2.0)
    clock.now += 2.0
    buckets.charge("a", 500.0)
    assert refused(buckets, "a") == 2.0


def test_of_many_the_one_that_was_used_longest_ago_is_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory has a bound, and who asks all the time gets no new allowance by it."""
    monkeypatch.setattr(limits, "_MOST", 2)
    buckets = Buckets(0.5, 2.0)
    for key in ("a", "b", "a", "c"):
        buckets.take(key)
    assert refused(buckets, "a") > 0
    for _ in range(2):
        buckets.take("b")
    assert clock.now == 1000.0
