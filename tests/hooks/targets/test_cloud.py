"""Hooks, worker and a real Prometheus on a cloud in the sandbox: targets follow what happens there."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hooks.targets import protected_addresses
from onext import atomic, events, payload
from onext.install import hook_template
from onext.paths import Paths
from tests.exporter.monitoring import prometheus
from tests.fixtures_sandbox import Sandbox
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[3]
NETWORK = 'NAME=n VN_MAD=bridge BRIDGE=b ONEXT_SCRAPE=YES AR=[TYPE=IP4, IP="10.9.0.2", SIZE=2000]'
WATCHED = 'NAME="{name}" CPU=0.01 MEMORY=1 NIC=[NETWORK_ID="0"] PROMETHEUS_EXPORTER="9100" PROMETHEUS_LABELS="app=x"'
CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: opennebula_vms
  file_sd_configs: [{{files: ['{folder}/vms.json']}}]
- job_name: node_exporter
  file_sd_configs: [{{files: ['{folder}/hosts-node_exporter.json']}}]
"""


class Cloud:
    """A sandbox with two hosts, a network, our hooks registered and a worker that can be killed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.paths = Paths.self_contained(sandbox.location)
        mine = (self.paths.state, self.paths.stopped, self.paths.etc, self.paths.spool / "incoming")
        for folder in (*mine, self.paths.targets):
            folder.mkdir(parents=True, exist_ok=True)
        self.hook = self._hook()
        # No host of that name: what the resolver of a busy machine answers late is no doubt then.
        known = {name: list[str]() for name in ("node-a1", "node-a2", "localhost", "127.0.0.1")}
        (self.paths.state / protected_addresses.FILE).write_text(json.dumps(known))
        self.worker: subprocess.Popen[bytes] | None = None
        sandbox.call("vn.allocate", NETWORK, 0)
        for name in ("node-a1", "node-a2"):
            sandbox.call("host.allocate", name, "kvm", "kvm", 0)

    def _hook(self) -> Path:
        """Install the hook as install.sh does."""
        text = (ROOT / "hooks/hook").read_text()
        filled = {"SITE": ROOT, "SPOOL": self.paths.spool, "LOG": self.paths.log}
        for name, value in filled.items():
            text = text.replace(f'{name} = ""', f"{name} = {str(value)!r}")
        text = text.replace("#!/usr/bin/python3 -IS", f"#!{sys.executable} -IS")
        return self.sandbox.remote("hooks/onext/event", text)

    def register(self) -> None:
        """Register every template of the part."""
        for state in events.registered(["targets"]):
            template = hook_template.read(ROOT / f"hooks/{state.name}.hook")
            self.sandbox.call("hook.allocate", template.text)

    def start_worker(self) -> None:
        """Start the worker, and wait until it listens."""
        command = "from onext.cli.main import main; main()"
        self.worker = subprocess.Popen(
            [sys.executable, "-c", command, "worker"], cwd=ROOT, env=self.sandbox.env, stderr=subprocess.PIPE
        )
        until((self.paths.spool / "wake").exists, "the worker's start")

    def kill_worker(self, number: int = signal.SIGKILL) -> None:
        """End the worker without a warning."""
        if self.worker is not None:
            self.worker.send_signal(number)
            self.worker.communicate(timeout=PATIENCE)
            self.worker = None

    def watched(self, name: str, host: int | None = 0) -> int:
        """Make a VM that wants to be scraped, and run it."""
        vm: int = self.sandbox.call("vm.allocate", WATCHED.format(name=name), False)
        if host is not None:
            self.sandbox.call("vm.deploy", vm, host, False, -1, "")
        return vm

    def file(self, job: str) -> list[dict[str, Any]]:
        """Return a file of targets; a torn one fails the test."""
        with contextlib.suppress(FileNotFoundError):
            found = json.loads((self.paths.targets / f"{job}.json").read_bytes())
            assert isinstance(found, list)
            return found
        return []

    def vms(self) -> dict[str, str]:
        """Return VM -> host of the targets."""
        return {group["labels"]["one_vm_id"]: group["labels"]["one_host_id"] for group in self.file("vms")}


@pytest.fixture
def cloud(sandbox: Sandbox) -> Iterator[Cloud]:
    made = Cloud(sandbox)
    yield made
    made.kill_worker()


def test_every_state_pair_is_taken_by_the_front_end(cloud: Cloud) -> None:
    """A hook that oned refuses is missed silently, and targets of dead VMs stay."""
    cloud.register()
    pool = cloud.sandbox.call("hookpool.info", -2, -1, -1)
    assert pool.count("<HOOK>") == len(list(events.registered(["targets"]))) == 28


def test_targets_follow_the_cloud(cloud: Cloud, tmp_path: Path) -> None:
    """A VM appears when it runs, moves with a migration, and vanishes when it ends; so do hosts."""
    cloud.register()
    cloud.start_worker()
    with prometheus(tmp_path / "prometheus", CONFIGURATION.format(folder=cloud.paths.targets)) as seen:
        sandbox = cloud.sandbox
        until(lambda: set(seen.targets("node_exporter")) == {"node-a1:9100", "node-a2:9100"}, "both hosts")
        vm = cloud.watched("web")
        labels = until(lambda: seen.targets("opennebula_vms").get("10.9.0.2:9100"), "the VM")
        assert (labels["one_vm_id"], labels["one_vm_name"], labels["app"]) == (str(vm), "web", "x")
        assert labels["one_host_id"] == "0"
        sandbox.call("vm.migrate", vm, 1, True, False, -1, 0)
        until(
            lambda: seen.targets("opennebula_vms").get("10.9.0.2:9100", {}).get("one_host_id") == "1",
            "the new host",
        )
        sandbox.call("vm.action", "poweroff-hard", vm)
        until(lambda: not seen.targets("opennebula_vms"), "the end of the target")
        sandbox.call("vm.action", "resume", vm)
        until(lambda: seen.targets("opennebula_vms"), "the target again")
        sandbox.call("host.status", 0, 2)  # offline
        until(lambda: set(seen.targets("node_exporter")) == {"node-a2:9100"}, "the host's end")
        sandbox.call("vm.action", "terminate-hard", vm)
        until(lambda: not seen.targets("opennebula_vms"), "the end of the VM")


@pytest.mark.timeout(1200)
def test_a_storm_with_killed_hooks_and_workers(cloud: Cloud) -> None:
    """1,000 events, kill -9 on hooks and worker: files are whole at each moment, and right after a round."""
    vms = [cloud.watched(f"vm-{number}", number % 2) for number in range(40)]
    cloud.sandbox.until(lambda: running(cloud) == set(map(str, vms)))
    cloud.start_worker()
    until(lambda: len(cloud.vms()) == 40, "the first round")
    before = os.times()
    with read_on(cloud) as torn:
        fire(cloud, vms, random.Random(1))
        gone = vms[::2]
        for vm in gone:
            cloud.sandbox.call("vm.action", "terminate-hard", vm)
        cloud.kill_worker()
        cloud.sandbox.until(lambda: running(cloud) == set(map(str, vms[1::2])))
        cloud.start_worker()  # its first round looks at everything: no event of the above has to have survived
        until(lambda: cloud.vms().keys() == set(map(str, vms[1::2])), "the right targets")
    after = os.times()
    assert torn == []
    drafts = atomic.leftovers(cloud.paths.targets / "vms.json")  # of a worker that was killed as it wrote
    assert set(cloud.paths.targets.glob(".*")) <= set(drafts)
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"CPU of hooks and workers for 1,000 events: {spent:.1f} s, {spent:.3f} ms each")


@contextlib.contextmanager
def read_on(cloud: Cloud) -> Iterator[list[Exception]]:
    """Read the targets all the time; the list holds what was wrong with them."""
    torn: list[Exception] = []
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.002):
            try:
                cloud.file("vms")
            except (ValueError, AssertionError) as error:
                torn.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield torn
    finally:
        over.set()
        reader.join()


def fire(cloud: Cloud, vms: list[int], chance: random.Random) -> None:
    """Run the hook 1,000 times, ten at once as the hook manager does, and kill some of them."""
    import base64

    documents = {vm: base64.b64encode(cloud.sandbox.call("vm.info", vm, False).encode()) for vm in vms[:10]}
    for document in documents.values():
        assert payload.event(document).resource == "vm"
    for turn in range(100):
        started = []
        for _ in range(10):
            hook = subprocess.Popen(
                [cloud.hook], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            assert hook.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                hook.stdin.write(documents[chance.choice(vms[:10])])
                hook.stdin.close()
            started.append(hook)
        for hook in started:
            if chance.random() < 0.1:
                hook.kill()
            hook.wait(PATIENCE)
        if turn % 25 == 10:
            cloud.kill_worker()
            cloud.start_worker()


def running(cloud: Cloud) -> set[str]:
    """Return the ids of the VMs that run."""
    from onext.xml import parse

    pool = parse(cloud.sandbox.call("vmpool.info", -2, -1, -1, 3, ""))
    return {vm.findtext("ID", "") for vm in pool if vm.findtext("LCM_STATE") == "3"}


def onext(cloud: Cloud, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an administrator does."""
    command = "from onext.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, "targets", *words],
        cwd=ROOT, env=cloud.sandbox.env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_commands(cloud: Cloud) -> None:
    """People see what is scraped and what is not, write it by hand, and learn when Prometheus cannot read it."""
    cloud.watched("good")
    cloud.sandbox.call("vm.deploy", cloud.watched("bad", None), 0, False, -1, "")
    cloud.sandbox.call("vm.update", 1, 'PROMETHEUS_EXPORTER="192.0.2.9:9100"', 1)
    cloud.sandbox.until(lambda: len(running(cloud)) == 2)
    shown = onext(cloud, "list").stdout
    assert "10.9.0.2:9100" in shown
    assert "refused: '192.0.2.9:9100': no network assigns 192.0.2.9 to this VM" in shown
    rows = json.loads(onext(cloud, "list", "--json").stdout)
    assert [row["vm"] for row in rows if row["state"].startswith("refused")] == ["1"]
    before = onext(cloud, "check")
    assert (before.returncode, "not up to date" in before.stdout) == (1, True)
    assert "changed: vms" in onext(cloud, "sync").stdout
    assert cloud.vms() == {"0": "0"}
    assert "changed: nothing" in onext(cloud, "sync").stdout
    assert "up to date" in onext(cloud, "check", "--user", "root").stdout
    (cloud.paths.targets / "vms.json").chmod(0o600)
    hidden = onext(cloud, "check", "--user", "nobody")
    assert (hidden.returncode, "cannot be read" in hidden.stdout) == (1, True)
    figures = (cloud.paths.metrics / "targets.prom").read_text()
    assert 'onext_targets{file="vms"} 1.0' in figures
    assert "onext_targets_refused 1.0" in figures


