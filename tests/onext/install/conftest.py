"""Front-ends to install on: trees as OpenNebula leaves them, and a version that is made in no time."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onext.install.front_end import FrontEnd, Owner
from onext.install.sources import copy
from onext.settings.document import document

ROOT = Path(__file__).parents[3]
STOCK = "#!/bin/sh\n# OpenNebula's own migrate\n"
ME = Owner(os.geteuid(), os.getegid())

Tree = dict[str, tuple[int, str]]


def tree(folder: Path) -> Tree:
    """Return every path with its mode and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            content = f"-> {path.readlink()}"
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return this checkout's parts as a version holds them, of the migrate driver's modules only three."""
    target = tmp_path_factory.mktemp("sources")
    copy(ROOT, target)
    for module in sorted((target / "drivers/vmm/migrate/onext_migrate").glob("*.py"))[3:]:
        module.unlink()
    return target


@pytest.fixture
def make_home(parts: Path) -> Callable[[FrontEnd, str], Path]:
    """Return what makes a version without a venv of its own."""

    def make(front_end: FrontEnd, name: str) -> Path:
        home = front_end.paths.lib / "versions" / name
        (home / "venv/bin").mkdir(parents=True)
        (home / "venv/bin/python3").symlink_to(sys.executable)
        (home / "parts").mkdir()
        for part in ("hooks", "drivers", "edge", "exporter", "gateway"):
            (home / "parts" / part).symlink_to(parts / part)
        (home / "onext.yaml").write_text(document())
        return home

    return make


@pytest.fixture(params=["self-contained", "packaged"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, FrontEnd]:
    """Return a tree as OpenNebula leaves it, and the front-end in it; both layouts."""
    front_end = self_contained(tmp_path / "one") if request.param == "self-contained" else packaged(tmp_path)
    return (front_end.paths.location or tmp_path, front_end)


def self_contained(location: Path) -> FrontEnd:
    write(location / "etc/oned.conf", "PORT = 2633\n")
    for folder in ("bin", "lib"):
        (location / folder).mkdir()
    _remotes(location / "var/remotes")
    return FrontEnd.self_contained(location)


def packaged(root: Path) -> FrontEnd:
    write(root / "etc/one/oned.conf", "PORT = 2633\n", 0o640)
    for folder in (
        "etc/logrotate.d",
        "etc/tmpfiles.d",
        "etc/systemd/system",
        "run/systemd/system",
        "usr/bin",
    ):
        (root / folder).mkdir(parents=True)
    for folder in ("usr/lib/one", "var/log/one"):
        (root / folder).mkdir(parents=True)
    _remotes(root / "var/lib/one/remotes")
    return FrontEnd.packaged(root, code=ME, service=ME)


def _remotes(remotes: Path) -> None:
    write(remotes / "VERSION", "7.0.2\n")
    write(remotes / "vmm/kvm/migrate", STOCK, 0o755)
    write(remotes / "hooks/ft/host_error.rb", "#!/usr/bin/ruby\n", 0o755)
    write(remotes / "auth/ssh/authenticate", "#!/usr/bin/ruby\n", 0o755)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out fsync, which is most of the time of a thousand small files."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
