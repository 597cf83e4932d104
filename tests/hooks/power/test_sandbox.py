"""The whole way in the sandbox: decide, act, real BMC peers; what happened is looked at from outside."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from onext.hosts.claims import HOST_RECORDS, HostRecord
from onext.hosts.model import Record
from onext.oned.client import Oned
from onext.oned.documents import Documents
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import Sandbox
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]
SETTINGS = """power:
  clusters: [100]
  highest_mode: auto
  lowest_min_hosts: 1
  spare_host: false
  highest_parallel_off: 9
  highest_cycles_per_day: 48
  soft_off_timeout: 30
"""
POLICY = [
    "MODE=auto",
    "PACK=yes",
    "MIN_HOSTS=1",
    "BUFFER_VMS=1",
    "TARGET_UTILISATION=100",
    "MAX_PARALLEL_OFF=3",
]

FORGED = {
    "PHASE": "draining",
    "SINCE": "1700000000",
    "SERVER": "-1",
    "TERM": "0",
    "LEASE": "0",
    "ASKED": "1",
    "BY_HAND": "YES",
}


class Cloud:
    """A sandbox with four hosts in cluster 100, each with a BMC that somebody else wrote."""

    def __init__(self, sandbox: Sandbox, kind: str) -> None:
        self.sandbox, self.bundle = sandbox, Bundle(sandbox)
        self.names = [f"node-{number:04}" for number in range(4)]
        self.entries: dict[str, dict[str, Any]] = json.loads(sandbox.control("bmc", kind, self.names))
        for name in self.names:
            sandbox.control("node", name, {"addresses": ["10.0.0.1"]})
        file = sandbox.location / "etc/onext/bmc.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as stream:
            YAML(typ="safe").dump({n: self.entries[name] for n, name in enumerate(self.names)}, stream)
        file.chmod(0o640)
        config = f"oned:\n  timeout: 5\ngeolocation:\n  ssh_config: {sandbox.location}/ssh_config\n"
        self.bundle.settings(SETTINGS + config)

    def ready(self) -> "Cloud":
        """Wait until every BMC answers."""

        def answering() -> bool:
            rows = json.loads(self.power("status", "--json").stdout)
            return all(row["bmc"] == "on" for row in rows)

        self.sandbox.until(answering)
        return self

    def power(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.bundle.onext("power", *words, check=check, seconds=200)

    def proven(self) -> None:
        """Pretend that all were enrolled."""
        past = Record(proven=time.time(), boot_seconds=5.0, on_since=1.0)
        for host, name in enumerate(self.names):
            self.records.put(host, HostRecord(name, None, past), None)

    @property
    def records(self) -> Documents[HostRecord]:
        return Documents(Oned(self.sandbox.endpoint, self.sandbox.session), HOST_RECORDS)

    def state(self, host: int) -> int:
        return int(ET.fromstring(self.sandbox.call("host.info", host)).findtext("STATE", "-1"))

    def phase(self, host: int) -> str:
        root = ET.fromstring(self.sandbox.call("host.info", host))
        return root.findtext("TEMPLATE/ONEXT_POWER_STATE/PHASE", "")

    def rounds(self, holds: Callable[[], Any], most: int = 40) -> None:
        """Run rounds, with monitoring between them, until something holds."""
        for _ in range(most):
            if holds():
                return
            self.sandbox.control("monitor")
            self.power("run")
            time.sleep(0.3)
        pytest.fail(self.power("status").stdout + self.power("plan").stdout)

    def ipmitool(self, host: int) -> str:
        entry = self.entries[self.names[host]]
        login = [
            "-C",
            "3",
            "-H",
            "127.0.0.1",
            "-p",
            str(entry["port"]),
            "-U",
            entry["user"],
            "-P",
            entry["password"],
        ]
        command = ["ipmitool", "-I", "lanplus", *login, "power", "status"]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


@pytest.fixture
def cloud(sandboxes: Callable[..., Sandbox]) -> Cloud:
    """Give a cloud whose hosts have IPMI."""
    return Cloud(
        sandboxes("--step", "0.02", "--monitor", "1", "--boot", "1", "--hosts", "4", "--vms", "4"), "ipmi"
    )


def test_a_cluster_empties_sleeps_and_is_back_when_load_comes(cloud: Cloud) -> None:
    """The whole promise: hosts off within the policy, and on before anybody misses them."""
    cloud.proven()
    cloud.power("set", "100", *POLICY, "IDLE_MINUTES=1")
    plan = cloud.power("plan").stdout
    assert "off" in plan
    assert "VMs" in plan
    cloud.power("off", "3", "--evacuate")
    assert cloud.phase(3) == "off"
    assert "off" in cloud.ipmitool(3)
    assert cloud.state(3) == 8
    cloud.power("on", "3")
    assert cloud.state(3) == 2
    assert "on" in cloud.ipmitool(3)
    assert cloud.phase(3) == ""


def test_S5_a_claim_forged_in_a_template_switches_nothing_off(cloud: Cloud) -> None:
    """Whoever may edit a host's template could switch the host off, with MODE off and not enrolled."""
    forged = ",".join(f'{key}="{value}"' for key, value in FORGED.items())
    for host in (1, 2):
        cloud.sandbox.call("host.update", host, f"ONEXT_POWER_STATE=[{forged}]", 1)
    cloud.sandbox.call("host.update", 3, f"ONEXT_POWER_STATE=[{forged.replace('1700000000', 'nan')}]", 1)
    cloud.sandbox.call("host.status", 2, 2)  # an operator's OFFLINE, as the forger would like to have it
    for _ in range(6):
        cloud.sandbox.control("monitor")
        cloud.power("run")
    assert [("on" in cloud.ipmitool(host)) for host in range(4)] == [True] * 4
    assert cloud.state(1) == 2
    assert cloud.phase(1) == "", "the copy in the template was removed"
    assert cloud.state(3) == 2


