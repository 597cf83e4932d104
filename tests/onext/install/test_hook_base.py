"""Where the hook manager looks for hooks."""

from pathlib import Path

import pytest

from onext.install import hook_base
from onext.paths import Paths

CONF = ":debug_level: 2\n\n# Default location\n:hook_base_path: {base}\n:remote_hook_base_path: '/var/tmp/one/hooks'\n"


def said(folder: Path, base: str) -> str:
    """Return what is said of a self-contained front-end whose onehem-server.conf names this folder."""
    paths = Paths.self_contained(folder)
    paths.etc.mkdir(exist_ok=True)
    (paths.etc / hook_base.FILE).write_text(CONF.format(base=base))
    return hook_base.wrong(paths)


@pytest.mark.parametrize("base", ["'/var/lib/one/remotes/hooks'", '"/var/lib/one/remotes/hooks" # shipped'])
def test_a_self_contained_front_end_as_it_is_shipped_runs_no_hook(tmp_path: Path, base: str) -> None:
    """Everything is installed and registered, and nothing ever happens."""
    assert f"it has to be '{tmp_path}/var/remotes/hooks'" in said(tmp_path, base)


@pytest.mark.parametrize("form", ["'{}'", '"{}/"', "{}"])
def test_the_right_folder_is_well_however_it_is_written(tmp_path: Path, form: str) -> None:
    """A finding that is none sends an administrator looking."""
    assert said(tmp_path, form.format(tmp_path / "var/remotes/hooks")) == ""


def test_no_hook_manager_no_finding(tmp_path: Path) -> None:
    """The sandbox has no such file."""
    assert hook_base.wrong(Paths.self_contained(tmp_path)) == ""
