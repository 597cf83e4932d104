"""Power on a real OpenNebula: real hooks, a real scheduler, BMCs that others wrote; the hosts are pretended.

The worker acts by itself, as it does for an administrator; what came of it is looked at with ipmitool and oned.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from onext.oned.objects import HostState, VmState
from tests.live.front_end import wait_until
from tests.live.installation import Installation
from tests.live.machines import Machines
from tests.live.scene import HostStatus, Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

CORES = 8  # of a pretended host
ROUNDS = 420.0  # seconds for a few of the worker's rounds, one a minute, and what they wait for


@pytest.fixture
def cloud(powered: Installation, ssh_config: Path, scene: Scene) -> Iterator[Machines]:
    """Give a cluster of three machines, none of them enrolled."""
    with ExitStack() as stack:
        machines = Machines(powered, scene, stack, ssh_config)
        machines.add(*scene.hosts(3, machines.cluster))
        yield machines
        powered.onext("start", "power")


def refused(cloud: Machines, *words: str) -> str:
    """Return why an order is refused; its exit code has to be 1."""
    done = cloud.power(*words, check=False)
    assert done.exit_code == 1, done
    return done.stderr.decode()


def test_a_cluster_empties_sleeps_and_is_back_when_load_comes(cloud: Machines) -> None:
    """The whole promise: enrolled, packed, off within the policy, and on again before anybody misses it."""
    for machine in cloud.machines:
        cloud.power("enroll", machine.name)
        assert cloud.status()[machine.host]["proven"] == "yes"
        assert cloud.state(machine) is HostState.MONITORED
        assert machine.powered
        assert machine.has_drivers
    guests = [cloud.guest(machine) for machine in cloud.machines[:2]]
    cloud.policy("MODE=auto", "PACK=yes")
    asleep = cloud.wait_until_asleep(2, seconds=ROUNDS)
    (awake,) = (machine for machine in cloud.machines if machine not in asleep)
    assert {cloud.scene.wait_for_running(guest).host_id for guest in guests} == {awake.host}
    assert all(cloud.state(machine) is HostState.OFFLINE for machine in asleep)
    load = cloud.load(CORES)
    host = cloud.scene.wait_for_running(load, seconds=ROUNDS).host_id
    (woken,) = (machine for machine in asleep if machine.host == host)
    assert woken.powered
    assert cloud.state(woken) is HostState.MONITORED
    assert cloud.claim(woken) == {}
    (still,) = (machine for machine in asleep if machine is not woken)
    assert not still.powered


def test_what_oned_forgets_of_a_host_that_is_off_is_kept(cloud: Machines) -> None:
    """OFFLINE erases the capacity: a planner would see a host of size nought, and never wake it for a guest."""
    machine = cloud.machines[0]
    before = cloud.scene.capacity(machine.host)
    cloud.prove(machine)
    cloud.policy("MODE=advise")
    cloud.power("off", machine.name)
    assert not machine.powered
    assert cloud.state(machine) is HostState.OFFLINE
    assert set(cloud.scene.capacity(machine.host).values()) == {"0"}
    claim = cloud.claim(machine)
    assert {key: claim[key] for key in before} == before
    cloud.power("on", machine.name)
    assert machine.powered
    assert cloud.state(machine) is HostState.MONITORED
    assert cloud.scene.capacity(machine.host) == before
    assert cloud.claim(machine) == {}


def test_an_off_by_hand_stays_off_and_needs_an_empty_host(cloud: Machines) -> None:
    """An order's exit code is what scripts go by; what a person switched off stays off when load comes."""
    first, second, third = cloud.machines
    cloud.policy("MODE=auto")
    assert "not enrolled" in refused(cloud, "off", first.name)
    cloud.prove()
    guest = cloud.guest(first)
    assert "not empty" in refused(cloud, "off", first.name)
    cloud.power("off", first.name, "--evacuate")
    assert not first.powered
    assert cloud.scene.wait_for_running(guest).host_id in (second.host, third.host)
    load = [cloud.load(CORES - 1) for _ in range(3)]
    wait_until("two of three have a place", lambda: cloud.running(load) == 2)
    cloud.round()
    assert not first.powered
    cloud.power("on", first.name)
    assert first.powered
    wait_until("the third has one too", lambda: cloud.running(load) == 3)


