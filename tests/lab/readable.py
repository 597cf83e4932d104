"""Folders of the laboratory that oneadmin's QEMU and agents enter: pytest makes its own for root alone."""

import stat
from pathlib import Path

_ENTER_AND_READ = 0o755


def open_to_all(folder: Path) -> None:
    """Let every account read a folder, down from the root; what a mode has beside that stays (/tmp is sticky)."""
    for place in (folder, *folder.parents):
        mode = stat.S_IMODE(place.stat().st_mode)
        if mode & _ENTER_AND_READ != _ENTER_AND_READ:
            place.chmod(mode | _ENTER_AND_READ)