def test_S5_a_host_asleep_under_the_claim_of_an_earlier_version_is_woken(cloud: Cloud) -> None:
    """After an upgrade the hosts that sleep would be off for ever."""
    cloud.proven()
    cloud.power("set", "100", *POLICY)
    cloud.power("off", "3", "--evacuate")
    assert "off" in cloud.ipmitool(3)
    cloud.records.remove(3, cloud.records.all()[3].version)  # as the earlier version left it: a copy alone
    rows = json.loads(cloud.power("asleep", "--json").stdout)
    assert [(row["id"], row["verified"]) for row in rows] == [(3, False)]
    cloud.rounds(lambda: cloud.state(3) == 2 and cloud.phase(3) == "")
    assert "on" in cloud.ipmitool(3)
    stored = cloud.records.all()[3].value
    assert stored is not None
    assert stored.record.proven > 0, "it was surely off, and woke"


def test_A5_all_hosts_that_sleep_are_listed_and_woken(cloud: Cloud) -> None:
    """An uninstall would leave them off without a message."""
    cloud.proven()
    cloud.power("set", "100", *POLICY)
    assert json.loads(cloud.power("asleep", "--json").stdout) == []
    for host in (2, 3):
        cloud.power("off", str(host), "--evacuate")
    rows = json.loads(cloud.power("asleep", "--json").stdout)
    assert [(row["id"], row["phase"], row["verified"]) for row in rows] == [
        (2, "off", True),
        (3, "off", True),
    ]
    woken = cloud.power("wake", "--all", "--json", "--within", "150")
    assert [(row["id"], row["awake"]) for row in json.loads(woken.stdout)] == [(2, True), (3, True)]
    assert [cloud.state(host) for host in (2, 3)] == [2, 2]
    assert json.loads(cloud.power("asleep", "--json").stdout) == []


def test_it_does_so_by_itself(cloud: Cloud) -> None:
    """Rounds of the worker: VMs are packed, hosts sleep; load comes, a host wakes and the VM runs."""
    cloud.proven()
    cloud.power("set", "100", *POLICY, "IDLE_MINUTES=1", "MIN_ON_MINUTES=0")
    cloud.rounds(lambda: sum(cloud.phase(host) == "off" for host in range(4)) == 3, most=150)
    assert sorted(cloud.state(host) for host in range(4)) == [2, 8, 8, 8]
    awake = next(host for host in range(4) if cloud.state(host) == 2)
    assert [("off" in cloud.ipmitool(host)) for host in range(4)] == [host != awake for host in range(4)]
    for number in range(3):
        cloud.sandbox.call("vm.allocate", f'NAME="new-{number}" CPU=4 MEMORY=1024 HYPERVISOR="dummy"', False)
    cloud.rounds(lambda: sum(cloud.state(host) == 2 for host in range(4)) >= 2, most=60)
    cloud.sandbox.until(lambda: cloud.sandbox.call("vmpool.info", -2, -1, -1, 3).count("<LCM_STATE>3<") == 7)


