"""What a report is made from: one line every ten minutes that survives restarts and cuts."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.power import ledger
from hooks.power.ledger import Entry, enter, entry, read, since
from hooks.power.round_state import Tally
from onext.hosts.energy import Curve
from onext.hosts.model import Claim, Cluster, Host, Phase, Record
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState

NOW = 1_800_000_000.0
FIRST = Entry(NOW, 4, 1, 3.6e6, 3600, 2, 1, 5, 10.0)


def test_lines_come_every_ten_minutes(tmp_path: Path) -> None:
    """A line each minute would be a file that nobody reads in a second."""
    for minute in range(31):
        enter(tmp_path, 100, replace(FIRST, when=NOW + 60 * minute, on=minute))
    assert [one.on for one in read(tmp_path, 100)] == [0, 10, 20, 30]
    assert read(tmp_path, 101) == []


def test_a_line_that_was_cut_off_costs_itself_only(tmp_path: Path) -> None:
    """A front-end that lost power would lose the report of a year."""
    enter(tmp_path, 100, FIRST)
    file = tmp_path / "power-ledger/100.csv"
    file.write_bytes(file.read_bytes() + b"1800000600,4,1,3.\n\xff\xfe\n")
    enter(tmp_path, 100, replace(FIRST, when=NOW + 1200))
    assert [one.when for one in read(tmp_path, 100)] == [NOW, NOW + 1200]


def test_a_clock_that_was_set_back_does_not_stop_it(tmp_path: Path) -> None:
    """One line from the future would keep all others out."""
    enter(tmp_path, 100, replace(FIRST, when=NOW + 9e6))
    enter(tmp_path, 100, FIRST)
    assert len(read(tmp_path, 100)) == 2


def test_the_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up takes the front-end with it."""
    monkeypatch.setattr(ledger, "LARGEST", 2000)
    for step in range(200):
        enter(tmp_path, 100, replace(FIRST, when=NOW + 600 * step))
    kept = read(tmp_path, 100)
    assert (tmp_path / "power-ledger/100.csv").stat().st_size <= 2000
    assert kept[-1].when == NOW + 600 * 199
    assert [b.when - a.when for a, b in itertools.pairwise(kept)] == [600] * (len(kept) - 1)


def test_a_period_starts_with_what_had_been_counted_before() -> None:
    """What was saved between the last line before and the beginning would be lost."""
    entries = [replace(FIRST, when=NOW + 600 * step) for step in range(5)]
    assert since(entries, NOW + 1500) == entries[2:]
    assert since(entries, NOW - 1) == entries
    assert since(entries, NOW + 9e9) == entries[4:]


def test_a_host_that_sleeps_counts_while_it_sleeps() -> None:
    """A host that is off for a month would have saved nothing until it wakes."""
    awake = Host(0, "a", HostState.MONITORED, Size(800, 16_384), record=Record(joules=1e6, wakes=2))
    asleep = Host(1, "b", HostState.OFFLINE, Size(800, 16_384), claim=Claim(Phase.OFF, NOW - 7200))
    found = entry(Cluster(100, "alpha", (awake, asleep), ()), Tally(3, 0.0, NOW, 2.0), NOW)
    assert (found.on, found.off, found.wakes, found.migrations) == (1, 1, 2, 3)
    assert found.joules == 1e6 + Curve().saved(7200, 180)
    assert found.off_seconds == 7200
    assert found.net_joules == found.joules - 2 * 525


@pytest.mark.parametrize(("later", "lines"), [(599.0, 1), (600.0, 2), (0.0, 1), (-1.0, 2)])
def test_a_line_is_due_after_ten_minutes(tmp_path: Path, later: float, lines: int) -> None:
    """The curve of a report would have holes, or the file a line for each round."""
    enter(tmp_path, 100, FIRST)
    enter(tmp_path, 100, replace(FIRST, when=NOW + later))
    assert len(read(tmp_path, 100)) == lines


def test_a_file_that_is_too_large_loses_its_older_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest year is the one that people ask for; a file at its limit is whole."""
    for step in range(9):
        enter(tmp_path, 100, replace(FIRST, when=NOW + 600 * step))
    file = tmp_path / "power-ledger/100.csv"
    monkeypatch.setattr(ledger, "LARGEST", file.stat().st_size * 10 // 9)
    enter(tmp_path, 100, replace(FIRST, when=NOW + 5400))
    assert len(read(tmp_path, 100)) == 10
    enter(tmp_path, 100, replace(FIRST, when=NOW + 6000))
    assert [one.when for one in read(tmp_path, 100)] == [NOW + 600 * step for step in range(5, 11)]


def test_a_last_line_that_was_cut_off_keeps_no_other_out(tmp_path: Path) -> None:
    """After a power failure nothing would be written for ever, because the last line never gets old."""
    enter(tmp_path, 100, FIRST)
    with (tmp_path / "power-ledger/100.csv").open("ab") as file:
        file.write(b"9" * 2000 + b",4,1\n")
    for step in (1, 2):
        enter(tmp_path, 100, replace(FIRST, when=NOW + 600 * step))
    assert len(read(tmp_path, 100)) == 3


def test_a_period_begins_with_the_line_at_its_beginning() -> None:
    """Ten minutes more than asked for would be counted."""
    entries = [replace(FIRST, when=NOW + 600 * step) for step in range(3)]
    assert since(entries, NOW + 600) == entries[1:]
    assert since([], NOW) == []
