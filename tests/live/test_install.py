"""install.sh on a real front-end: what it registers, that twice is once, and that nothing of it stays."""

import pytest

from tests.live.installation import Installation

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def test_install_check_again_uninstall(installation: Installation) -> None:
    """A front-end that is not as it was cannot be upgraded by its packages, nor trusted by its administrator."""
    tree, hooks = installation.tree(), installation.hooks()
    try:
        installation.install()
        registered = installation.hooks()
        assert registered["onext-geolocation"] == "onext/geolocation"
        placed = installation.tree()
        installation.install()
        again = installation.tree()
        changed = {path for path in placed.keys() | again.keys() if placed.get(path) != again.get(path)}
        assert {path for path in changed if not installation.is_running_state(path)} == set()
        assert installation.hooks() == registered
    finally:
        installation.uninstall()
    assert installation.hooks() == hooks
    assert installation.tree() == tree
