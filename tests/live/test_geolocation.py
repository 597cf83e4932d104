"""A host knows where it is: install.sh on a real front-end, the hook that oned starts, the host's template."""

import base64
import time

import pytest

from onext.oned.objects import HostState
from tests.live.front_end import wait_until
from tests.live.installation import Installation
from tests.live.scene import HostStatus, Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

STOCKHOLM, AMSTERDAM = "59.25,18.0833", "52.3735,4.8951"


def wait_for_location(scene: Scene, host: int, value: str) -> None:
    """Return when the host's template holds this value."""
    wait_until(f"host {host} is at {value}", lambda: scene.oned.host(host).text("GEOLOCATION") == value)


def mark(scene: Scene, host: int) -> dict[str, str]:
    """Return what says whose value it is, and from when."""
    found = scene.oned.host(host).template["ONEXT_GEOLOCATION"]
    assert not isinstance(found, str)
    return dict(found)


def test_a_host_with_public_addresses_is_located(installed: Installation, scene: Scene) -> None:
    """A new node would stay without coordinates: all its public addresses, by ssh, in their order."""
    host = scene.host()
    wait_for_location(scene, host, f"{AMSTERDAM} {STOCKHOLM}")
    assert mark(scene, host)["SOURCE"] == "ssh"
    assert scene.hook_codes("onext-host-monitored")[-1] == 0


def test_geolocation_ip_overrides(installed: Installation, scene: Scene) -> None:
    """A node behind NAT says its address by hand; the hook of its next state takes it."""
    host = scene.host()
    wait_for_location(scene, host, f"{AMSTERDAM} {STOCKHOLM}")
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    scene.oned.update_host(host, {"GEOLOCATION_IP": "130.237.28.40"})
    scene.switch(host, HostStatus.ENABLED, until=HostState.MONITORED)
    wait_for_location(scene, host, STOCKHOLM)
    assert mark(scene, host)["SOURCE"] == "GEOLOCATION_IP"


def test_the_same_event_twice_writes_once(installed: Installation, scene: Scene) -> None:
    """Every write to a host's template is kept by oned and seen by others: none without a change."""
    host = scene.host()
    wait_for_location(scene, host, f"{AMSTERDAM} {STOCKHOLM}")
    before = scene.oned.host(host).template
    payload = base64.b64encode(str(scene.oned.call("host.info", host, False)).encode())
    key = f"geolocation.host.{host}"
    for _ in range(2):
        time.sleep(1)  # TIME in the template and `when` in the status are in seconds
        last = installed.done(key)
        installed.run_hook("event", payload)
        installed.wait_for_another(key, last)
    assert scene.oned.host(host).template == before


def test_what_a_person_wrote_stays(installed: Installation, scene: Scene) -> None:
    """An administrator's coordinates are never overwritten, nor a host with a lock."""
    host = scene.host()
    wait_for_location(scene, host, f"{AMSTERDAM} {STOCKHOLM}")
    scene.oned.update_host(host, {"GEOLOCATION": "1.0,2.0"})
    installed.onext("geo", "update", str(host))
    assert scene.oned.host(host).text("GEOLOCATION") == "1.0,2.0"


def test_show_names_the_host(installed: Installation, scene: Scene) -> None:
    """The administrator's first look: which host is where, and from which source."""
    host = scene.host()
    wait_for_location(scene, host, f"{AMSTERDAM} {STOCKHOLM}")
    assert AMSTERDAM in installed.onext("geo", "show", "--json").stdout.decode()
