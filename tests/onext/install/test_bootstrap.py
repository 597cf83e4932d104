"""What install.sh looks at before it does anything."""

import os
from argparse import Namespace
from pathlib import Path

import pytest

from onext.install import manifest, versions
from onext.install.bootstrap import _require_readable, _uninstall
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest import Manifest, Placed


def test_a_checkout_that_the_owner_cannot_read_is_refused_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's checkout in /root failed half way for a front-end of oneadmin's, and could not be uninstalled."""
    (tmp_path / "pyproject.toml").touch()
    _require_readable(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InstallError, match="cannot read it: put it elsewhere"):
        _require_readable(tmp_path)


@pytest.fixture
def half_installed(bare: tuple[Path, FrontEnd]) -> FrontEnd:
    """Return a front-end whose first installation ended before there was a version that works."""
    _, front_end = bare
    manifest.make_folder(front_end.paths.lib)
    (front_end.paths.lib / versions.FOLDER / "0.1.0+cut").mkdir(parents=True)
    return front_end


def test_what_an_installation_left_that_failed_at_once_is_taken_back(half_installed: FrontEnd) -> None:
    """A mirror was away; `--uninstall` ended in a traceback, and its folder stayed for ever."""
    assert (
        _uninstall(half_installed, Namespace(backup=None, leave_hosts_off=False, leave_hosts_armed=False))
        == 0
    )
    assert not half_installed.paths.lib.exists()


def test_an_uninstall_without_a_version_that_works_says_what_to_do(half_installed: FrontEnd) -> None:
    """After an upgrade of the system its python3 is gone: what was placed has to be taken back all the same."""
    lib = half_installed.paths.lib
    Manifest.load(lib).with_file(lib.parent / "placed", Placed("", None, keep=False)).save(lib)
    with pytest.raises(InstallError, match="no installed version works"):
        _uninstall(half_installed, Namespace(backup=None, leave_hosts_off=False, leave_hosts_armed=False))
    assert lib.exists()
