"""Nodes that ssh reaches by their names."""

import json
import subprocess

import pytest

from tests.fixtures_sandbox import Sandbox
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
_SSH = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes")


def ssh(
    sandbox: Sandbox, *command: str, stdin: str = "", seconds: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run ssh as a hook would: found in the sandbox's PATH."""
    return subprocess.run(
        ["ssh", *_SSH, *command],
        env=sandbox.env,
        input=stdin,
        text=True,
        capture_output=True,
        timeout=seconds,
        check=False,
    )


def test_each_node_says_its_own_addresses(sandbox: Sandbox) -> None:
    """Geolocation would put every host at the same place."""
    sandbox.control("node", "node-a1", {"addresses": ["203.0.113.7", "2001:db8::1/64"]})
    sandbox.control("node", "node-a2", {"addresses": ["198.51.100.9/30"]})
    one, other = (
        json.loads(ssh(sandbox, name, "ip --json address show").stdout) for name in ("node-a1", "node-a2")
    )
    assert [a["local"] for link in one for a in link["addr_info"]] == [
        "127.0.0.1",
        "::1",
        "203.0.113.7",
        "2001:db8::1",
    ]
    assert other[1]["addr_info"][0] | {"valid_life_time": 0, "preferred_life_time": 0} == {
        "family": "inet",
        "local": "198.51.100.9",
        "prefixlen": 30,
        "scope": "global",
        "label": "eth0",
        "valid_life_time": 0,
        "preferred_life_time": 0,
    }


def test_a_node_runs_what_is_on_it(sandbox: Sandbox) -> None:
    """Parts that leave files on nodes, or feed programs there, could not be tried."""
    sandbox.control("node", "node-a1", {})
    assert ssh(sandbox, "node-a1", "true").returncode == 0
    assert ssh(sandbox, "node-a1", "cat > mark; exit 7", stdin="left here").returncode == 7
    assert (sandbox.location / "nodes/node-a1/mark").read_text() == "left here"


def test_sync(sandbox: Sandbox) -> None:
    """A host that was powered off wakes with an old driver: the power part has to run this, and see it work."""
    sandbox.control("node", "node-a1", {})
    sandbox.remote("vmm/kvm/fresh", "new\n")
    subprocess.run(["onehost", "sync", "--force", "node-a1"], env=sandbox.env, check=True, timeout=PATIENCE)
    there = sandbox.location / "nodes/node-a1/var/tmp/one"
    assert (there / "vmm/kvm/fresh").read_text() == "new\n"
    assert (there / "VERSION").read_text() == "7.4.0\n"
    sandbox.control("node", "node-a1", {"behaves": "refuse"})
    done = subprocess.run(
        ["onehost", "sync", "node-a1"], env=sandbox.env, check=False, timeout=PATIENCE, capture_output=True
    )
    assert done.returncode == 1


def test_a_node_that_refuses(sandbox: Sandbox) -> None:
    """A host that is down must look so to ssh, at once."""
    sandbox.control("node", "node-a1", {"behaves": "refuse"})
    assert ssh(sandbox, "node-a1", "true").returncode == 255
    assert "refused" in ssh(sandbox, "node-a1", "true").stderr
    sandbox.control("node", "node-a1", {"behaves": "ok"})
    assert ssh(sandbox, "node-a1", "true").returncode == 0


def test_a_node_that_is_mute_or_hangs(sandbox: Sandbox) -> None:
    """The time-outs of ssh, and the guard beyond them, could not be tried."""
    sandbox.control("node", "node-a1", {"behaves": "mute"})
    said = ssh(sandbox, "-o", "ConnectTimeout=2", "node-a1", "true")
    assert (said.returncode, "timed out" in said.stderr.lower()) == (255, True)
    sandbox.control("node", "node-a1", {"behaves": "hang"})
    with pytest.raises(subprocess.TimeoutExpired):
        ssh(sandbox, "node-a1", "true", seconds=1)
