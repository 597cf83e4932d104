"""`onext events`, on an outbox that the worker would have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hooks.events import filters, part
from hooks.events.changes import difference
from hooks.events.commands import events
from hooks.events.facts import Facts, Object
from hooks.events.outbox import Outbox
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.events import Events, EventSink

SINK = EventSink(name="portal", kind="file", path=Path("/nonexistent/events.jsonl"))


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a front-end with one sink and three committed events."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    made = Context(Paths.find(), Settings(events=Events(sinks=(SINK,))))
    outbox = Outbox(part.file(made))
    state: dict[Object, Facts] = {Object("vm", n): {"name": f"vm{n}", "state": "ACTIVE"} for n in range(3)}
    outbox.append(difference({}, state), {"portal": filters.accepts(SINK)}, 1e9)
    outbox.bury("portal", 2, "HTTP 400")
    outbox.acknowledged("portal", 3)
    outbox.close()
    return made


def run(context: Context, *words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(events, words, obj=context, catch_exceptions=False)


def test_dead_letters_are_listed_and_sent_again(context: Context) -> None:
    """An administrator who corrected a receiver wants it to get what it refused."""
    (row,) = json.loads(run(context, "status", "--json").stdout)
    assert (row["waiting"], row["dead"]) == (0, 1)
    (letter,) = json.loads(run(context, "dead", "list", "portal", "--json").stdout)
    assert (letter["subject"], letter["reason"]) == ("vm/1", "HTTP 400")
    assert "1 events" in run(context, "dead", "retry", "portal").stdout
    (row,) = json.loads(run(context, "status", "--json").stdout)
    assert (row["waiting"], row["dead"]) == (1, 0)


def test_events_are_replayed_and_a_snapshot_is_queued(context: Context) -> None:
    """A receiver that lost its data gets it again."""
    run(context, "replay", "portal", "--from", "1")
    (row,) = json.loads(run(context, "status", "--json").stdout)
    assert row["waiting"] == 3
    assert "3 objects" in run(context, "snapshot", "portal").stdout
    lines = run(context, "tail", "--since", "0", "--json").stdout.splitlines()
    assert [json.loads(line)["subject"] for line in lines][:3] == ["vm/0", "vm/1", "vm/2"]


def test_a_receiver_gets_one_snapshot_an_hour_on_request(context: Context) -> None:
    """A receiver that asks without end would have the whole state sent without end."""
    assert "3 objects" in run(context, "snapshot", "--hourly", "portal").stdout
    again = run(context, "snapshot", "--hourly", "portal")
    assert (again.exit_code, "60 min" in again.output) == (1, True)
    assert "3 objects" in run(context, "snapshot", "portal").stdout, "a person is not limited"


def test_an_unknown_sink_is_named(context: Context) -> None:
    """A typing mistake must not look like success."""
    done = run(context, "resume", "portla")
    assert done.exit_code == 2
    assert "portal" in done.output
