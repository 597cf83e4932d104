"""What the commands say without a cloud."""

import json
from pathlib import Path

from click.testing import CliRunner

from hooks.power.commands import power


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
    assert (tmp_path / "p-office.svg").read_text().startswith("<svg")


def test_every_command_has_its_help() -> None:
    """Nobody finds a command that says nothing about itself."""
    for name, command in power.commands.items():
        assert command.help, name
