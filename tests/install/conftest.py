"""install.sh as a process, on one front-end that is installed once and put back after every test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from onext.install import sandbox_trial, service, sources
from onext.install.front_end import FrontEnd
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:1/RPC2"  # oned is down
STOCK = "#!/bin/sh\n# OpenNebula's own migrate\n"


@dataclass
class Installed:
    """A self-contained front-end on which onext is installed, and the checkout that it came from."""

    checkout: Path
    location: Path
    wheels: Path

    @property
    def front_end(self) -> FrontEnd:
        return FrontEnd.self_contained(self.location)

    @property
    def lib(self) -> Path:
        return self.location / "lib/onext"

    @property
    def env(self) -> dict[str, str]:
        """The environment of whoever installs: this Python, no oned."""
        python = getattr(sys, "_base_executable", sys.executable)
        own = {"ONE_LOCATION": str(self.location), "ONE_XMLRPC": NOBODY, "PYTHON": python}
        return {**os.environ, **own, "HOME": str(self.location.parent)}

    def run(self, *options: str, checkout: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run install.sh."""
        command = [str((checkout or self.checkout) / "install.sh"), *options]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=900, check=False)

    def install(self, checkout: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run install.sh with the wheels that are there."""
        return self.run("--offline", str(self.wheels), checkout=checkout)

    def current(self) -> str:
        return (self.lib / "current").readlink().name

    def onext(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.location / "bin/onext"), *arguments]
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False
        )


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Return a folder with a wheel of every package; fetched once for each pyproject.toml."""
    return sandbox_trial.fetched(ROOT)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this checkout that nobody edits meanwhile."""
    return copy_of(ROOT, tmp_path_factory.mktemp("checkout") / "onext")


def copy_of(checkout: Path, target: Path) -> Path:
    """Copy what install.sh needs of a checkout."""
    sources.copy(checkout, target)
    shutil.copy(checkout / "install.sh", target)
    return target


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a self-contained front-end as OpenNebula leaves it."""
    location = tmp_path_factory.mktemp("front-end") / "one"
    for folder in (
        "bin",
        "lib",
        "etc",
        "var/remotes/vmm/kvm",
        "var/remotes/hooks/ft",
        "var/remotes/auth/ssh",
    ):
        (location / folder).mkdir(parents=True)
    (location / "etc/oned.conf").write_text('AUTH_MAD = [ EXECUTABLE = "one_auth_mad", AUTHN = "ssh" ]\n')
    (location / "var/remotes/vmm/kvm/migrate").write_text(STOCK)
    (location / "var/remotes/vmm/kvm/migrate").chmod(0o755)
    return location


@pytest.fixture(scope="session")
def first(bare: Path, checkout: Path, wheels: Path) -> Iterator[tuple[Installed, Path]]:
    """Install once; return the front-end and a copy of its tree, and end its worker at last."""
    before = bare.with_name("before")
    shutil.copytree(bare, before, symlinks=True)
    installed = Installed(checkout, bare, wheels)
    done = installed.install()
    assert done.returncode == 0, done.stdout + done.stderr
    service.stop(installed.front_end)
    (bare / "var/onext/spool/wake").unlink(missing_ok=True)  # a pipe cannot be copied
    snapshot = bare.with_name("snapshot")
    shutil.copytree(bare, snapshot, symlinks=True, ignore=shutil.ignore_patterns("versions"))
    yield installed, snapshot
    shutil.rmtree(bare)


@pytest.fixture
def installed(first: tuple[Installed, Path]) -> Iterator[Installed]:
    """Return the front-end as it was just after the installation, its worker at rest."""
    found, snapshot = first
    name = found.current()
    yield found
    service.stop(found.front_end)
    restore(found.location, snapshot, name)


def restore(location: Path, snapshot: Path, name: str) -> None:
    """Put a tree back, but for the folder of the version, which nobody changes."""
    kept = location / "lib/onext/versions" / name
    aside = location.with_name("version")
    kept.replace(aside)
    shutil.rmtree(location)
    shutil.copytree(snapshot, location, symlinks=True)
    kept.parent.mkdir()
    aside.replace(kept)
