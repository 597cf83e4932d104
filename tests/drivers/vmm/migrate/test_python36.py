"""AlmaLinux 8 has Python 3.6 and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

FOLDER = Path(__file__).parents[4] / "drivers/vmm/migrate"
ROOMS = sorted(path.stem for path in (FOLDER / "onext_migrate").glob("*.py") if path.stem != "__init__")
pytestmark = pytest.mark.process


def interpreters() -> list[str]:
    """Return the old and new interpreters of this machine."""
    homes = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(path) for path in sorted(homes.glob("3.*/bin/python3"))]
    return found + [
        path
        for name in ("python3.6", "platform-python")
        if (path := shutil.which(name)) and "shims" not in path
    ]


@pytest.mark.parametrize("python", interpreters() or [sys.executable])
def test_every_room_can_be_imported(python: str) -> None:
    """A word that is too new fails on the first migration, on the oldest nodes."""
    names = ", ".join(f"onext_migrate.{room}" for room in ROOMS)
    code = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import {names}"
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_newer_than_36() -> None:
    """What an import does not reach: methods and arguments that came later."""
    words = [
        str(Path(sys.executable).parent / "vermin"),
        "-q",
        "-t=3.6-",
        "--no-tips",
        "--violations",
        "--eval-annotations",
        str(FOLDER),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout
