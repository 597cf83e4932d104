"""The whole way in the sandbox: a host hangs, its real BMC stand-in reports on; worker, BMC and oned do the rest."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from ruamel.yaml import YAML

from onext.hosts.bmc.config import BmcConfig
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import ROOT, Sandbox
from tests.waiting import PATIENCE, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]
SETTINGS = """availability:
  clusters: [100]
  highest_mode: auto
  lowest_confirm_seconds: 20
  quiet_seconds: 0
oned:
  timeout: 5
geolocation:
  ssh_config: {location}/ssh_config
"""
POLICY = 'ONEXT_HA=[MODE="auto",CONFIRM_SECONDS="20",GROUP_PAUSE="30"]'
HOSTS = 4
VIRSH = """#!/bin/sh
case "$*" in
*destroy*) : >"$HOME/running" ;;
*list*) cat "$HOME/running" ;;
esac
"""


class Cloud:
    """Four hosts with BMCs in cluster 100, VMs with priorities on the first, and a running worker."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.bundle = sandbox, Bundle(sandbox)
        self.names = [f"node-{number:04}" for number in range(HOSTS)]
        sandbox.control("trouble", False, 0.0, "")
        entries = json.loads(sandbox.control("bmc", "ipmi", self.names))
        for name in self.names:
            sandbox.control("node", name, {"addresses": ["10.0.0.1"]})
        file = sandbox.location / "etc/onext/bmc.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as stream:
            YAML(typ="safe").dump({n: entries[name] for n, name in enumerate(self.names)}, stream)
        file.chmod(0o640)
        self.bundle.settings(SETTINGS.format(location=sandbox.location))
        sandbox.call("cluster.update", 100, POLICY, 1)
        command = "from onext.cli.main import main; main()"
        self.worker = subprocess.Popen(
            [sys.executable, "-c", command, "worker"], cwd=ROOT, env=sandbox.env, stderr=subprocess.DEVNULL
        )

    def onext(self, *words: str, check: bool = True) -> str:
        """Run a command."""
        return self.bundle.onext(*words, check=check, seconds=200).stdout

    def vm(self, number: int) -> tuple[int, int, str]:
        """Return STATE, LCM_STATE and the last host of a VM."""
        text = self.sandbox.call("vm.info", number)
        state = re.search(r"<STATE>(\d+)</STATE><LCM_STATE>(\d+)</LCM_STATE>", text)
        hosts = re.findall(r"<HOSTNAME>(?:<!\[CDATA\[)?([^<\]]*)", text)
        assert state is not None
        return int(state[1]), int(state[2]), hosts[-1] if hosts else ""

    def incidents(self) -> dict[int, dict[str, object]]:
        """Return the incidents by host."""
        return {row["id"]: row for row in json.loads(self.onext("ha", "status", "--json"))}


@pytest.fixture
def cloud(sandboxes: Callable[..., Sandbox]) -> Iterator[Cloud]:
    """Return the cloud; its worker ends with the test."""
    sandbox = sandboxes("--hosts", str(HOSTS), "--step", "0.1", "--monitor", "1")
    made = Cloud(sandbox)
    yield made
    made.worker.kill()
    made.worker.wait()


def test_a_hung_host_is_fenced_its_vms_restart_and_it_returns(cloud: Cloud) -> None:
    """The promise of the part: no person is needed at night."""
    sandbox = cloud.sandbox
    for number in range(2):
        sandbox.call("vm.allocate", "CPU=1 MEMORY=64 DISK=[IMAGE_ID=0]", True)
        sandbox.call("vm.deploy", number, 0)
    sandbox.until(lambda: all(cloud.vm(n)[:2] == (3, 3) for n in range(2)))
    until((cloud.bundle.var / "spool/wake").exists, "the worker's start")
    _look_ahead(cloud)
    sandbox.control("host.machine", 0, {"alive": False})
    sandbox.control("node", cloud.names[0], {"behaves": "mute"})
    until(lambda: cloud.incidents().get(0), "an incident", PATIENCE)
    until(
        lambda: all(cloud.vm(n)[:2] == (3, 3) for n in range(2)) and cloud.vm(0)[2] != cloud.names[0],
        "restarts",
        300,
    )
    assert {cloud.vm(n)[2] for n in range(2)}.isdisjoint({cloud.names[0]})
    until(lambda: cloud.incidents()[0]["phase"] == "done", "the end of the evacuation")
    history = json.loads(cloud.onext("ha", "history", "0", "--json"))
    steps = [row["what"] for row in history]
    order = ["suspect", "confirm", "fencing", "order", "fenced", "evacuating", "done"]
    positions = [steps.index(step) for step in order]
    assert positions == sorted(positions), steps
    _return(cloud)


def _look_ahead(cloud: Cloud) -> None:
    """Compare what is announced before the failure with the cloud."""
    steps = json.loads(cloud.onext("ha", "plan", cloud.names[0], "--json"))
    assert [row["step"] for row in steps].count("restart") == 2
    assert {row["target"] for row in steps if row["step"] == "restart"} <= set(cloud.names[1:])
    (loss,) = json.loads(cloud.onext("ha", "check", "--json"))
    assert (loss["host"], loss["vms"], loss["without_a_place"]) == (cloud.names[0], 2, "")
    evidence = {
        row["source"]: row["finding"] for row in json.loads(cloud.onext("ha", "status", "0", "--json"))
    }
    assert (evidence["ssh"], evidence["bmc"]) == ("alive", "powered")
    cloud.onext("ha", "pause", "100")
    cloud.onext("ha", "resume", "100")
    refused = cloud.bundle.onext("ha", "confirm", "0", "--name", cloud.names[0], check=False)
    assert refused.returncode != 0


def _return(cloud: Cloud) -> None:
    """Let the host boot with an old instance of VM 0; it serves again only once that is gone."""
    virsh = cloud.sandbox.location / "nodes" / cloud.names[0] / "bin/virsh"
    virsh.write_text(VIRSH)
    virsh.chmod(0o755)
    (virsh.parent.parent / "running").write_text("one-0\n")
    BmcConfig.load(cloud.sandbox.location / "etc/onext/bmc.yaml").bmc(0).switch_on()
    cloud.sandbox.control("host.machine", 0, {"alive": True, "running": []})
    cloud.sandbox.control("node", cloud.names[0], {"behaves": "ok"})
    until(lambda: 0 not in cloud.incidents(), "the return of the host", 300)
    assert (virsh.parent.parent / "running").read_text() == ""
    assert re.search(r"<STATE>2</STATE>", cloud.sandbox.call("host.info", 0))