def test_oned_that_is_down_leaves_the_files(cloud: Cloud) -> None:
    """Half an answer, or none, must not drop targets."""
    cloud.watched("good")
    cloud.sandbox.until(lambda: running(cloud))
    onext(cloud, "sync")
    before = (cloud.paths.targets / "vms.json").read_bytes()
    cloud.sandbox.stop()
    failed = onext(cloud, "sync")
    assert failed.returncode == 1
    assert "is opennebula running" in failed.stderr
    assert (cloud.paths.targets / "vms.json").read_bytes() == before != b"[]\n"


def test_the_optional_hook_shows_updates_at_once(cloud: Cloud) -> None:
    """Without it a changed port shows within a minute; who needs it sooner registers the API hook."""
    optional = ROOT / "hooks/optional/vm-update.hook"
    cloud.sandbox.call("hook.allocate", hook_template.read(optional).text)
    vm = cloud.watched("web")
    cloud.sandbox.until(lambda: running(cloud))
    cloud.start_worker()
    until(lambda: cloud.file("vms"), "the first round")
    cloud.sandbox.call("vm.update", vm, 'PROMETHEUS_EXPORTER="9101"', 1)
    until(lambda: cloud.file("vms")[0]["targets"] == ["10.9.0.2:9101"], "the new port", 25)
