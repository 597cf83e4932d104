"""What the commands say without a cloud."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hooks.power.commands import power, show
from hooks.power.decide import Memory, decide
from hooks.power.part import Assessment
from hooks.power.policy import Mode, Policy
from onext.hosts.model import Cluster
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.power import Power


def test_simulate_shows_every_steering_and_the_bound(tmp_path: Path) -> None:
    """An administrator decides by this table whether it is worth it."""
    words = [
        "simulate",
        "--hosts",
        "4",
        "--days",
        "0.1",
        "--week",
        "office",
        "--json",
        "--plot",
        str(tmp_path / "p.svg"),
    ]
    done = CliRunner().invoke(power, words)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["steering"] for row in rows] == ["always on", "scripts", "onext", "bound"]
    assert rows[3]["kwh"] <= min(row["kwh"] for row in rows)
    assert (tmp_path / "p.svg").read_text().startswith("<svg"), "one week: the name that was given"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hosts", "0"], "0 is not in the range"),
        (["--hosts", "-3"], "is not in the range"),
        (["--days", "0"], "is not in the range"),
        (["--days", "nan"], "is not"),
        (["--peak", "5"], "is not in the range"),
        (["--plot", "/nonexistent/p.svg"], "folder /nonexistent not found"),
        (["--plot", "/"], "is a folder"),
    ],
)
def test_E4_what_cannot_be_simulated_is_refused_at_once(words: list[str], said: str) -> None:
    """A traceback, or minutes of work that end with one, tell nobody what to change."""
    done = CliRunner().invoke(power, ["simulate", *words])
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("mode", "settings", "said"),
    [
        ("off", {"clusters": (100,)}, "begin with `onext power set 100 MODE=advise`"),
        ("advise", {"clusters": (100,), "highest_mode": "auto"}, "MODE=auto` does it"),
        ("advise", {"clusters": (100,), "highest_mode": "advise"}, "highest_mode: advise` of"),
        ("advise", {"clusters": ()}, "add 100 to `power: clusters:`"),
        ("auto", {"clusters": (), "highest_mode": "auto"}, "add 100 to `power: clusters:`"),
        ("auto", {"clusters": (100,), "highest_mode": "auto"}, ""),
    ],
)
def test_E3_what_plan_recommends_is_allowed_and_has_an_effect(
    tmp_path: Path, mode: str, settings: dict[str, Any], said: str
) -> None:
    """People followed the recommendation, and it was rejected, or did nothing."""
    context = Context(Paths.self_contained(tmp_path), Settings(power=Power(**settings)))
    decision = decide(Cluster(100, "a", (), ()), Policy(), 0.0, Memory())
    found = show.next_step(Assessment(Cluster(100, "a", (), ()), Policy(mode=Mode(mode)), decision), context)
    assert said in found
    assert bool(found) is bool(said)


def test_E5_a_stopped_power_is_mentioned(tmp_path: Path) -> None:
    """`plan` and `status` looked as if hosts were about to be switched."""
    context = Context(Paths.self_contained(tmp_path), Settings())
    assert list(show.stopped(context)) == []
    context.paths.stopped.mkdir(parents=True)
    (context.paths.stopped / "power").touch()
    assert "onext start power" in next(show.stopped(context))


def test_every_command_has_its_help() -> None:
    """Nobody finds a command that says nothing about itself."""
    for name, command in power.commands.items():
        assert command.help, name
