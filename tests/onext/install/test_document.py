"""The table of owners and modes says what is placed."""

import fnmatch
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from onext.install import manifest
from onext.install.front_end import FrontEnd, Owner
from onext.install.manifest_entries import wanted
from onext.install.safe_files import SafeFiles

from .conftest import ROOT, packaged, write

ONEADMIN = 9869
NAMES = {0: "root", ONEADMIN: "oneadmin"}
ROW = re.compile(r"^\| `(/[^`]+)` \| (\w+:\w+) \| ([0-7, ]+) \|", re.MULTILINE)


@pytest.fixture
def rows() -> list[tuple[str, str, list[str]]]:
    text = (ROOT / "docs/installing.md").read_text()
    return [(place, owner, re.findall(r"\d+", modes)) for place, owner, modes in ROW.findall(text)]


def test_every_thing_is_in_the_table(
    rows: list[tuple[str, str, list[str]]],
    tmp_path: Path,
    make_home: Callable[[FrontEnd, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An administrator who reads the table knows every file, who owns it, and who may read it."""
    made = packaged(tmp_path)
    (tmp_path / "etc/grafana/provisioning/dashboards").mkdir(parents=True)
    write(tmp_path / "etc/one/prometheus/rules.yml", "groups: []\n")
    manifest.make_folder(made.paths.lib)
    front_end = FrontEnd.packaged(tmp_path, code=Owner(0, 0), service=Owner(ONEADMIN, ONEADMIN))
    theirs = [tmp_path / name for name in ("var/lib/one", "var/log/one", "run/onext")]

    def controller(_: SafeFiles, path: Path) -> Owner | None:
        return front_end.service if any(folder in path.parents for folder in theirs) else None

    monkeypatch.setattr(SafeFiles, "controller", controller)
    for entry in wanted(front_end, make_home(made, "1")):
        path = f"/{entry.path.relative_to(tmp_path)}"
        owner = f"{NAMES[entry.owner.uid]}:{NAMES[entry.owner.gid]}"
        fitting = [row for row in rows if fnmatch.fnmatch(path, row[0])]
        assert fitting, f"{path} is not in the table"
        assert any(owner == row[1] and f"{entry.mode:04o}" in row[2] for row in fitting), path


def test_no_row_lets_others_write(rows: list[tuple[str, str, list[str]]]) -> None:
    """What the table promises is the rule."""
    assert len(rows) > 20
    assert all(int(mode, 8) & 0o022 == 0 for _, _, modes in rows for mode in modes)
