"""From the first version to this checkout and back, on a running sandbox: hooks, files, the worker."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from onext.install import service
from onext.install.front_end import FrontEnd
from tests.fixtures_sandbox import Sandbox
from tests.waiting import PATIENCE, until

from .conftest import ROOT

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]
FIRST = "458469e"  # 0.1.0 as it was first tried on front-ends
SLEEPER, CLUSTER = 1, 100
SETTINGS = """geolocation:
  ssh_timeout: 7
power:
  clusters: [100]
  highest_mode: auto
  lowest_min_hosts: 1
  spare_host: false
  soft_off_timeout: 30
"""
POLICY = ("MODE=auto", "MIN_HOSTS=1", "BUFFER_VMS=1")
MONITORED, OFFLINE = "2", "8"
PROVEN = 'ONEXT_POWER_RECORD=[PROVEN="{now}",BOOT_SECONDS="5",ON_SINCE="1"]'  # as 0.1.0 wrote after enrolment


@pytest.fixture(scope="module")
def first_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout of the first version, from this repository's history."""
    done = subprocess.run(["git", "-C", ROOT, "archive", FIRST], capture_output=True, check=False)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"commit {FIRST} is not in this clone's history: fetch all of it")
        pytest.skip(f"commit {FIRST} is not in this clone's history")
    target = tmp_path_factory.mktemp("first")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(target, filter="data")
    return target


def run(sandbox: Sandbox, checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    env = {**sandbox.env, "PYTHON": getattr(sys, "_base_executable", sys.executable)}
    command = [str(checkout / "install.sh"), *options]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=False)


def hooks(sandbox: Sandbox) -> dict[str, str]:
    """Return each registered hook of onext and the executable that it starts."""
    pool = ET.fromstring(sandbox.call("hookpool.info", -2, -1, -1))
    found = {one.findtext("NAME", ""): one.findtext("TEMPLATE/COMMAND", "") for one in pool}
    return {name: command for name, command in found.items() if command.startswith("onext/")}


def onext(sandbox: Sandbox, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(sandbox.location / "bin/onext"), *words]
    return subprocess.run(command, env=sandbox.env, capture_output=True, text=True, timeout=120, check=False)


def executables(sandbox: Sandbox) -> set[str]:
    folder = sandbox.location / "var/remotes/hooks/onext"
    return {f"onext/{path.name}" for path in folder.iterdir()}


def add_bmc(sandbox: Sandbox) -> dict[str, Any]:
    """Give the host that will sleep a BMC; return its entry in bmc.yaml."""
    name = f"node-{SLEEPER:04}"
    entry: dict[str, Any] = json.loads(sandbox.control("bmc", "ipmi", [name]))[name]
    sandbox.control("node", name, {"addresses": ["10.0.0.1"]})
    file = sandbox.location / "etc/onext/bmc.yaml"
    with file.open("w") as stream:
        YAML(typ="safe").dump({SLEEPER: entry}, stream)
    file.chmod(0o640)
    return entry


def powered(entry: dict[str, Any]) -> str:
    """Return what the BMC answers to a client of another project: on or off."""
    login = ["-p", str(entry["port"]), "-U", entry["user"], "-P", entry["password"]]
    command = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.0.1", *login, "power", "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout.split()[-1]


def host_state(sandbox: Sandbox) -> tuple[str, str, str]:
    """Return the state of the host, and the phase and the holder of the claim in its template."""
    root = ET.fromstring(sandbox.call("host.info", SLEEPER))
    claim = "TEMPLATE/ONEXT_POWER_STATE/"
    return root.findtext("STATE", ""), root.findtext(claim + "PHASE", ""), root.findtext(claim + "HOLDER", "")


def put_to_sleep(sandbox: Sandbox) -> None:
    """Let the version that is installed switch the host off by an order."""
    sandbox.call("host.update", SLEEPER, PROVEN.format(now=int(time.time())), 1)
    done = onext(sandbox, "power", "set", str(CLUSTER), *POLICY)
    assert done.returncode == 0, done.stderr
    done = onext(sandbox, "power", "off", str(SLEEPER), "--evacuate")
    assert done.returncode == 0, done.stdout + done.stderr


def woken(sandbox: Sandbox) -> bool:
    """Monitor, let the version that is installed do a round, and return whether the host is back."""
    sandbox.control("monitor")
    onext(sandbox, "power", "run")
    return host_state(sandbox) == (MONITORED, "", "")


def test_from_the_first_version_and_back(
    first_version: Path, checkout: Path, wheels: Path, sandboxes: Callable[..., Sandbox]
) -> None:
    """An upgrade would lose settings or leave a host off that an earlier version powered off; a rollback would not work."""
    sandbox = sandboxes("--step", "0.02", "--monitor", "1", "--boot", "1", "--hosts", "2", "--vms", "1")
    settings = sandbox.location / "etc/onext.yaml"
    before = {path.relative_to(sandbox.location) for path in sandbox.location.rglob("*")}
    done = run(sandbox, first_version)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        old_hooks, old_files = hooks(sandbox), executables(sandbox)
        assert len(old_hooks) > 30
        settings.write_text(SETTINGS)
        bmc = add_bmc(sandbox)
        put_to_sleep(sandbox)
        assert host_state(sandbox) == (OFFLINE, "off", "")  # a claim of 0.1.0 has no HOLDER
        assert powered(bmc) == "off"

        done = run(sandbox, checkout, "--offline", str(wheels))
        assert done.returncode == 0, done.stdout + done.stderr
        new_hooks = hooks(sandbox)
        assert 0 < len(new_hooks) < len(old_hooks)  # one for each state
        assert set(new_hooks.values()) <= executables(sandbox)
        assert settings.read_text() == SETTINGS
        assert onext(sandbox, "status").returncode == 0
        checked = run(sandbox, checkout, "--check")
        assert checked.returncode == 0, checked.stdout
        until(lambda: woken(sandbox), "the wake of a host that 0.1.0 powered off", 240)
        assert powered(bmc) == "on"

        done = run(sandbox, checkout, "--rollback")
        assert done.returncode == 0, done.stdout + done.stderr
        assert hooks(sandbox) == old_hooks
        assert executables(sandbox) == old_files
        assert onext(sandbox, "status").returncode == 0
        assert settings.read_text() == SETTINGS
        assert (host_state(sandbox), powered(bmc)) == ((MONITORED, "", ""), "on")
        put_to_sleep(sandbox)  # what it could do before the upgrade, it can do again
        assert (host_state(sandbox), powered(bmc)) == ((OFFLINE, "off", ""), "off")

        done = run(sandbox, checkout, "--offline", str(wheels))
        assert done.returncode == 0, done.stdout + done.stderr
        assert hooks(sandbox) == new_hooks
        gone = run(
            sandbox, checkout, "--uninstall", "--backup", str(sandbox.location.parent / "settings.tar.gz")
        )
        assert gone.returncode == 0, gone.stdout + gone.stderr
        assert hooks(sandbox) == {}
        assert (host_state(sandbox), powered(bmc)) == ((MONITORED, "", ""), "on")  # no host is left off
        left = {path.relative_to(sandbox.location) for path in sandbox.location.rglob("*")} - before
        on_nodes = "nodes"  # a node keeps what was synchronised until the next `onehost sync`
        assert not [path for path in left if "onext" in str(path) and path.parts[0] != on_nodes], left
    finally:
        service.stop(FrontEnd.self_contained(sandbox.location))
