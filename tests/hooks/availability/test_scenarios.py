"""Scenarios that an administrator can read: a cluster, what happens, and the timeline that follows.

`ONEXT_WRITE_EXPECTED=1 pytest tests/hooks/availability/test_scenarios.py` writes the timelines anew, for review.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hooks.availability.model import Vm
from hooks.availability.policy import read
from onext.settings.availability import Availability
from tests.hooks.availability.happenings import FrontEnd, happen
from tests.hooks.availability.simulation import Cloud, Server, build

SCENARIOS = sorted((Path(__file__).parent / "scenarios").iterdir())
ENVELOPE = Availability(
    clusters=(100,), highest_mode="auto", lowest_confirm_seconds=60, highest_down_hosts=3, quiet_seconds=60
)
NEVER = ("on hosts", "fenced while it answered")


def cloud_of(folder: Path) -> Cloud:
    """Return the cloud of `cluster.yaml`: `policy` as in a template, `hosts` and `vms` with what differs."""
    document = YAML(typ="safe").load((folder / "cluster.yaml").read_text())
    template = {"MODE": "auto", "CONFIRM_SECONDS": "60", **document.get("policy", {})}
    policy = read({key: str(value) for key, value in template.items()}, ENVELOPE)
    assert not policy.complaints, policy.complaints
    vms = document.get("vms", {})
    planner = document.get("planner", True)
    cloud = build(document["hosts"], {number: vm["host"] for number, vm in vms.items()}, policy)
    cloud.planner = planner
    for number, changes in document.get("machines", {}).items():
        for key, value in changes.items():
            assert hasattr(cloud.machines[number], key), key
            setattr(cloud.machines[number], key, value)
        if changes.get("asleep"):
            cloud.machines[number].on = False
            cloud.hosts[number].claimed = True
    for number, vm in vms.items():
        changes = {key: value for key, value in vm.items() if key not in ("host", "ready_after")}
        cloud.vms[number] = replace(cloud.vms[number], **changes)
        if "ready_after" in vm:
            cloud.ready_after[number] = cloud.clock + vm["ready_after"]
    return cloud


def play(folder: Path) -> Cloud:
    """Play the events of a scenario: lines of `seconds what host`, the last one `seconds end`."""
    cloud = cloud_of(folder)
    front = FrontEnd(cloud, Server(cloud))
    begin = cloud.clock
    for line in (folder / "events").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        when, _, what = line.strip().partition(" ")
        while cloud.clock - begin < float(when):
            cloud.advance(10.0)
            front.server.round()
            if front.old is not None:
                front.old.round()
        if what.strip() == "end":
            return cloud
        words, _, number = what.strip().rpartition(" ")
        happen(front, words, int(number))
    raise AssertionError(f"{folder.name}: no `end`")


def summary(cloud: Cloud) -> str:
    """Return the timeline and where every VM is at the end."""
    lines = [f"vm {vm.id}: host {vm.host}, {_state(vm)}" for vm in cloud.vms.values()]
    hosts = [f"host {h.id}: {h.state.name}, {_power(cloud, h.id)}" for h in cloud.hosts.values()]
    return "\n".join([cloud.timeline(), "", *lines, *hosts]) + "\n"


def _power(cloud: Cloud, host: int) -> str:
    return "on" if cloud.machines[host].on else "off"


def _state(vm: Vm) -> str:
    names = {(3, 3): "RUNNING", (3, 16): "UNKNOWN", (8, 0): "POWEROFF", (5, 0): "SUSPENDED"}
    state = names.get((vm.state, vm.lcm), f"state {vm.state}, LCM state {vm.lcm}")
    return f"{state}, lock level {vm.lock}" if vm.lock else state


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_scenario(folder: Path) -> None:
    """Each is a situation in which availability systems are known to fail."""
    found = summary(play(folder))
    expected = folder / "expected"
    if os.environ.get("ONEXT_WRITE_EXPECTED"):
        expected.write_text(found)
    assert found == expected.read_text()


def test_every_scenario_has_a_purpose() -> None:
    """A folder without a sentence about it cannot be reviewed."""
    for folder in SCENARIOS:
        assert len(YAML(typ="safe").load((folder / "cluster.yaml").read_text())["about"]) > 20, folder.name
    assert len(SCENARIOS) >= 60
