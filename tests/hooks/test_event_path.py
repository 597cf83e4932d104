"""The event path with every part installed: one process for each change of state, whatever parts there are."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path

import pytest

from onext import events
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import ROOT

pytestmark = pytest.mark.process


def test_a_vm_that_enters_running_starts_exactly_one_process(bundle: Bundle, tmp_path: Path) -> None:
    """All hooks of a front-end share ten slots: several processes per VM kept OpenNebula's own ones waiting."""
    bundle.settings("power:\n  clusters: [0]\n")
    real = bundle.hook("event").rename(bundle.location / "var/remotes/hooks/onext/real")
    seen = tmp_path / "seen"
    seen.mkdir()
    script = f"#!/bin/sh\ncat > {seen}/$$.new; mv {seen}/$$.new {seen}/$$; exec {real} < {seen}/$$\n"
    bundle.sandbox.remote("hooks/onext/event", script)
    for file in sorted((ROOT / "hooks").glob("*.hook")):
        bundle.sandbox.call("one.hook.allocate", file.read_text())
    bundle.sandbox.call("one.host.allocate", "node-a1", "dummy", "dummy", 0)
    bundle.sandbox.until(lambda: "<STATE>2</STATE>" in bundle.sandbox.call("one.hostpool.info"))
    vm = bundle.sandbox.call("one.vm.allocate", "CPU=1 MEMORY=64", False)
    bundle.sandbox.call("one.vm.deploy", vm, 0, False, -1, "")

    def payloads() -> list[bytes]:
        return [base64.b64decode(file.read_bytes()) for file in seen.iterdir() if file.suffix != ".new"]

    def running() -> list[bytes]:
        return [xml for xml in payloads() if re.search(rb"<VM>.*<LCM_STATE>3</LCM_STATE>", xml, re.DOTALL)]

    bundle.sandbox.until(running)
    bundle.sandbox.until(lambda: {"targets.pool.0", "power.pool.0"} <= bundle.results().keys())
    time.sleep(1)
    assert len(running()) == 1
    assert set(events.parts("vm", 3, 3)) >= {"targets", "power"}