def test_an_event_reaches_the_worker(cloud: Cloud) -> None:
    """A VM that waits for capacity would wait for the next minute."""
    cloud.bundle.hook("power")
    cloud.bundle.register("power")
    cloud.power("set", "100", "MODE=advise")
    cloud.sandbox.call("vm.allocate", 'NAME="new" CPU=1 MEMORY=128 HYPERVISOR="dummy"', False)
    cloud.sandbox.until(lambda: any(key.startswith("power.") for key in cloud.bundle.results()))
    figures = cloud.bundle.var / "run/metrics/power.prom"
    cloud.sandbox.until(figures.exists)
    assert 'onext_power_hosts{cluster="100"' in figures.read_text()
    cloud.bundle.end_worker()


def test_enrolment_proves_a_cycle(cloud: Cloud) -> None:
    """A host that never proved to wake would be lost at the first power-off."""
    cloud.power("set", "100", *POLICY)
    refused = cloud.power("off", "2", "--evacuate", check=False)
    assert refused.returncode == 1
    assert "not enrolled" in refused.stderr
    for vm in range(4):
        cloud.sandbox.call("vm.action", "terminate-hard", vm)
    cloud.sandbox.until(lambda: cloud.sandbox.call("vmpool.info", -2, -1, -1, -1).count("<VM>") == 0)
    cloud.power("enroll", "2")
    rows = json.loads(cloud.power("status", "--json").stdout)
    assert rows[2]["proven"] == "yes"
    assert rows[2]["wakes"] == 1
    assert cloud.state(2) == 2


def test_fence_is_only_for_hosts_in_error_and_truthful(cloud: Cloud) -> None:
    """High availability starts the VMs elsewhere only when the host is surely off."""
    refused = cloud.power("fence", "1", check=False)
    assert refused.returncode == 1
    assert "only a host in ERROR" in refused.stderr
    cloud.sandbox.control("host.machine", 1, {"alive": False})
    cloud.sandbox.until(lambda: cloud.state(1) == 3)
    cloud.power("fence", "1")
    assert "off" in cloud.ipmitool(1)


def test_the_kill_switch_stops_everything(cloud: Cloud) -> None:
    """Somebody has to be able to end this at once."""
    cloud.proven()
    cloud.power("set", "100", *POLICY)
    cloud.bundle.onext("stop", "power")
    stopped = cloud.power("off", "3", "--evacuate", check=False)
    assert stopped.returncode == 1
    assert "stopped by" in stopped.stderr
    assert cloud.state(3) == 2
    assert cloud.phase(3) == ""


def test_only_a_leader_acts_and_one_that_is_cut_off_switches_nothing(cloud: Cloud) -> None:
    """Two front-ends would each switch hosts that the other counts on."""
    cloud.proven()
    cloud.power("set", "100", *POLICY)
    cloud.sandbox.control("raft", 2, 5, False)
    follower = cloud.power("off", "3", "--evacuate", check=False)
    assert "does not lead" in follower.stderr
    cloud.sandbox.control("raft", 3, 6, True)
    env = cloud.bundle.sandbox.env
    with pytest.raises(subprocess.TimeoutExpired):  # it tries again and again: its writes do not return
        subprocess.run(
            [str(cloud.bundle.command), "power", "off", "3", "--evacuate"], env=env, timeout=12, check=False
        )
    assert "on" in cloud.ipmitool(3)
    assert cloud.state(3) == 2


def test_a_wrong_policy_is_refused_with_its_reason(cloud: Cloud) -> None:
    """A typing error would be found out by the cluster."""
    refused = cloud.power("set", "100", "MODE=on", check=False)
    assert refused.returncode == 2
    assert "off, advise, auto" in refused.stderr
    cloud.power("set", "100", "MODE=advise", "PACK=yes")
    assert "MODE=advise PACK=yes" in cloud.power("set", "100", "PACK=yes").stdout


@pytest.mark.parametrize("kind", ["redfish"])
def test_redfish_goes_the_same_way(sandboxes: Callable[..., Sandbox], kind: str, tmp_path: Path) -> None:
    """Half of the machines speak nothing else."""
    cloud = Cloud(
        sandboxes("--step", "0.02", "--monitor", "1", "--boot", "1", "--hosts", "4", "--vms", "4"), kind
    )
    cloud.proven()
    cloud.power("set", "100", *POLICY)
    cloud.power("off", "3", "--evacuate")
    assert cloud.phase(3) == "off"
    cloud.power("on", "3")
    assert cloud.state(3) == 2
