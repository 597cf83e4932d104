"""A VM on a shared disk whose host is cut off: it starts elsewhere only where its first instance surely ended.

The disk is the judge: each write names the host, the start and who wrote before. Times are shortened by
tests.lab.shared_disk.SHORT, except in the test of the times as they are.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import OpenLab
from tests.lab.front_end import Times
from tests.lab.laboratory import Network
from tests.lab.node import until
from tests.lab.shared_disk import SharedDisk

Scene = Callable[..., SharedDisk]


@pytest.fixture
def scene(use_lab: OpenLab, tmp_path: Path) -> Iterator[Scene]:
    """Return the function that sets a scene."""
    made: list[SharedDisk] = []

    def make(**how: object) -> SharedDisk:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        found = SharedDisk(use_lab(Network()), folder, **how)  # type: ignore[arg-type]
        made.append(found)
        found.begin()
        return found

    yield make
    for one in made:
        one.end()


@pytest.fixture
def leased(scene: Scene) -> Scene:
    """Return the function that sets a scene in which the front-end grants a lease to the node."""

    def make(**how: object) -> SharedDisk:
        found = scene(**how)
        found.record_lease()
        found.front(0)
        found.install_lease()
        found.armed()
        return found

    return make


@pytest.fixture
def all_of_it(pytestconfig: pytest.Config) -> None:
    """Leave the longer ways to `make lab`."""
    if pytestconfig.getoption("lab") != "all":
        pytest.skip("minutes of emulation: make lab")


def test_a_cut_host_keeps_its_vm_until_its_lease_is_a_proof(scene: Scene) -> None:
    """Two instances on one disk destroy it; no instance at all is what the part is there to prevent."""
    found = scene()
    found.record_lease()
    found.front(0)
    found.lab.cut(found.lab.a, off=True)
    until(lambda: found.report()["phase"] == "held", "the incident to be held")
    assert "no BMC and no lease" in found.report()["reason"]
    found.stays(3)
    found.lab.cut(found.lab.a, off=False)
    until(lambda: found.report()["phase"] == "", "the end of the incident")
    found.install_lease()
    found.armed()
    found.lab.cut(found.lab.a, off=True)
    found.moved()


def test_the_front_end_loses_the_host_but_its_peers_do_not(scene: Scene, all_of_it: None) -> None:
    """A front-end whose own link failed must not start VMs that run well."""
    found = scene()
    found.front(0)
    found.lab.block(found.lab.a, off=True)
    until(lambda: found.report()["phase"] == "held", "the incident to be held")
    assert found.report()["verdict"] == "degraded"
    assert "evidence shows life" in found.report()["reason"]
    found.stays(20)
    found.lab.block(found.lab.a, off=False)
    until(lambda: found.report()["phase"] == "", "the end of the incident")


def test_a_host_with_a_lease_that_only_its_peers_reach_ends_its_vm(leased: Scene, all_of_it: None) -> None:
    """Grants come from the front-end alone: without them the host resets, and what it ran starts elsewhere."""
    found = leased()
    found.lab.block(found.lab.a, off=True)
    found.moved()


def with_an_old_leader(scene: Scene) -> SharedDisk:
    """Return a host with a lease from a leader that still grants when another one leads."""
    found = scene(stubborn=True)
    found.record_lease()
    found.install_lease()
    found.front(0, beside=found.lab.a)
    found.armed()
    found.front_follows(1)
    return found


def test_an_old_leader_that_still_reaches_the_host_keeps_nothing_alive(scene: Scene, all_of_it: None) -> None:
    """Its grants would let the first instance run on while the new leader takes the lease for expired."""
    found = with_an_old_leader(scene)
    found.lab.cut(found.lab.a, off=True)
    found.lead(1)
    refused = found.refused(0)
    found.moved()
    assert found.refused(0) > refused, "the old leader did not try to grant"


def test_a_leader_that_is_paused_between_its_write_and_its_grant_extends_nothing(
    scene: Scene, all_of_it: None
) -> None:
    """A grant that is sent late answers an old question: the lease counts from that."""
    found = with_an_old_leader(scene)
    for _ in range(6):
        found.fronts[0].send_signal(signal.SIGSTOP)
        time.sleep(random.uniform(0.5, 2.0))
        found.fronts[0].send_signal(signal.SIGCONT)
        time.sleep(random.uniform(0.5, 2.0))
    assert not found.was_reset()
    found.fronts[0].send_signal(signal.SIGSTOP)
    found.lab.cut(found.lab.a, off=True)
    found.lead(1)
    time.sleep(5.0)
    found.fronts[0].send_signal(signal.SIGCONT)
    found.moved()


def test_a_daemon_that_is_stopped_before_the_network_fails_does_not_outlive_its_lease(
    leased: Scene, all_of_it: None
) -> None:
    """A daemon that cannot run cannot end VMs: the watchdog has to."""
    found = leased()
    found.signal_daemon(signal.SIGSTOP)
    found.lab.cut(found.lab.a, off=True)
    found.moved()


@pytest.mark.parametrize("point", range(20))
def test_a_daemon_that_is_killed_does_not_outlive_its_lease(
    leased: Scene, all_of_it: None, point: int
) -> None:
    """Its unit starts it again, but only a new grant feeds the watchdog: the node lives on, or it is reset in time."""
    found = leased()
    granted = found.report()["granted_at"]
    until(lambda: found.report()["granted_at"] != granted, "the next grant")
    time.sleep(point * 0.15)  # within the period of the grants and some more
    found.signal_daemon(signal.SIGKILL)
    time.sleep(6.0)  # longer than the watchdog takes
    if not found.was_reset():
        found.stays(1)
    found.lab.cut(found.lab.a, off=True)
    found.moved()


def test_the_times_as_they_are(leased: Scene, all_of_it: None) -> None:
    """What holds with short times must hold with those that people use, too."""
    found = leased(times=Times(lease=20.0))
    found.lab.cut(found.lab.a, off=True)
    found.moved(600.0)
