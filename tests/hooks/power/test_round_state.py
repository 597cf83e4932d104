"""What one process of a server leaves for the next."""

import json
from pathlib import Path

import pytest

from hooks.power import round_state
from hooks.power.decide import Memory
from hooks.power.move_failures import MoveFailures
from hooks.power.needed_hosts import Wakes
from hooks.power.round_state import FILE, RoundState, Tally
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


@pytest.mark.parametrize(
    ("later", "counted"), [(60.0, 60.0), (599.9, 599.9), (600.0, 0.0), (0.0, 0.0), (-5.0, 0.0)]
)
def test_seconds_without_a_buffer_are_those_between_two_rounds(later: float, counted: float) -> None:
    """A front-end that was down would count as hours in which people waited."""
    tally = Tally()
    tally.look(1_800_000_000.0, 2, short=True, gb=1.5)
    assert tally.short_seconds == 0.0
    tally.look(1_800_000_000.0 + later, 1, short=True, gb=0.5)
    assert tally.short_seconds == pytest.approx(counted)
    assert (tally.migrations, tally.moved_gb) == (3, 2.0)
    tally.look(1_800_000_060.0 + later, 0, short=False, gb=0.0)
    assert tally.short_seconds == pytest.approx(counted)


def test_the_next_process_continues_with_what_this_one_knew(tmp_path: Path) -> None:
    """After each restart a host would wait anew, a VM wake hosts again and its owner be told again."""
    first = RoundState(
        memories={100: Memory({3: 5.0}, {9: Wakes(2, 7.0)})},
        migrations={100: [1.0, 2.0]},
        told={100: {9, 8}},
        tallies={100: Tally(1, 2.0, 3.0, 4.0)},
    )
    first.moves.note(9, "locked", 1.0)
    first.save(tmp_path)
    second = RoundState()
    second.load(tmp_path)
    for name in ("memories", "migrations", "told", "tallies", "moves"):
        assert getattr(second, name) == getattr(first, name), name
    document = json.loads((tmp_path / FILE).read_text())
    del document["moves"]
    (tmp_path / FILE).write_text(json.dumps(document))
    second.load(tmp_path)
    assert second.moves == MoveFailures(), "an earlier version wrote none"
    assert second.memories == first.memories


def test_clusters_that_the_settings_no_longer_name_are_dropped() -> None:
    """Their figures would be served for ever."""
    state = RoundState(migrations={100: [1.0], 101: [2.0]}, told={101: {9}}, failed={100: "x"})
    state.forget((100,))
    assert (state.migrations, state.told, state.failed) == ({100: [1.0]}, {}, {100: "x"})
    state.forget(())
    assert (state.migrations, state.failed) == ({}, {})
