"""A host hangs while its BMC reports power: it is fenced, its VMs restart elsewhere, and it returns.

Nobody waits for it: `prepare` and `begin` come before other scenes, `play` shows what happened meanwhile.
"""

import base64
import json
import ssl
import urllib.request
from datetime import datetime, timezone
from functools import partial

from sandbox.tour import tell
from sandbox.tour.stage import Stage

NEEDS = "var/remotes/hooks/onext/event"
_HOSTS = ("shop-a", "shop-b", "shop-c", "shop-spare")
_SECONDS = 300.0
_ENVELOPE = """\
availability:
  clusters: [{cluster}]
  highest_mode: auto
  lowest_confirm_seconds: 20
  quiet_seconds: 0
power:
  clusters: [{cluster}]
"""
_POLICY = 'ONEXT_HA=[MODE="auto",CONFIRM_SECONDS="60",GROUP_PAUSE="20",SPARE_HOSTS="1",MAX_PARALLEL="2"]\n'
_VMS = {"orders-database": 9, "stock-database": 9, "web-shop": 5}
_VM = 'NAME="{name}"\nCPU="1"\nMEMORY="512"\nONEXT_HA_PRIORITY="{priority}"\n'
_VIRSH = """#!/bin/sh
case "$*" in
*destroy*) : >"$HOME/running" ;;
*list*) cat "$HOME/running" ;;
esac
"""


def prepare(stage: Stage) -> None:
    """Make the cluster; its spare host is enrolled and put to sleep while other scenes are shown."""
    cluster = int(stage.call("cluster.allocate", "shop"))
    stage.call("cluster.update", cluster, _POLICY, 1)
    entries = json.loads(stage.call("sandbox.bmc", "redfish", list(_HOSTS)))
    hosts = [_add(stage, name, cluster, entries[name]) for name in _HOSTS]
    settings = stage.location / "etc/onext.yaml"
    settings.write_text(settings.read_text() + _ENVELOPE.format(cluster=cluster))
    stage.shop = {"hosts": hosts, "bmc": entries[_HOSTS[0]], "vms": []}
    sleep = " && ".join(
        f"until onext power {order} {hosts[-1]}; do sleep 1; done" for order in ("enroll", "off")
    )
    stage.leave_running("/bin/sh", "-c", f"{sleep} && touch spare-sleeps", cwd=stage.folder)


def begin(stage: Stage) -> None:
    """Start VMs, and let their host hang."""
    tell.chapter("Availability: four hosts with Redfish BMCs, one of them asleep as a spare, three VMs")
    hosts = stage.shop["hosts"]
    stage.until("the spare sleeps", (stage.folder / "spare-sleeps").exists, _SECONDS)
    for name, priority in _VMS.items():
        number = stage.call("vm.allocate", _VM.format(name=name, priority=priority), True)
        stage.call("vm.deploy", number, hosts[0])
        stage.shop["vms"].append(number)
    for number in stage.shop["vms"]:
        stage.until(f"VM {number} runs", partial(runs, stage, number))
    stage.typed("onext ha check")
    stage.call("sandbox.host.machine", hosts[0], '{"alive": false}')
    stage.call("sandbox.node", _HOSTS[0], '{"behaves": "mute"}')
    tell.line(f"  {_HOSTS[0]} hangs now; what follows is shown after the next scene")


def _add(stage: Stage, name: str, cluster: int, entry: dict[str, str | int]) -> int:
    stage.call("sandbox.node", name, json.dumps({"addresses": ["10.0.2.1"]}))
    host = int(stage.call("host.allocate", name, "dummy", "dummy", cluster))
    book = stage.location / "etc/onext/bmc.yaml"
    book.touch(mode=0o640)
    with book.open("a") as file:
        file.write(f"{host}: {json.dumps(entry)}\n")
    stage.until(f"host {host} is MONITORED", lambda: state(stage, host) == "2")
    return host


def play(stage: Stage) -> None:
    """Show that the VMs run elsewhere, let the host return with an old VM on it, and print the timeline."""
    host, vms = stage.shop["hosts"][0], stage.shop["vms"]
    tell.chapter("Availability: what became of the VMs of the host that hung")
    stage.until("the VMs run elsewhere", lambda: all(moved(stage, vm) for vm in vms), _SECONDS)
    restarts = [(*last_stay(stage, number), name) for name, number in zip(_VMS, vms, strict=True)]
    for when, where, name in sorted(restarts):
        at = datetime.fromtimestamp(when, timezone.utc)
        tell.line(f"    {at:%H:%M:%S} {name} (priority {_VMS[name]}) restarts on {where}")
    stage.typed("onext ha status")
    tell.line(f"  a person presses the power button of {_HOSTS[0]}; it boots with an old {next(iter(_VMS))}")
    node = stage.location / "nodes" / _HOSTS[0]
    (node / "bin/virsh").write_text(_VIRSH)
    (node / "bin/virsh").chmod(0o755)
    (node / "running").write_text(f"one-{vms[0]}\n")
    switch_on(stage.shop["bmc"])
    stage.until("the host serves again", lambda: state(stage, host) == "2", _SECONDS)
    tell.line(f"    the old instance was destroyed, and {_HOSTS[0]} serves again:")
    stage.typed("onext ha history")


def runs(stage: Stage, vm: int) -> bool:
    """Return whether a VM is RUNNING."""
    return stage.document("vm.info", vm).findtext("LCM_STATE") == "3"


def last_stay(stage: Stage, vm: int) -> tuple[int, str]:
    """Return when a VM came to its host, and the host's name."""
    last = stage.document("vm.info", vm).findall(".//HISTORY")[-1]
    return int(last.findtext("STIME", "0")), last.findtext("HOSTNAME", "")


def moved(stage: Stage, vm: int) -> bool:
    """Return whether a VM runs on another host."""
    return runs(stage, vm) and last_stay(stage, vm)[1] != _HOSTS[0]


def state(stage: Stage, host: int) -> str | None:
    """Return the state of a host, as a number."""
    return stage.document("host.info", host).findtext("STATE")


def switch_on(bmc: dict[str, str | int]) -> None:
    """Switch a machine on at its BMC, as its button does."""
    address = f"https://{bmc['address']}:{bmc['port']}{bmc['system']}/Actions/ComputerSystem.Reset"
    login = base64.b64encode(f"{bmc['user']}:{bmc['password']}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    request = urllib.request.Request(address, b'{"ResetType": "On"}', headers)
    context = ssl._create_unverified_context()  # noqa: S323, SLF001 - a stand-in on loopback
    with urllib.request.urlopen(request, timeout=10, context=context):  # noqa: S310
        pass
