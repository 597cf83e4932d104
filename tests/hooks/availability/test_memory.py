"""What a process keeps between rounds: how long it has seen an incident, by a clock that only advances."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.availability.memory import MOST_FAILED, Boots, Memory, Obstructed
from hooks.availability.model import Incident, Phase

INCIDENT = Incident(7, "a", 1, Phase.SUSPECT, 1000.0, 1000.0)


def test_time_in_a_phase_begins_anew_with_the_phase_and_that_of_an_incident_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host would be fenced before its confirmation time is over, or never."""
    clock = [50.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    memory, seen = Memory(), []
    confirm = replace(INCIDENT, phase=Phase.CONFIRM, since=1030.0)
    for now, one in (
        (50.0, INCIDENT),
        (80.0, INCIDENT),
        (90.0, confirm),
        (95.0, confirm),
        (99.0, replace(confirm, since=1060.0)),
        (100.0, replace(confirm, first=1061.0, since=1060.0)),
        (101.0, replace(confirm, first=1061.0, since=1060.0)),
    ):
        clock[0] = now
        seen.append((memory.waited({7: one})[7], memory.suspected({7: one})[7]))
    assert seen == [(0.0, 0.0), (30.0, 30.0), (0.0, 40.0), (5.0, 45.0), (0.0, 49.0), (1.0, 0.0), (2.0, 1.0)]
    assert (memory.waited({}), memory.suspected({})) == ({}, {})
    clock[0] = 200.0
    again = replace(confirm, first=1061.0, since=1060.0)
    assert (memory.waited({7: again}), memory.suspected({7: again})) == ({7: 0.0}, {7: 0.0})


def test_a_host_that_is_not_reported_any_more_is_forgotten() -> None:
    """Memory grows with every host that ever was, and a host that comes back under the id is taken for rebooted."""
    boots = Boots()
    boots.rebooted({1: "a"}, ())
    assert boots.rebooted({}, ()) == frozenset()
    assert boots.known == {}
    assert boots.rebooted({1: "b"}, ()) == frozenset()


def test_an_incident_that_does_not_proceed_is_reported_once() -> None:
    """Its record cannot be written, for example: its VMs stay down, and only the log knows."""
    one, told = Obstructed(), []
    for number in range(100):
        told += [(number, host) for host in one.note({1: "no quorum"} if number != 50 else {2: "x"})]
    assert told == [(MOST_FAILED - 1, 1), (50 + MOST_FAILED, 1)]
