"""What the commands say without a cloud."""

import base64
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hooks.power.commands import power
from hooks.power.commands.acting import _host_id


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


def test_the_host_to_fence_is_read_from_what_oned_gives() -> None:
    """Fencing another host than the one in ERROR would kill healthy guests."""
    template = base64.b64encode(b"<HOST><ID>12</ID><NAME>a</NAME></HOST>").decode()
    assert _host_id(None, template) == 12
    assert _host_id("7", None) == 7
    for host, text in (
        ("node-7", None),
        (None, "###"),
        (None, base64.b64encode(b"<HOST/>").decode()),
        (None, None),
    ):
        with pytest.raises(click.UsageError):
            _host_id(host, text)
