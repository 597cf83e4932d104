"""BMCs: what they switch goes off and comes back, for ssh and for monitoring."""

import base64
import json
import re
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_sandbox import Sandbox
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process


@pytest.fixture
def host(sandbox: Sandbox) -> Sandbox:
    """Return a sandbox with one monitored host, a node that ssh reaches."""
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    sandbox.until(lambda: state(sandbox) == "2")
    sandbox.control("node", "node-a1", {})
    return sandbox


def state(sandbox: Sandbox) -> str:
    """Return the host's STATE."""
    found = re.search(r"<STATE>(\d)</STATE>", sandbox.call("host.info", 0))
    assert found
    return found[1]


def answers(sandbox: Sandbox) -> bool:
    """Tell whether the node answers ssh."""
    command = ["ssh", "-o", "BatchMode=yes", "node-a1", "true"]
    return subprocess.run(command, env=sandbox.env, capture_output=True, check=False).returncode == 0


def cycle(sandbox: Sandbox, switch: Any) -> None:
    """Switch off and on, as the power part does, and look at the host each time."""
    assert answers(sandbox)
    sandbox.call("host.status", 0, 1)
    sandbox.call("host.status", 0, 2)
    switch(False)
    sandbox.until(lambda: not answers(sandbox))
    sandbox.call("host.status", 0, 1)
    sandbox.control("monitor")
    assert "<TOTAL_CPU>0<" in sandbox.call("host.info", 0)
    switch(True)
    sandbox.until(lambda: "<TOTAL_CPU>800<" in sandbox.call("host.info", 0))
    assert answers(sandbox)
    sandbox.call("host.status", 0, 0)
    assert state(sandbox) == "2"


@pytest.mark.skipif(not shutil.which("ipmi_sim"), reason="ipmi_sim is not here: apt-get install openipmi")
@pytest.mark.skipif(not shutil.which("ipmitool"), reason="ipmitool is not here: apt-get install ipmitool")
def test_ipmi(host: Sandbox) -> None:
    """The power part could not be tried end to end over IPMI; ipmitool is the witness."""
    entry = json.loads(host.control("bmc", "ipmi", ["node-a1"]))["node-a1"]
    login = ["-I", "lanplus", "-C", "3", "-H", entry["address"], "-p", str(entry["port"])]
    login += ["-U", entry["user"], "-P", entry["password"]]

    def ipmitool(*words: str) -> str:
        done = subprocess.run(
            ["ipmitool", *login, *words], capture_output=True, text=True, check=True, timeout=PATIENCE
        )
        return done.stdout

    host.until(
        lambda: (
            subprocess.run(
                ["ipmitool", *login, "power", "status"], check=False, capture_output=True
            ).returncode
            == 0
        )
    )
    cycle(host, lambda on: ipmitool("power", "on" if on else "soft"))
    assert "is on" in ipmitool("power", "status")
    (host.location / "bmc/node-a1/stuck").touch()
    ipmitool("power", "soft")
    assert "is on" in ipmitool("power", "status")


def test_redfish(host: Sandbox) -> None:
    """Nor over Redfish, with a certificate to pin and a system that has a UUID."""
    entry = json.loads(host.control("bmc", "redfish", ["node-a1"]))["node-a1"]
    pem = ssl.get_server_certificate((entry["address"], entry["port"]))
    context = ssl.create_default_context(cadata=pem)
    base = f"https://{entry['address']}:{entry['port']}{entry['system']}"
    login = base64.b64encode(f"{entry['user']}:{entry['password']}".encode()).decode()

    def ask(url: str, body: dict[str, str] | None = None) -> Any:
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), context=context) as answer:
            return json.loads(answer.read() or b"{}")

    assert ask(base)["UUID"] == entry["uuid"]
    action = f"{base}/Actions/ComputerSystem.Reset"
    cycle(host, lambda on: ask(action, {"ResetType": "On" if on else "GracefulShutdown"}))
    assert ask(base)["PowerState"] == "On"


def test_the_programs_end_with_the_sandbox(host: Sandbox) -> None:
    """Emulators would be left behind after each run."""
    host.control("bmc", "redfish", ["node-a1"])

    def running() -> list[str]:
        lines = Path("/proc").glob("[0-9]*/cmdline")
        return [line for line in map(read, lines) if f"{host.location}/bmc" in line]

    def read(path: Path) -> str:
        try:
            return path.read_text()
        except OSError:
            return ""

    assert running()
    host.stop()
    assert not running()
