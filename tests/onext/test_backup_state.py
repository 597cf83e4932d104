"""Last backups and restores: a file that a hook of OpenNebula writes, in whatever state it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext import backup_state, metrics


def test_what_is_missing_is_no_sample(tmp_path: Path) -> None:
    """A VM that was never restored has no status of a restore: 0 would be a failure."""
    (tmp_path / "state.json").write_text(
        json.dumps({"7": {"vm_id": "7", "backup_status": 0, "backup_ts": "x"}})
    )
    text = metrics.render(backup_state.families(tmp_path / "state.json"))
    assert 'opennebula_vm_backup_last_status{one_vm_id="7",one_vm_name="unknown"} 0.0' in text
    assert "timestamp{" not in text
    assert "restore_last_status{" not in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["7", "vm_id", "vm_name", "backup_ts", "a"]), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_C7_whatever_the_file_holds(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    """One entry that cannot be read must not hide the others, nor end the worker's round."""
    file = tmp_path_factory.mktemp("state") / "state.json"
    good = {"vm_id": 5, "vm_name": "good", "backup_ts": 9}
    whole = {"good": good, **document} if isinstance(document, dict) else {"good": good, "x": document}
    whole["good"] = good
    file.write_text(json.dumps(whole))
    assert 'backup_last_timestamp{one_vm_id="5",one_vm_name="good"} 9.0' in metrics.render(
        backup_state.families(file)
    )


@pytest.mark.parametrize("text", ["", "[", "[]", "null", "[" * 100_000, '{"a": 1', "\x00", "9" * 9_000_000])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    """It is written by another program, and may be cut or huge."""
    (tmp_path / "state.json").write_text(text)
    assert "{" not in metrics.render(backup_state.families(tmp_path / "state.json"))


def test_it_is_handed_on_where_it_is(tmp_path: Path) -> None:
    """Releases before 7.4 have no such file: then there is nothing to show, nor to age."""
    folder = tmp_path / "metrics"
    backup_state.hand_on(tmp_path, folder)
    assert not folder.exists()
    (tmp_path / "state.json").write_text("{}")
    backup_state.hand_on(tmp_path, folder)
    assert [file.name for file in folder.iterdir()] == ["backups.prom"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("7", True), (7, True), ("9" * 12, True), ("9" * 13, False), ("-7", False), ("٣", False), (7.0, False)],
)
def test_a_figure_is_a_whole_number(tmp_path: Path, value: object, shown: bool) -> None:
    """A dashboard would show a backup that never was, at a time that never comes."""
    state = {"a": {"vm_id": 1, "vm_name": "n" * 300, "restore_ts": value}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    text = metrics.render(backup_state.families(tmp_path / "state.json"))
    assert ("opennebula_vm_restore_last_timestamp{" in text) is shown
    if shown:
        assert f'one_vm_name="{"n" * 256}"' in text


def test_a_file_has_a_largest_size_and_a_largest_number_of_vms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's memory would grow with a file that another program writes."""
    file = tmp_path / "state.json"
    file.write_text(json.dumps({str(n): {"vm_id": n, "backup_ts": 1} for n in range(3)}))
    monkeypatch.setattr(backup_state, "_LARGEST", file.stat().st_size)
    monkeypatch.setattr(backup_state, "_MOST", 2)
    assert [len(family.samples) for family in backup_state.families(file)] == [0, 2, 0, 0]
    monkeypatch.setattr(backup_state, "_LARGEST", file.stat().st_size - 1)
    assert [len(family.samples) for family in backup_state.families(file)] == [0, 0, 0, 0]
