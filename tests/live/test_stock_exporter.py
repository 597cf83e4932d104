"""The same samples as the release's own exporter, whose collectors ask the same running oned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.collection import Collection
from exporter.systemd_units import fqdn
from onext import backup_state, metrics
from onext.oned.objects import HostState, VmState
from onext.oned.stream import Source
from onext.settings.exporter import Exporter, Power
from tests.live import stock_exporter
from tests.live.front_end import FrontEnd, wait_until
from tests.live.scene import HostStatus, Scene
from tests.live.stock_exporter import Samples, Stock, parse

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
VOLATILE = 'DISK=[ TYPE="fs", FORMAT="raw", SIZE="12" ]\n'
HISTORY = {
    "1": {"vm_id": 1, "vm_name": "web", "backup_status": 1, "backup_ts": 1795870000},
    "2": {"vm_id": "2", "vm_name": "db", "backup_status": 0, "backup_ts": 1795870100, "restore_status": 1,
          "restore_ts": 1795870200},
}  # fmt: skip


class Both:
    """The two exporters."""

    def __init__(self, front_end: FrontEnd, folder: Path) -> None:
        self._stock = stock_exporter.installed(front_end)
        self._state = folder / "state.json"
        self._state.write_text(json.dumps(HISTORY if front_end.release >= (7, 4) else {}))
        metrics.write(folder, backup_state.PART, backup_state.families(self._state))
        source = Source(front_end.oned.endpoint, front_end.oned.source.session)
        settings = Exporter(power=Power(sources=[]))
        self._collection = Collection(source, settings, folder, version="1", server=fqdn())

    def collect(self) -> tuple[Stock, Samples]:
        """Return what both say of one moment: nothing that both serve changed from before to after."""
        found: list[tuple[Stock, Samples]] = []

        def quiet() -> bool:
            before, theirs, after = (
                self._ours(),
                stock_exporter.collect(self._stock, self._state),
                self._ours(),
            )
            found.append((theirs, after))
            return all(before.get(key) == after.get(key) for key in before.keys() | theirs.samples.keys()
                       if key[0] in {name for name, _ in theirs.samples})  # fmt: skip

        wait_until("oned is quiet for two scrapes", quiet)
        return found[-1]

    def _ours(self) -> Samples:
        return parse(self._collection().text.decode())


@pytest.fixture
def both(front_end: FrontEnd, tmp_path: Path) -> Both:
    """Return OpenNebula's exporter and ours."""
    return Both(front_end, tmp_path)


def of(samples: Samples, label: str, number: int) -> set[str]:
    """Return the names of the metrics that an object has."""
    return {name for name, labels in samples if (label, str(number)) in labels}


def populate(scene: Scene) -> list[int]:
    """Make hosts, networks, images and VMs in several states; return the ids of the VMs."""
    running, disabled, offline = scene.hosts(3)
    scene.switch(disabled, HostStatus.DISABLED, until=HostState.DISABLED)
    scene.switch(offline, HostStatus.OFFLINE, until=HostState.OFFLINE)
    datastore, nic = scene.system_datastore(), f'NIC=[ NETWORK_ID="{scene.network("10.78.0.10")}" ]\n'
    scene.network("10.78.0.11")  # every lease free
    disks = VOLATILE + f'DISK=[ IMAGE_ID="{scene.image(37)}" ]\n'
    made = [
        scene.guest(f'{disks}{nic}VCPU="3"\nPROMETHEUS_EXPORTER="9100"\n'),
        scene.guest(f'{VOLATILE}DESCRIPTION="a & b < \\"c\\" é"\n'),
        scene.guest(VOLATILE),
    ]
    for vm in made[:2]:
        scene.oned.call("vm.deploy", vm, running, False, datastore)
        scene.wait_for_running(vm)
    scene.oned.call("vm.action", "poweroff-hard", made[1])
    wait_until("the second VM is off", lambda: scene.oned.vm(made[1]).state is VmState.POWEROFF)
    return made


def test_no_sample_of_the_stock_exporter_is_missing_or_different(both: Both, scene: Scene) -> None:
    """Dashboards and rules made for OpenNebula's exporter would show gaps or other values."""
    vms = populate(scene)
    theirs, ours = both.collect()
    assert theirs.raised == []
    for vm in vms:
        assert len(of(theirs.samples, "one_vm_id", vm)) >= 9
    differing = {
        key: (value, ours.get(key)) for key, value in theirs.samples.items() if ours.get(key) != value
    }
    assert differing == {}


def test_a_vm_without_a_disk_hides_none(both: Both, scene: Scene) -> None:
    """Up to 7.2 OpenNebula's exporter loses that VM and all that follow it: the documented difference."""
    made = [scene.guest(VOLATILE), scene.guest(), scene.guest(VOLATILE)]
    theirs, ours = both.collect()
    assert {key: ours.get(key) for key in theirs.samples} == theirs.samples
    names = of(ours, "one_vm_id", made[0])
    assert of(ours, "one_vm_id", made[2]) == names
    assert of(ours, "one_vm_id", made[1]) == names - {"opennebula_vm_disk_size_bytes"}
    assert bool(theirs.raised) == (scene.front_end.release < (7, 4))
