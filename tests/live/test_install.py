"""install.sh on a real front-end: what it registers and brings up to date, and that nothing of it stays."""

import pytest

from tests.live.front_end import wait_until
from tests.live.installation import Installation
from tests.live.scene import Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def test_twice_is_once_and_an_uninstall_leaves_nothing(installation: Installation) -> None:
    """A front-end that is not as it was cannot be upgraded by its packages, nor trusted by its administrator."""
    tree, hooks = installation.tree(), installation.hooks()
    with installation.for_a_while():
        registered = installation.hooks()
        assert registered["onext-host-monitored"] == "onext/event"
        placed = installation.placed()
        installation.install_sh()
        assert installation.placed() == placed
        assert installation.hooks() == registered
    assert installation.hooks() == hooks
    assert installation.tree() == tree


def test_check_finds_nothing_after_an_installation(installation: Installation, settings: None) -> None:
    """An administrator who installed and is told of failures looks for them in vain."""
    with installation.for_a_while():
        found = installation.findings()
    assert {name: why for name, (level, why) in found.items() if level == "fail"} == {}


def test_an_existing_pool_is_brought_up_to_date(
    installation: Installation, scene: Scene, settings: None
) -> None:
    """State hooks fire only on change: hosts that are up already would wait for a day to be located."""
    host = scene.host()
    scene.oned.update_host(host, {"GEOLOCATION_IP": "130.237.28.40"})
    with installation.for_a_while():
        wait_until(
            "the host is located", lambda: scene.oned.host(host).text("GEOLOCATION") == "59.25,18.0833"
        )
    assert scene.oned.host(host).text("GEOLOCATION") == "59.25,18.0833", "locations are the administrator's"
