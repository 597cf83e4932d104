"""Host states that the parts stand on: what OFFLINE takes away, and what DISABLED does not stop."""

import pytest

from onext.oned.errors import OnedError
from onext.oned.objects import HostState
from tests.live.front_end import wait_until
from tests.live.scene import HostStatus, Scene

pytestmark = pytest.mark.live


def test_offline_erases_capacity(scene: Scene) -> None:
    """A planner that reads the capacity of a host that is off would see a host of size nought."""
    host = scene.host()
    assert all(int(value) > 0 for value in scene.capacity(host).values())
    scene.switch(host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    assert set(scene.capacity(host).values()) == {"0"}
    template = scene.oned.host(host).template
    assert "TOTALCPU" not in template
    assert "TOTALMEMORY" not in template


def test_enable_from_disabled_is_monitored_at_once(scene: Scene) -> None:
    """MONITORED after enable proves nothing: a host that is dead would be given guests."""
    host = scene.host()
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    scene.oned.call("host.status", host, int(HostStatus.ENABLED))
    assert scene.oned.host(host).state is HostState.MONITORED


def test_enable_from_offline_goes_through_monitoring(scene: Scene) -> None:
    """Without its capacity a host must be monitored again before it may be called MONITORED."""
    host = scene.host()
    scene.switch(host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    scene.oned.call("host.status", host, int(HostStatus.ENABLED))
    assert scene.oned.host(host).state is not HostState.MONITORED
    scene.wait_for_host(host, HostState.MONITORED)
    assert int(scene.capacity(host)["TOTAL_CPU"]) > 0


def test_offline_wakes_disabled_first(scene: Scene) -> None:
    """A host that wakes must be looked at before guests may come: DISABLED, monitored, then enabled."""
    host = scene.host()
    scene.switch(host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    wait_until("a disabled host is monitored", lambda: int(scene.capacity(host)["TOTAL_CPU"]) > 0)
    scene.oned.call("host.status", host, int(HostStatus.ENABLED))
    assert scene.oned.host(host).state is HostState.MONITORED


def test_disabled_is_no_barrier(scene: Scene) -> None:
    """A host that is being emptied gets guests again, by hand or by OneDRS, when DISABLED is trusted."""
    host, datastore, guest = scene.host(), scene.system_datastore(), scene.guest()
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    scene.oned.call("vm.deploy", guest, host, False, datastore)
    assert scene.wait_for_running(guest).host_id == host


def test_offline_refuses_guests(scene: Scene) -> None:
    """Only OFFLINE keeps guests away from a host that is about to lose its power."""
    host, datastore, guest = scene.host(), scene.system_datastore(), scene.guest()
    scene.switch(host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    with pytest.raises(OnedError):
        scene.oned.call("vm.deploy", guest, host, False, datastore)


def test_offline_is_accepted_with_a_running_guest(scene: Scene) -> None:
    """OpenNebula does not look: who sets a host offline must have counted its guests."""
    host, datastore, guest = scene.host(), scene.system_datastore(), scene.guest()
    scene.oned.call("vm.deploy", guest, host, False, datastore)
    scene.wait_for_running(guest)
    scene.switch(host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    assert scene.oned.host(host).vm_ids == (guest,)


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a;b"])
def test_host_names_that_are_options_or_commands_are_refused(scene: Scene, name: str) -> None:
    """Our own check of a host's name is the second one: a forged payload, never a real host, has such."""
    with pytest.raises(OnedError):
        scene.oned.call("host.allocate", name, "dummy", "dummy", 0)
