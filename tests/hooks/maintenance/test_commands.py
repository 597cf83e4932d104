"""`onext host flush` against a simulated front-end: VMs move, the rest is reported, the host returns."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import Sandbox

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
DISABLED = "4"


def state(sandbox: Sandbox) -> str:
    """Return STATE of host 0."""
    found = re.search("<STATE>(\\d+)</STATE>", sandbox.call("host.info", 0))
    assert found
    return found[1]


def host_of(sandbox: Sandbox, vm: int) -> str:
    """Return the last host of a VM."""
    hosts: list[str] = re.findall("<HID>(\\d+)</HID>", sandbox.call("vm.info", vm))
    return hosts[-1]


def test_a_host_is_emptied_and_put_back(sandboxes: Callable[..., Sandbox]) -> None:
    """A person opens a machine on which a VM still runs, or one that is fenced because it went silent."""
    sandbox = sandboxes("--hosts", "3", "--vms", "6")
    bundle = Bundle(sandbox)
    here = [vm for vm in range(6) if host_of(sandbox, vm) == "0"]
    assert len(here) == 2
    dry = bundle.onext("host", "flush", "node-0000", "--dry-run")
    assert dry.stdout.count("would move to host") == 2
    assert state(sandbox) != DISABLED
    sandbox.call("vm.lock", here[0], 4, True)
    flushed = bundle.onext("host", "flush", "node-0000", check=False, seconds=120)
    assert flushed.returncode == 1
    assert f"VM {here[0]}" in flushed.stdout
    assert "stays: it is locked" in flushed.stdout
    assert host_of(sandbox, here[1]) != "0"
    assert state(sandbox) == DISABLED
    assert "onext.maintenance.0" in sandbox.call("documentpool.info", -2, -1, -1, 20_411)
    sandbox.call("vm.unlock", here[0])
    again = bundle.onext("host", "flush", "node-0000", seconds=120)
    assert "is empty and in maintenance" in again.stdout
    bundle.onext("host", "flush", "node-0000", "--undo")
    assert state(sandbox) != DISABLED
    assert "onext.maintenance.0" not in sandbox.call("documentpool.info", -2, -1, -1, 20_411)
    refused = bundle.onext("host", "flush", "node-0000", "--undo", check=False)
    assert "is not in maintenance" in refused.stderr


def test_a_host_that_was_disabled_before_stays_so(sandboxes: Callable[..., Sandbox]) -> None:
    """A person disabled it for a reason that maintenance does not end: VMs would be placed on it."""
    sandbox = sandboxes("--hosts", "2")
    bundle = Bundle(sandbox)
    sandbox.call("host.status", 0, 1)
    for _ in range(2):  # also where it is run again
        bundle.onext("host", "flush", "node-0000", seconds=120)
    dry = bundle.onext("host", "flush", "node-0000", "--undo", "--dry-run")
    assert "would stay disabled" in dry.stdout
    undone = bundle.onext("host", "flush", "node-0000", "--undo")
    assert "stays disabled" in undone.stdout
    assert state(sandbox) == DISABLED
    assert "onext.maintenance.0" not in sandbox.call("documentpool.info", -2, -1, -1, 20_411)
