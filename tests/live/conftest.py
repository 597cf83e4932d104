"""What the live tests stand on: a front-end that the environment names, and a scene that is cleaned up."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fixtures_bundle import make_database
from tests.live import report
from tests.live.front_end import FrontEnd
from tests.live.installation import Installation
from tests.live.scene import Scene
from tests.live.ssh_node import node

_SSH = '#!/bin/sh\nexec {ssh} -F {config} "$@"\n'
ADDRESSES = ["127.0.0.1", "10.0.0.7", "193.0.6.139", "130.237.28.40", "fe80::1"]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a front-end where there is none; from this one place, so that pytest reports it in one line."""
    if "front_end" in getattr(item, "fixturenames", ()) and (reason := FrontEnd.why_not()):
        pytest.skip(reason)


def _title() -> str:
    if reason := FrontEnd.why_not():
        return reason
    found = FrontEnd.find()
    return f"OpenNebula {found.oned.version()} at {found.oned.endpoint}"


def pytest_report_header() -> str:
    """Name the release before the first test."""
    return _title()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say of each part what passed on which release."""
    if not FrontEnd.why_not():
        report.write(terminalreporter, _title())


@pytest.fixture(scope="session")
def front_end() -> Iterator[FrontEnd]:
    """Return the real OpenNebula; skip while others test on it."""
    found = FrontEnd.find()
    with (found.paths.one_var / "onext-live.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.skip("another run of these tests uses this front-end, and would see our events")
        yield found
        Path(lock.name).unlink()


@pytest.fixture
def scene(front_end: FrontEnd) -> Iterator[Scene]:
    """Return the place where a test makes hosts, guests and hooks; they are gone afterwards."""
    with ExitStack() as stack:
        yield Scene(front_end, stack)


@pytest.fixture(scope="module")
def installation(front_end: FrontEnd) -> Iterator[Installation]:
    """Return what installs on the front-end, from where its owner can read; skip where onext is in use."""
    with ExitStack() as stack:
        found = Installation.prepare(front_end, Scene(front_end, stack).folder())
        found.require_none()
        yield found


@pytest.fixture(scope="module")
def settings(installation: Installation) -> Iterator[None]:
    """Write onext.yaml: a small database, and a node that answers by ssh for every name of ours."""
    with ExitStack() as stack:
        folder = Scene(installation.front_end, stack).folder()
        ssh_config = stack.enter_context(node(folder, ADDRESSES))
        database = make_database(folder / "city.mmdb")
        database.chmod(0o644)
        stack.callback(installation.paths.settings.unlink)
        installation.write_settings(f"geolocation:\n  database: {database}\n  ssh_config: {ssh_config}\n")
        yield


@pytest.fixture(scope="module")
def installed(installation: Installation, settings: None) -> Iterator[Installation]:
    """Install for the tests of one module, and take it back."""
    with installation.for_a_while():
        yield installation


@pytest.fixture(scope="module")
def ssh_config(installation: Installation) -> Iterator[Path]:
    """Let every ssh of this front-end's user read the ssh_config that is returned, `onehost sync`'s too.

    The worker inherits this PATH, because the installation starts it.
    """
    with ExitStack() as stack:
        folder = Scene(installation.front_end, stack).folder()
        config, program = folder / "ssh_config", folder / "ssh"
        program.write_text(_SSH.format(ssh=shutil.which("ssh"), config=config))
        program.chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
            yield config


@pytest.fixture(scope="module")
def powered(installation: Installation, ssh_config: Path) -> Iterator[Installation]:
    """Install for the tests of this module, and take it back."""
    if not shutil.which("ipmi_sim") or not shutil.which("ipmitool"):
        pytest.skip("ipmi_sim and ipmitool are needed: Debian's openipmi and ipmitool")
    with installation.for_a_while():
        yield installation
