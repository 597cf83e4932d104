"""Scrape targets that follow the cloud: a real oned's events in, files of Prometheus's file_sd out."""

import json

import pytest

from onext.oned.objects import HostState, VmState
from tests.live.front_end import wait_until
from tests.live.installation import Installation
from tests.live.scene import HostStatus, Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def targets(installed: Installation, file: str) -> dict[str, dict[str, str]]:
    """Return the targets of a file, address to labels."""
    groups = json.loads((installed.paths.targets / file).read_text())
    return {address: group["labels"] for group in groups for address in group["targets"]}


def wait_for_state(scene: Scene, guest: int, state: VmState) -> None:
    """Return when the guest is in `state`."""
    wait_until(f"guest {guest} is {state.name}", lambda: scene.oned.vm(guest).state is state)


def test_a_vm_is_a_target_while_it_runs(installed: Installation, scene: Scene) -> None:
    """A VM that is not scraped is not watched; one that is gone raises alerts for ever."""
    host, datastore = scene.host(), scene.system_datastore()
    guest = scene.guest(f'NIC=[ NETWORK_ID="{scene.network("10.77.0.10")}" ]\nPROMETHEUS_EXPORTER="9100"\n')
    target = "10.77.0.10:9100"
    scene.oned.call("vm.deploy", guest, host, False, datastore)
    wait_until("the VM is a target", lambda: target in targets(installed, "vms.json"))
    labels = targets(installed, "vms.json")[target]
    assert (labels["one_vm_id"], labels["one_host_id"], labels["one_cluster_id"]) == (
        str(guest),
        str(host),
        "0",
    )
    scene.oned.call("vm.action", "poweroff-hard", guest)
    wait_for_state(scene, guest, VmState.POWEROFF)
    wait_until("it is none while it is off", lambda: target not in targets(installed, "vms.json"))
    scene.oned.call("vm.action", "resume", guest)
    wait_until("it is one again", lambda: target in targets(installed, "vms.json"))
    scene.end_guest(guest)
    wait_until("it is gone", lambda: target not in targets(installed, "vms.json"))


def test_an_address_of_several_vms_is_no_target(installed: Installation, scene: Scene) -> None:
    """Of a SHARED range the VM that answers changes: its metrics would get the labels of another."""
    if scene.front_end.release < (7, 4):
        pytest.skip("address ranges can be SHARED since OpenNebula 7.4")
    host, datastore = scene.host(), scene.system_datastore()
    network = scene.network("10.77.0.100", shared=True)
    text = f'NIC=[ NETWORK_ID="{network}", IP="10.77.0.100" ]\nPROMETHEUS_EXPORTER="9100"\n'
    target = "10.77.0.100:9100"
    first = scene.guest(text)
    scene.oned.call("vm.deploy", first, host, False, datastore)
    wait_until("its only VM is a target", lambda: target in targets(installed, "vms.json"))
    second = scene.guest(text)
    scene.oned.call("vm.deploy", second, host, False, datastore)
    wait_until("neither VM is a target", lambda: target not in targets(installed, "vms.json"))
    assert "10.77.0.100 is assigned to several VMs" in installed.onext("targets", "list").stdout.decode()
    scene.end_guest(second)
    wait_until("the first is a target again", lambda: target in targets(installed, "vms.json"))


def test_a_network_that_nobody_allowed_is_not_scraped(installed: Installation, scene: Scene) -> None:
    """A tenant must not lead Prometheus to addresses that the administrator did not allow."""
    host, datastore = scene.host(), scene.system_datastore()
    network = scene.network("10.77.0.10", allowed=False)
    guest = scene.guest(f'NIC=[ NETWORK_ID="{network}" ]\nPROMETHEUS_EXPORTER="9100"\n')
    scene.oned.call("vm.deploy", guest, host, False, datastore)
    scene.wait_for_running(guest)
    installed.onext("targets", "sync")
    assert targets(installed, "vms.json") == {}
    assert "ONEXT_SCRAPE" in installed.onext("targets", "list").stdout.decode()


def test_a_host_leaves_every_file_when_it_is_off(installed: Installation, scene: Scene) -> None:
    """A host that was powered down on purpose would raise HostDown."""
    host = scene.host()
    target = f"{scene.oned.host(host).name}:9100"
    wait_until("the host is a target", lambda: target in targets(installed, "hosts-node_exporter.json"))
    scene.switch(host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    wait_until("it is none", lambda: target not in targets(installed, "hosts-node_exporter.json"))
