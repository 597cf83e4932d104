"""An incident from the first suspicion to the host's return, on a model of a cloud."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.availability.model import Phase, Stage
from hooks.availability.policy import Mode
from onext.oned.objects import HostState
from tests.hooks.availability.simulation import POLICY, TICK, Cloud, Server, build


def run(cloud: Cloud, server: Server, seconds: float) -> None:
    """Let time pass, with a round of the worker each ten seconds."""
    for _ in range(int(seconds / TICK)):
        cloud.advance(TICK)
        server.round()


def test_a_dead_host_is_fenced_and_its_vms_restart_elsewhere() -> None:
    """Without it a failed host's VMs stay down until a person comes."""
    cloud = build(4, {1: 0, 2: 0, 3: 1})
    server = Server(cloud)
    run(cloud, server, 50)
    assert not cloud.records
    cloud.machines[0].hung = True
    run(cloud, server, 600)
    assert {vm.host for vm in cloud.vms.values() if vm.id in (1, 2)} <= {1, 2, 3}, cloud.timeline()
    assert not cloud.machines[0].on
    assert cloud.records[0].phase is Phase.DONE
    assert {entry.stage for entry in cloud.records[0].entries} == {Stage.RUNNING}
    assert not any(vm.lock for vm in cloud.vms.values())


def test_vms_are_locked_before_oned_reports_error() -> None:
    """Otherwise oned's own planner starts UNKNOWN VMs while the first instance may still run."""
    cloud = build(4, {1: 0}, has_bmc=False)
    server = Server(cloud)
    cloud.machines[0].network = cloud.machines[0].peers = False
    run(cloud, server, 100)
    assert cloud.vms[1].lock
    assert cloud.hosts[0].state is HostState.DISABLED
    run(cloud, server, 900)
    assert cloud.vms[1].host == 0, cloud.timeline()


def test_without_a_proof_nothing_is_started() -> None:
    """A host that only lost its network still runs its VMs; a second instance destroys their disks."""
    cloud = build(4, {1: 0}, has_bmc=False)
    server = Server(cloud)
    cloud.machines[0].network = cloud.machines[0].peers = cloud.machines[0].storage = False
    run(cloud, server, 3600)
    assert cloud.vms[1].host == 0
    assert cloud.records[0].phase is Phase.HELD
    assert any("onext ha confirm" in text for text in cloud.alarms)
    cloud.machines[0].power_off()
    cloud.confirmed.add(0)
    run(cloud, server, 300)
    assert cloud.vms[1].host != 0


def test_an_expired_lease_is_a_proof() -> None:
    """Edge hosts without a BMC are served, too."""
    cloud = build(4, {1: 0}, has_bmc=False, armed=True)
    server = Server(cloud)
    run(cloud, server, 30)
    cloud.machines[0].network = cloud.machines[0].peers = cloud.machines[0].storage = False
    run(cloud, server, 600)
    assert cloud.vms[1].host != 0, cloud.timeline()


def test_a_host_that_comes_back_is_cleaned_and_enabled() -> None:
    """A host that stays disabled after its return is lost capacity."""
    cloud = build(4, {1: 0, 2: 1})
    server = Server(cloud)
    cloud.machines[0].hung = True
    run(cloud, server, 600)
    cloud.machines[0].on, cloud.machines[0].hung = True, False
    run(cloud, server, 300)
    assert not cloud.records, cloud.timeline()
    assert cloud.hosts[0].state is HostState.MONITORED
    assert cloud.vms[1].host != 0


def test_a_host_whose_libvirt_does_not_answer_stays_disabled() -> None:
    """It may still run VMs that were restarted elsewhere."""
    cloud = build(4, {1: 0})
    server = Server(cloud)
    cloud.machines[0].hung = True
    run(cloud, server, 600)
    cloud.machines[0].on, cloud.machines[0].unsure = True, True
    run(cloud, server, 300)
    assert cloud.hosts[0].state is HostState.DISABLED
    assert cloud.records[0].phase is Phase.RETURNING


def test_mass_failure_is_held() -> None:
    """A failed switch of the front-end must not power the cloud off."""
    cloud = build(6, {n: n for n in range(6)})
    server = Server(cloud)
    for machine in cloud.machines.values():
        machine.network = machine.peers = False
    run(cloud, server, 1800)
    assert all(machine.on for machine in cloud.machines.values()), cloud.timeline()
    assert any("MAX_DOWN_HOSTS" in text for text in cloud.alarms)


