"""Files that are old or new."""

from pathlib import Path

import pytest

from onext import atomic


def test_writes_once(tmp_path: Path) -> None:
    """An unchanged file must keep its time: Prometheus and people look at it."""
    file = tmp_path / "f"
    assert atomic.write(file, b"one", 0o600)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not atomic.write(file, b"one")
    assert atomic.write(file, b"two")
    assert file.read_bytes() == b"two"


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not cost what was there."""
    file = tmp_path / "f"
    atomic.write(file, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write(file, b"new")
    assert file.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["f"]
