"""Availability on a real OpenNebula: silent hosts, BMCs that others wrote, a running worker, dummy drivers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hooks.availability.cluster_view import RESTRICTED
from onext.oned.objects import HostState, VmState
from tests.live.front_end import wait_until
from tests.live.installation import Installation
from tests.live.machines import Machine, Machines
from tests.live.scene import Scene
from tests.live.silence import Silence

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]
SETTINGS = """\
oned:
  timeout: 10
geolocation:
  ssh_config: {ssh_config}
availability:
  clusters: [{cluster}]
  highest_mode: auto
  lowest_confirm_seconds: 20
  quiet_seconds: 0
"""
POLICY = 'ONEXT_HA=[ MODE="auto", CONFIRM_SECONDS="20", GROUP_PAUSE="900" ]'
DISK = 'DISK=[ TYPE="fs", FORMAT="raw", SIZE="10" ]\n'
HOSTS = 4
UNTIL_UNKNOWN = 600.0  # seconds for oned to give a silent host up (180), and for what follows
MERGE = 1


class Watched:
    """A cluster of machines that availability watches."""

    def __init__(self, machines: Machines, silence: Silence, ssh_config: Path) -> None:
        self.machines, self.scene, self.silence = machines, machines.scene, silence
        text = SETTINGS.format(cluster=machines.cluster, ssh_config=ssh_config)
        machines.installation.write_settings(text)
        self.scene.oned.call("cluster.update", machines.cluster, POLICY, MERGE)

    def ha(self, *words: str) -> list[dict[str, object]]:
        """Return the rows that `onext ha WORDS --json` prints."""
        rows = json.loads(self.machines.installation.onext("ha", *words, "--json").stdout)
        assert isinstance(rows, list)
        return rows

    def phase(self, machine: Machine) -> object:
        """Return the phase of a host's incident, None without one."""
        return next((row["phase"] for row in self.ha("status") if row["id"] == machine.host), None)

    def vm(self, machine: Machine, priority: int) -> int:
        """Run a VM on a machine."""
        vm = self.scene.guest(f'{DISK}ONEXT_HA_PRIORITY="{priority}"\n')
        self.scene.oned.call("vm.deploy", vm, machine.host, False, self.machines.datastore)
        self.scene.wait_for_running(vm)
        return vm

    def fail(self, machine: Machine) -> None:
        """Let a machine hang."""
        machine.hang()
        self.silence.begin(machine.host)
        wait_until("there is an incident", lambda: self.phase(machine) is not None, seconds=UNTIL_UNKNOWN)
        self.scene.wait_for_host(machine.host, HostState.DISABLED)

    def moved(self, vm: int, machine: Machine) -> bool:
        """Tell whether a VM runs on another host."""
        found = self.scene.oned.vm(vm)
        return found.running and found.host_id != machine.host

    def times(self, vm: int) -> tuple[int, int]:
        """Return when oned began to start a VM on its last host, and when it ran there."""
        record = self.scene.oned.document("vm.info", vm).findall("HISTORY_RECORDS/HISTORY")[-1]
        return int(record.findtext("STIME", "0")), int(record.findtext("RSTIME", "0"))

    def priorities_count(self) -> bool:
        """Tell whether oned.conf keeps tenants from the attributes of availability."""
        found = self.scene.oned.document("system.config").iterfind(".//VM_RESTRICTED_ATTR")
        return set(RESTRICTED) <= {item.text for item in found}


@pytest.fixture
def watched(powered: Installation, ssh_config: Path, scene: Scene) -> Iterator[Watched]:
    """Return four hosts with BMCs in a cluster of their own."""
    with ExitStack() as stack:
        machines = Machines(powered, scene, stack, ssh_config)
        machines.add(*scene.hosts(HOSTS, machines.cluster))
        for machine in machines.machines:
            (machine.folder / "domains").touch()
        yield Watched(machines, Silence(scene, stack), ssh_config)


def test_a_hung_host_is_fenced_its_vms_restart_elsewhere_and_it_returns(watched: Watched) -> None:
    """The promise of the part, on oned's own states and times."""
    scene, failed = watched.scene, watched.machines.machines[0]
    low, high, parked = (watched.vm(failed, priority) for priority in (1, 9, 5))
    scene.oned.call("vm.action", "poweroff-hard", parked)
    wait_until("a person's VM is off", lambda: scene.oned.vm(parked).state is VmState.POWEROFF)
    watched.fail(failed)
    wait_until(
        "the VMs restart", lambda: all(watched.moved(vm, failed) for vm in (low, high)), seconds=UNTIL_UNKNOWN
    )
    assert not failed.powered
    wait_until("all are settled", lambda: watched.phase(failed) == "done")
    history = watched.ha("history", str(failed.host))
    steps = [row["what"] for row in history]
    order = ["suspect", "confirm", "fencing", "order", "fenced", "evacuating", "done"]
    positions = [steps.index(step) for step in order]
    assert positions == sorted(positions), steps
    if watched.priorities_count():
        assert watched.times(high)[1] <= watched.times(low)[0]
    places = {vm: scene.oned.vm(vm).host_id for vm in (low, high)}
    assert scene.oned.vm(parked).state is VmState.POWEROFF
    watched.silence.end(failed.host)
    failed.reboot(f"one-{high}")
    wait_until("it serves again", lambda: watched.phase(failed) is None, seconds=UNTIL_UNKNOWN)
    assert failed.domains == []
    assert scene.oned.host(failed.host).state is HostState.MONITORED
    assert {vm: scene.oned.vm(vm).host_id for vm in (low, high)} == places
    assert not any(scene.oned.document("vm.info", vm).findtext("LOCK/LOCKED") for vm in (low, high, parked))


def test_without_a_proof_nothing_starts_until_a_person_confirms(watched: Watched) -> None:
    """Power is lost, and the BMC with it: silence is not a proof, and a VM that runs twice destroys its disk."""
    scene, failed = watched.scene, watched.machines.machines[0]
    vm = watched.vm(failed, 5)
    failed.bmc.pause()
    watched.fail(failed)
    unknown = lambda: scene.oned.document("vm.info", vm).findtext("LCM_STATE") == "16"  # noqa: E731
    wait_until("oned gives the host up", unknown, seconds=UNTIL_UNKNOWN)
    assert scene.oned.host(failed.host).state is HostState.DISABLED
    wait_until("it waits for a proof", lambda: watched.phase(failed) in ("confirm", "held"))
    locked = scene.oned.document("vm.info", vm)
    assert locked.findtext("LOCK/LOCKED")
    assert locked.findtext("RESCHED") == "0"
    assert scene.oned.vm(vm).host_id == failed.host
    watched.machines.installation.onext("ha", "confirm", str(failed.host), "--name", failed.name)
    wait_until("the VM restarts", lambda: watched.moved(vm, failed), seconds=UNTIL_UNKNOWN)
    assert "fencing" not in [row["what"] for row in watched.ha("history", str(failed.host))]