def test_isolated_hosts_are_fenced_only_where_chosen() -> None:
    """A live storage heartbeat shows that its VMs still run."""
    cloud = build(4, {1: 0})
    server = Server(cloud)
    cloud.machines[0].network = cloud.machines[0].peers = False
    run(cloud, server, 900)
    assert cloud.machines[0].on
    assert any("isolated" in text for text in cloud.alarms)
    cloud.policy = replace(cloud.policy, fence_isolated=True)
    run(cloud, server, 600)
    assert not cloud.machines[0].on
    assert cloud.vms[1].host != 0


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.ADVISE])
def test_off_and_advise_change_nothing(mode: Mode) -> None:
    """Advise is for administrators who do not trust it yet."""
    cloud = build(4, {1: 0}, replace(POLICY, mode=mode))
    cloud.planner = False
    server = Server(cloud)
    cloud.machines[0].hung = True
    run(cloud, server, 900)
    assert cloud.machines[0].on
    assert not cloud.vms[1].lock
    assert cloud.vms[1].host == 0
    assert bool(cloud.records) is (mode is Mode.ADVISE)


def test_priorities_start_in_order() -> None:
    """A database is up before its clients."""
    cloud = build(4, dict.fromkeys(range(1, 5), 0))
    for number, priority in ((1, 5), (2, 9), (3, 1), (4, 9)):
        cloud.vms[number] = replace(cloud.vms[number], priority=priority)
    server = Server(cloud)
    cloud.machines[0].hung = True
    run(cloud, server, 900)
    order = [line.split("VM ")[1][0] for line in cloud.history if "starts on" in line]
    assert order == ["2", "4", "1", "3"], cloud.timeline()


def test_a_group_waits_for_readiness() -> None:
    """Clients that start before their database fail."""
    cloud = build(4, {1: 0, 2: 0}, replace(POLICY, group_pause=600.0))
    cloud.vms[1] = replace(cloud.vms[1], priority=9, ready="port 5432")
    cloud.ready_after[1] = cloud.clock + 400
    server = Server(cloud)
    cloud.machines[0].hung = True
    run(cloud, server, 900)
    started = {line.split("VM ")[1][0]: float(line[:6]) for line in cloud.history if "starts on" in line}
    assert started["2"] >= 400, cloud.timeline()


def test_a_failed_start_is_tried_on_another_host() -> None:
    """One broken target must not leave the VM down."""
    cloud = build(4, {1: 0})
    server = Server(cloud)
    cloud.machines[1].fails_starts = True
    cloud.machines[2].capacity = cloud.machines[3].capacity = 3
    cloud.machines[0].hung = True
    run(cloud, server, 900)
    assert cloud.vms[1].host in (2, 3), cloud.timeline()
    assert cloud.vms[1].lcm == 3


def test_local_disks_wait_for_their_host() -> None:
    """A restart without disks would delete them."""
    cloud = build(4, {1: 0})
    cloud.vms[1] = replace(cloud.vms[1], shared=False)
    server = Server(cloud)
    cloud.machines[0].hung = True
    run(cloud, server, 600)
    assert cloud.vms[1].host == 0
    assert cloud.machines[0].on, "no VM can be restarted, so that fencing would gain nothing"


def test_two_hosts_need_two_proofs() -> None:
    """In a cluster of two, one broken link makes each look dead to the other."""
    cloud = build(2, {1: 0})
    server = Server(cloud)
    cloud.machines[0].hung = True
    cloud.machines[0].peers = False
    run(cloud, server, 900)
    assert cloud.vms[1].host == 0, cloud.timeline()
    assert not cloud.machines[0].on or cloud.records[0].phase is Phase.HELD


def test_a_person_who_disabled_the_host_wins() -> None:
    """A host that a person disabled is not fenced."""
    cloud = build(4, {1: 0})
    server = Server(cloud)
    cloud.hosts[0].state = HostState.DISABLED
    run(cloud, server, 30)
    cloud.machines[0].hung = True
    run(cloud, server, 900)
    assert cloud.machines[0].on, cloud.timeline()
    assert cloud.records[0].phase is Phase.HELD
