"""What the live tests stand on: a front-end that the environment names, and a scene that is cleaned up."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fixtures_bundle import make_database
from tests.live.front_end import FrontEnd
from tests.live.installation import Installation
from tests.live.scene import Scene
from tests.live.ssh_node import node

ADDRESSES = ["127.0.0.1", "10.0.0.7", "193.0.6.139", "130.237.28.40", "fe80::1"]


@pytest.fixture
def front_end() -> FrontEnd:
    """Return the real OpenNebula; skip, saying what is missing, without one."""
    return FrontEnd.find_or_skip()


@pytest.fixture
def scene(front_end: FrontEnd) -> Iterator[Scene]:
    """Return the place where a test makes hosts, guests and hooks; they are gone afterwards."""
    with ExitStack() as stack:
        yield Scene(front_end, stack)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return what installs on the front-end; skip where onext is in use."""
    found = Installation.prepare(FrontEnd.find_or_skip(), tmp_path_factory.mktemp("installation"))
    found.require_none()
    return found


@pytest.fixture(scope="module")
def installed(installation: Installation) -> Iterator[Installation]:
    """Install for the tests of one module, with a small database and a node that answers by ssh; take it back."""
    with ExitStack() as stack:
        folder = Scene(installation.front_end, stack).folder()
        settings = installation.paths.settings
        stack.callback(settings.unlink)
        settings.write_text(_settings(folder, stack.enter_context(node(folder, ADDRESSES))))
        stack.callback(installation.uninstall)
        installation.install()
        yield installation


def _settings(folder: Path, ssh_config: Path) -> str:
    database = make_database(folder / "city.mmdb")
    database.chmod(0o644)
    return f"geolocation:\n  database: {database}\n  ssh_config: {ssh_config}\n"
