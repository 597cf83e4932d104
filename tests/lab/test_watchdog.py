"""The lease daemon on a real kernel with a hardware watchdog: what ends it resets the node before the lease."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.lab.watchdog_node import WatchdogNode, build_initrd, why_not

LEASE, PATIENCE = 60.0, 240.0


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """Return the node's file system."""
    if pytestconfig.getoption("lab") != "all":
        pytest.skip("minutes of emulation: make lab")
    if (reason := why_not()) and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return build_initrd(tmp_path_factory.mktemp("watchdog"))


def test_a_node_whose_daemon_is_frozen_resets_before_its_lease_ends(initrd: Path, tmp_path: Path) -> None:
    """Its VMs would run on while others start in their place."""
    with WatchdogNode(tmp_path, initrd, LEASE, signal.SIGSTOP) as node:
        node.arm(PATIENCE)
        node.wait_for(f"signal {signal.SIGSTOP:d}", 60)
        assert node.ask() is None
        assert node.wait_for_reset(LEASE) - node.granted < LEASE


def test_a_healthy_node_runs_on_and_resets_when_its_grants_end(initrd: Path, tmp_path: Path) -> None:
    """A reset without need ends every VM of the host; a missing one starts them twice."""
    with WatchdogNode(tmp_path, initrd, LEASE) as node:
        node.arm(PATIENCE)
        assert node.grant_for(float(os.environ.get("ONEXT_HEALTHY", "45")), every=8.0), node.text()
        assert node.wait_for_reset(LEASE + 10) - node.granted < LEASE
        assert "the lease ended" in node.text()


def test_a_node_whose_daemon_is_killed_again_and_again_resets_when_its_grants_end(
    initrd: Path, tmp_path: Path
) -> None:
    """A daemon that is started again must not feed the watchdog without a grant of its own."""
    with WatchdogNode(tmp_path, initrd, LEASE, signal.SIGKILL, after=2) as node:
        node.arm(PATIENCE)
        end = time.monotonic() + 30
        while time.monotonic() < end and node.runs():
            node.grant()
            time.sleep(1.0)
        assert node.wait_for_reset(LEASE + 10) - node.granted < LEASE
