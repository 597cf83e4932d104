"""Single flight: twenty scrapes at once cost one or two, and nobody gets data older than the question."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from exporter.single_flight import SingleFlight
from tests.waiting import PATIENCE, until


class Slow:
    """A collection that waits for a signal and counts itself."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self) -> int:
        number = next(self.numbers)
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)
        return number


def ask(flight: SingleFlight[int], times: int, results: list[int]) -> list[threading.Thread]:
    threads = [threading.Thread(target=lambda: results.append(flight())) for _ in range(times)]
    for thread in threads:
        thread.start()
    return threads


def test_twenty_at_once_cost_two() -> None:
    """Without it three scrapes at once take three times as long each, and oned three times the load."""
    slow = Slow()
    results: list[int] = []
    flight = SingleFlight(slow, lambda: None)
    first = ask(flight, 1, results)
    assert slow.begun.acquire(timeout=PATIENCE)
    others = ask(flight, 19, results)
    until(lambda: len(flight._change._waiters) == 19, "the others' coming")  # type: ignore[attr-defined]
    slow.go.release()
    assert slow.begun.acquire(timeout=PATIENCE)
    slow.go.release()
    for thread in first + others:
        thread.join(PATIENCE)
    assert sorted(results) == [1] + [2] * 19
    assert next(slow.numbers) == 3


def test_twenty_in_one_moment_cost_one() -> None:
    """Two Prometheus servers and their federation ask at the full minute: oned need not hear of it twice."""
    slow, pausing, paused = Slow(), threading.Event(), threading.Event()

    def pause() -> None:
        pausing.set()
        assert paused.wait(PATIENCE)

    results: list[int] = []
    flight = SingleFlight(slow, pause)
    first = ask(flight, 1, results)
    assert pausing.wait(PATIENCE)
    others = ask(flight, 19, results)
    until(lambda: len(flight._change._waiters) == 19, "the others' coming")  # type: ignore[attr-defined]
    paused.set()
    slow.go.release()
    for thread in first + others:
        thread.join(PATIENCE)
    assert results == [1] * 20
    assert next(slow.numbers) == 2


def test_nothing_is_older_than_the_question() -> None:
    """Who asks while a collection runs must not get what was collected before: that hid failures before."""
    slow = Slow()
    results: list[int] = []
    flight = SingleFlight(slow, lambda: None)
    early = ask(flight, 1, results)
    assert slow.begun.acquire(timeout=PATIENCE)
    late: list[int] = []
    waiting = ask(flight, 1, late)
    slow.go.release(2)
    for thread in early + waiting:
        thread.join(PATIENCE)
    assert (results, late) == ([1], [2])


def test_a_failure_reaches_all_who_wait_and_the_next_tries_again() -> None:
    """An error that is swallowed is an empty page."""
    answers: Iterator[ValueError | int] = iter([ValueError("broken"), 7])

    def collect() -> int:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    flight = SingleFlight(collect, lambda: None)
    with pytest.raises(ValueError, match="broken"):
        flight()
    assert flight() == 7
