"""A cluster that switches off what it does not need, and has it back before it is missed."""

import json
import time
from collections.abc import Callable
from functools import partial

from sandbox.tour import tell
from sandbox.tour.stage import Stage

NEEDS = "var/remotes/hooks/onext/event"
_HOSTS = ("edge-a", "edge-b", "edge-c")
_BUSY = "another round"  # what a command prints while the worker acts
_SECONDS = 300.0  # an idle minute, two agreeing rounds, a machine that boots
_SECTION = "power:\n  clusters: ["
_ENVELOPE = """\
  highest_mode: auto
  lowest_min_hosts: 1
  spare_host: false
  highest_parallel_off: 2
  highest_down_hosts: 2
  highest_cycles_per_day: 48
  soft_off_timeout: 30
"""
_POLICY = (
    *("MODE=auto", "PACK=yes", "MIN_HOSTS=1", "BUFFER_VMS=1", "TARGET_UTILISATION=100"),
    *("MAX_PARALLEL_OFF=2", "MAX_DOWN_HOSTS=2", "IDLE_MINUTES=1", "MIN_ON_MINUTES=0"),
)
_VM = 'NAME="{name}"\nCPU="{cpu}"\nMEMORY="1024"\nSCHED_REQUIREMENTS="CLUSTER_ID = {cluster}"\n'


def play(stage: Stage) -> None:
    """Enrol hosts with Redfish BMCs, let the cluster empty itself, then bring load."""
    tell.chapter("Power: three hosts with Redfish BMCs in a separate cluster, one VM (takes 3 minutes)")
    cluster, hosts = make_cluster(stage)
    for host in hosts:
        stage.typed(f"onext power enroll {host}", retry=_BUSY)
    stage.call("vm.allocate", _VM.format(name="calm", cpu=1, cluster=cluster), False)
    stage.typed(f"onext power set {cluster} {' '.join(_POLICY)}")
    stage.typed("onext power plan")
    tell.line("  an idle minute and two agreeing plans later:")
    rounds(stage, "hosts sleep", lambda: asleep(stage, hosts) == 2)
    show(stage)
    tell.chapter("Power: load comes, more than one host holds")
    busy = [
        stage.call("vm.allocate", _VM.format(name=f"busy-{n}", cpu=6, cluster=cluster), False)
        for n in range(2)
    ]
    rounds(stage, "the VMs run", lambda: all(runs(stage, vm) for vm in busy))
    show(stage)


def make_cluster(stage: Stage) -> tuple[int, list[int]]:
    """Make the cluster as an administrator does: hosts, bmc.yaml, the envelope in onext.yaml."""
    cluster = int(stage.call("cluster.allocate", "edge"))
    entries = json.loads(stage.call("sandbox.bmc", "redfish", list(_HOSTS)))
    hosts = []
    for name in _HOSTS:
        stage.call("sandbox.node", name, json.dumps({"addresses": ["10.0.1.1"]}))
        hosts.append(int(stage.call("host.allocate", name, "dummy", "dummy", cluster)))
    for host in hosts:
        stage.until(f"host {host} is MONITORED", partial(is_on, stage, host))
    book = stage.location / "etc/onext/bmc.yaml"
    book.touch(mode=0o640)
    with book.open("a") as file:
        file.writelines(f"{n}: {json.dumps(entries[name])}\n" for n, name in zip(hosts, _HOSTS, strict=True))
    settings = stage.location / "etc/onext.yaml"
    text = settings.read_text()
    text += "" if _SECTION in text else f"{_SECTION}]\n"
    begin, end = text.split(_SECTION)
    settings.write_text(f"{begin}power:\n{_ENVELOPE}  clusters: [{cluster}, {end}")
    return cluster, hosts


def rounds(stage: Stage, what: str, holds: Callable[[], bool]) -> None:
    """Run the worker's round, which comes once a minute, every other second until something holds."""

    def turn() -> bool:
        stage.run("onext", "power", "run", check=False)
        time.sleep(1)
        return holds()

    stage.until(what, turn, seconds=_SECONDS)


def show(stage: Stage) -> None:
    """Show what oned and each BMC report about the hosts."""
    stage.typed("onext power status")


def asleep(stage: Stage, hosts: list[int]) -> int:
    """Return how many hosts are off, by their templates."""
    paths = (stage.document("host.info", host).findtext("TEMPLATE/ONEXT_POWER_STATE/PHASE") for host in hosts)
    return sum(phase == "off" for phase in paths)


def runs(stage: Stage, vm: int) -> bool:
    """Return whether a VM is RUNNING."""
    return stage.document("vm.info", vm).findtext("LCM_STATE") == "3"


def is_on(stage: Stage, host: int) -> bool:
    """Return whether a host is MONITORED."""
    return stage.document("host.info", host).findtext("STATE") == "2"
