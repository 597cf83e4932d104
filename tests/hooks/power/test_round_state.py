"""What one process of a server leaves for the next."""

import json
from pathlib import Path

import pytest

from hooks.power import round_state
from hooks.power.round_state import FILE, RoundState
from onext.hosts.model import Claim, Phase
from tests.onext.hosts.actions.scene import Scene

CLAIM = Claim(Phase.STOPPING, 1_800_000_000.0)


def test_a_restart_does_not_wait_anew(tmp_path: Path) -> None:
    """A worker that is started again each minute would never cut the power of a host that hangs."""
    world = Scene().actuator.world
    first = RoundState()
    assert first.leases.waited(7, CLAIM, world) == 0.0
    first.save(tmp_path)
    world.cloud.pass_time(60.0)  # type: ignore[attr-defined]
    second = RoundState()
    second.load(tmp_path)
    assert second.leases.waited(7, CLAIM, world) == 60.0
    assert second.leases.waited(7, Claim(Phase.WAKING, 1_800_000_000.0), world) == 0.0


def test_after_a_boot_clocks_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of another boot mean nothing: a shutdown could be cut off at once."""
    world = Scene().actuator.world
    world.cloud.pass_time(900.0)  # type: ignore[attr-defined]
    first = RoundState()
    first.leases.waited(7, CLAIM, world)
    first.save(tmp_path)
    monkeypatch.setattr(round_state, "BOOT", tmp_path / "boot")
    (tmp_path / "boot").write_text("another")
    second = RoundState()
    second.load(tmp_path)
    assert second.leases.waited(7, CLAIM, Scene().actuator.world) == 0.0


def test_a_file_that_is_damaged_is_forgotten(tmp_path: Path) -> None:
    """One broken file would stop power for ever."""
    RoundState().save(tmp_path)
    document = json.loads((tmp_path / FILE).read_text())
    damaged: tuple[object, ...] = (
        {**document, "waits": {"7": ["nonsense", 1, 2]}},
        {**document, "waits": 3},
        [],
    )
    for wrong in damaged:
        (tmp_path / FILE).write_text(json.dumps(wrong))
        state = RoundState()
        state.migrations = {100: [1.0]}
        state.load(tmp_path)
        assert (state.memories, state.migrations, state.tallies) == ({}, {}, {}), wrong
        assert state.leases.saved() == {}, wrong
