"""Whether another user can read what is written for it."""

from __future__ import annotations

from pathlib import Path

from onext import readable

NOBODY = 65534


def test_who_can_read(tmp_path: Path) -> None:
    """A Prometheus that cannot read its files has no targets, and does not report it."""
    folder = tmp_path / "targets"
    folder.mkdir(mode=0o755)
    file = folder / "vms.json"
    file.write_text("[]")
    file.chmod(0o644)
    above = [parent for parent in folder.parents if parent.stat().st_mode & 0o001 == 0]
    found = readable.readable_by(folder, NOBODY, {NOBODY})
    assert found == (
        f"{above[-1]} (mode {above[-1].stat().st_mode & 0o777:o}) cannot be read" if above else ""
    )
    file.chmod(0o600)
    assert "cannot be read" in readable.readable_by(folder, NOBODY, {NOBODY})
    assert readable.readable_by(folder, 0, {0}) == ""


def test_a_user_that_is_not_here(tmp_path: Path) -> None:
    """A name that is misspelt in the settings must not pass for a user that can read."""
    assert "no user nobody-of-that-name here" in readable.hidden_from(tmp_path, "nobody-of-that-name")