def test_a_host_that_an_operator_switched_off_is_not_woken(cloud: Machines) -> None:
    """Somebody opens the machine, and it starts under their hands."""
    first, *others = cloud.machines
    cloud.prove()
    cloud.scene.switch(first.host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    first.bmc.ipmitool("power", "off")
    cloud.policy("MODE=auto")
    load = [cloud.load(CORES) for _ in range(3)]
    wait_until("two of three have a place", lambda: cloud.running(load) == len(others))
    for _ in range(3):
        cloud.round()
    assert not first.powered
    assert cloud.state(first) is HostState.OFFLINE
    assert "onext did not power it off" in refused(cloud, "on", first.name)


def test_an_operators_enable_ends_a_drain(cloud: Machines) -> None:
    """Whoever wants the host now gets it, and it is not taken away again a minute later."""
    first = cloud.machines[0]
    cloud.prove()
    cloud.guest(first)
    cloud.policy("MODE=auto", "PACK=yes")
    with cloud.slow_migrations(15), ThreadPoolExecutor() as aside:
        order = aside.submit(cloud.power, "off", first.name, "--evacuate", check=False)
        wait_until("it is being emptied", lambda: cloud.state(first) is HostState.DISABLED)
        cloud.scene.switch(first.host, HostStatus.ENABLED, until=HostState.MONITORED)
        done = order.result()
    assert done.exit_code == 1
    assert "another user or program put it into MONITORED" in done.stderr.decode()
    assert cloud.claim(first)["PHASE"] == "left"
    cloud.round()
    assert cloud.state(first) is HostState.MONITORED
    assert first.powered


def test_stop_freezes_everything(cloud: Machines) -> None:
    """Somebody has to be able to end this at once, and see that it has ended."""
    cloud.prove()
    cloud.policy("MODE=auto")
    cloud.installation.onext("stop", "power")
    assert "stopped" in refused(cloud, "off", cloud.machines[0].name)
    cloud.round()
    assert [cloud.claim(machine) for machine in cloud.machines] == [{}, {}, {}]
    assert all(machine.powered for machine in cloud.machines)
    assert all(cloud.state(machine) is HostState.MONITORED for machine in cloud.machines)
    cloud.installation.onext("start", "power")
    cloud.power("off", cloud.machines[0].name)
    assert not cloud.machines[0].powered


def test_another_machines_bmc_switches_nothing(cloud: Machines) -> None:
    """A line that was copied in bmc.yaml would take the power from a host full of guests."""
    machine, other = cloud.machines[:2]
    cloud.prove(machine)
    cloud.book({machine.host: other.bmc.entry(uuid=machine.bmc.uuid)})
    cloud.policy("MODE=auto")
    refused(cloud, "off", machine.name)
    assert machine.powered
    assert other.powered
    assert cloud.state(machine) is HostState.MONITORED


def test_fence_tells_the_truth(cloud: Machines) -> None:
    """High availability starts the guests of a host elsewhere when it hears that this one is off."""
    well = cloud.machines[0]
    assert "only a host in ERROR" in refused(cloud, "fence", str(well.host))
    assert well.powered
    (lost,) = cloud.add(cloud.scene.unmonitored_host("kvm", cloud.cluster))
    cloud.scene.wait_for_host(lost.host, HostState.ERROR)
    lost.bmc.fault("idle")
    assert "not fenced" in refused(cloud, "fence", str(lost.host), "--within", "10")
    assert lost.powered
    (lost.bmc.folder / "idle").unlink()
    assert "is off" in cloud.power("fence", str(lost.host)).stdout.decode()
    assert not lost.powered


def test_opennebulas_high_availability_fences_through_us(cloud: Machines) -> None:
    """Its own host_error.rb would start the guests elsewhere while the host still runs, or never."""
    (lost,) = cloud.add(cloud.scene.unmonitored_host("kvm", cloud.cluster))
    cloud.scene.wait_for_host(lost.host, HostState.ERROR)
    lost.bmc.fault("idle")
    assert cloud.high_availability(lost).exit_code != 0
    assert lost.powered
    (lost.bmc.folder / "idle").unlink()
    assert cloud.high_availability(lost).exit_code == 0
    assert not lost.powered


def test_a_guest_that_waits_in_vain_is_told_why(cloud: Machines) -> None:
    """A user whose VM waits for ever finds no reason anywhere."""
    cloud.settings("  vm_wait_timeout: 5\n")
    cloud.policy("MODE=auto")
    load = cloud.load(10 * CORES)
    wait_until(
        "its template says why it waits",
        lambda: bool(cloud.scene.oned.vm(load).user_template.get("ONEXT_POWER_WAIT")),
        seconds=ROUNDS,
    )
    assert cloud.scene.oned.vm(load).state is VmState.PENDING
