"""Tables for people: they fit a terminal, break no word, and carry no colour into a pipe."""

from __future__ import annotations

import sys

import click
import pytest

from onext import table
from onext.command import find, json_option

ROWS = [
    {
        "check": "power: bmc.yaml",
        "state": "fail",
        "message": "host 12: its BMC at 10.0.0.12 refuses the password of the entry",
    },
    {"check": "worker", "state": "ok", "message": "runs"},
]
COLUMNS = ("check", "state", "message")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print to a terminal of 50 columns."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.usefixtures("terminal")
def test_a_table_fits_a_terminal_and_breaks_no_word() -> None:
    """Lines that the terminal wraps in the middle of a word are hard to read and to copy."""
    lines = table.lines(ROWS, COLUMNS)
    assert all(len(line) <= 50 for line in lines)
    words = " ".join(lines).split()
    for word in ROWS[0]["message"].split():
        assert word in words


def test_a_pipe_gets_everything_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that reads columns would lose what a terminal wraps."""
    monkeypatch.setenv("COLUMNS", "20")
    assert len(table.lines(ROWS, COLUMNS)) == 3


@pytest.mark.usefixtures("terminal")
def test_wide_does_not_wrap() -> None:
    """Who asks for everything gets it, on a terminal too."""
    seen = []

    @click.command()
    @json_option
    def command(*, as_json: bool) -> None:
        seen.append((as_json, len(table.lines(ROWS, COLUMNS))))

    command.main(["--wide"], standalone_mode=False)
    command.main([], standalone_mode=False)
    assert seen[0] == (False, 3)
    assert seen[1][1] > 3


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape sequences in a log or a pipe break what reads them."""
    assert table.coloured("fail", "fail") == "fail"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert table.coloured("fail", "fail") != "fail"
    monkeypatch.setenv("NO_COLOR", "1")
    assert table.coloured("fail", "fail") == "fail"


def test_numbers_that_are_wide_stay_whole() -> None:
    """An id that is cut is another object's id."""
    assert "123456789" in table.lines([{"id": 123456789, "name": "x"}], ("id", "name"))[1]


@pytest.mark.usefixtures("terminal")
def test_a_row_that_does_not_fit_becomes_several_lines() -> None:
    """A host's name that is broken in two cannot be typed into the next command."""
    name = "node-stockholm-rack-12-unit-07.edge.example"
    row = {"id": 7, "name": name, "state": "monitored", "reason": "its VMs find no place on the other hosts"}
    found = table.lines([row, row], ("id", "name", "state", "reason"))
    assert name in " ".join(found)
    assert all(len(line) <= 50 or name in line for line in found)
    assert {"ID 7", "STATE monitored"} <= {part.strip() for line in found for part in line.split("  ")}


def test_a_sentence_is_wrapped_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal would break it anywhere."""
    monkeypatch.setattr(table, "fits", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    table.echo("  " + "summary " * 20)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert {word for line in lines for word in line.split()} == {"summary"}
    assert all(line.startswith("  ") for line in lines)


class Host:
    """A named object."""

    def __init__(self, number: int, name: str) -> None:
        self.id, self.name = number, name


HOSTS = [Host(3, "node-a"), Host(4, "node-b"), Host(5, "node-b"), Host(6, "7")]


def test_objects_are_found_by_id_and_by_name() -> None:
    """Clusters were taken by id only, hosts by name in one command and by id in another."""
    assert find(HOSTS, "node-a", "host").id == 3
    assert find(HOSTS, "4", "host").id == 4


@pytest.mark.parametrize(
    ("text", "reason"), [("node-b", "4, 5"), ("nobody", "not found"), ("7", "not found")]
)
def test_an_object_that_is_not_certain_is_refused(text: str, reason: str) -> None:
    """A name that two hosts bear, or a number that is another host's name, would switch off the wrong one."""
    with pytest.raises(click.UsageError, match=reason):
        find(HOSTS, text, "host")
