"""The disk is full in the middle of an installation."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onext.install import apply_changes, manifest, removal
from onext.install.front_end import FrontEnd
from onext.install.manifest import Manifest
from onext.install.manifest_entries import wanted
from onext.install.plan_changes import plan

from .conftest import self_contained, tree

pytestmark = [pytest.mark.process, pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")]
MakeHome = Callable[[FrontEnd, str], Path]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of a size that an installation does not fit in."""
    folder = tmp_path / "one"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def put(front_end: FrontEnd, home: Path) -> None:
    entries, known = wanted(front_end, home), Manifest.load(front_end.paths.lib)
    apply_changes.sweep(known, front_end)
    steps = plan(entries, apply_changes.inspect_all(entries, known, front_end.files), known)
    apply_changes.carry_out(steps, entries, front_end)


def test_C2_a_full_disk_leaves_whole_files_and_is_taken_back(small: Path, make_home: MakeHome) -> None:
    """Half a hook or half a manifest would be worse than no installation: each file is old or new."""
    front_end = self_contained(small)
    before = tree(small)
    manifest.make_folder(front_end.paths.lib)
    home = make_home(front_end, "1")
    with pytest.raises(OSError, match="No space left") as full:
        put(front_end, home)
    assert full.value.errno == errno.ENOSPC
    expected = {entry.path: getattr(entry, "content", None) for entry in wanted(front_end, home)}
    for path in (path for path in expected if path.is_file() and not path.name.startswith("migrate")):
        assert path.read_bytes() == expected[path], path
    subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
    put(front_end, home)
    assert all(path.exists() for path in expected)
    removal.remove_all(Manifest.load(front_end.paths.lib), front_end)
    assert tree(small) == before
