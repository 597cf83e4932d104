"""The recordings' scene, made in a sandbox by the same calls, and the comparison of answers with recordings."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from tests.fixtures_sandbox import Sandbox

SMALL = """NAME="small" CPU=0.5 VCPU=1 MEMORY=512 HYPERVISOR="dummy" LOGO="images/logos/linux.png"
DISK=[IMAGE_ID=0] NIC=[NETWORK_ID=0] GRAPHICS=[LISTEN="127.0.0.1",TYPE="VNC"] OS=[ARCH="x86_64"]
CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY="$USER[SSH_PUBLIC_KEY]"]"""
NETWORK = """NAME="net-alpha" VN_MAD="dummy" BRIDGE="br0" NETWORK_ADDRESS="10.10.0.0" NETWORK_MASK="255.255.252.0"
GATEWAY="10.10.0.1" DNS="10.10.0.1" AR=[TYPE="IP4",IP="10.10.0.10",SIZE="900"]"""
GROUP = """NAME="web-group" AFFINED="db,cache" ROLE=[NAME="front",POLICY="ANTI_AFFINED"] ROLE=[NAME="db"]
ROLE=[NAME="cache",HOST_AFFINED="1"]"""

# Name, host (None: nowhere), what is added to the template.
GUESTS: tuple[tuple[str, int | None, str], ...] = (
    (
        "web-0",
        0,
        'VMGROUP=[VMGROUP_ID=0,ROLE="front"] FLAVOURS="green" PROMETHEUS_EXPORTER="9101" PROMETHEUS_LABELS="app=web,tier=front"',
    ),
    ("web-1", 1, 'VMGROUP=[VMGROUP_ID=0,ROLE="front"] PROMETHEUS_EXPORTER="9101"'),
    (
        "db-0",
        1,
        'VMGROUP=[VMGROUP_ID=0,ROLE="db"] FLAVOURS="green,latency" SCHED_RANK="FREE_CPU" SCHED_REQUIREMENTS="CLUSTER_ID=\\"100\\" & !(HYPERVISOR=\\"kvm\\")"',
    ),
    ("cache-0", 1, 'VMGROUP=[VMGROUP_ID=0,ROLE="cache"] DESCRIPTION="cache with & and <xml> chars"'),
    ("batch-0", 2, 'FLAVOURS="batch" PROMETHEUS_EXPORTER="9100"'),
    (
        "edge-0",
        5,
        'GEO="60.17,24.94" PROMETHEUS_EXPORTER="9101" SCHED_REQUIREMENTS="CLUSTER_ID=\\"101\\""',
    ),
    ("edge-1", 5, 'PROMETHEUS_EXPORTER="abc"'),
    ("off-0", 0, 'PROMETHEUS_EXPORTER="9101"'),
    ("susp-0", 2, ""),
    ("stop-0", 2, ""),
    ("undep-0", 1, ""),
    ("done-0", 3, ""),
    ("hold-0", None, ""),
)
ACTIONS = (("poweroff", 7), ("suspend", 8), ("stop", 9), ("undeploy", 10), ("terminate", 11))
HOOKS = (
    "NAME=hostmon-stdin TYPE=state RESOURCE=HOST STATE=MONITORED ARGUMENTS_STDIN=yes ARGUMENTS=$TEMPLATE",
    "NAME=gone TYPE=state RESOURCE=HOST STATE=INIT",
    'NAME=vmrun TYPE=state RESOURCE=VM ON=RUNNING ARGUMENTS="tag=vmrun $TEMPLATE"',
    "NAME=hosterr TYPE=state RESOURCE=HOST STATE=ERROR ARGUMENTS_STDIN=yes ARGUMENTS=$TEMPLATE",
    "NAME=apialloc TYPE=api CALL=one.vm.allocate ARGUMENTS_STDIN=yes ARGUMENTS=$API",
    "NAME=hostoff TYPE=state RESOURCE=HOST STATE=OFFLINE ARGUMENTS_STDIN=yes ARGUMENTS=$TEMPLATE",
    "NAME=hostdis TYPE=state RESOURCE=HOST STATE=DISABLED ARGUMENTS_STDIN=yes ARGUMENTS=$TEMPLATE",
)


def build(sandbox: Sandbox) -> None:
    """Make the scene: clusters, hosts, hooks, and VMs in every state."""
    _hooks(sandbox)
    _clusters(sandbox)
    for source, method in ((NETWORK, "vn.allocate"), ('NAME="disk0" SIZE=1024', "image.allocate")):
        sandbox.call(method, source, *((1,) if method == "image.allocate" else ()))
    for number in (100, 101):
        sandbox.call("cluster.addvnet", number, 0)
    sandbox.call("vmgroup.allocate", GROUP)
    sandbox.call("template.allocate", SMALL)
    _guests(sandbox)
    _ended(sandbox)
    sandbox.call("host.status", 7, 2)
    sandbox.control("monitor")
    for vm in range(16):
        sandbox.control("vm.measured", vm, {"CPU": "0"})


def _hooks(sandbox: Sandbox) -> None:
    for number, source in enumerate(HOOKS):
        name = source.split()[0].removeprefix("NAME=")
        sandbox.remote(f"hooks/test/dump-{name}.py", "#!/bin/sh\necho stdout line of the hook\n")
        assert sandbox.call("hook.allocate", f"{source} COMMAND=test/dump-{name}.py") == number
    sandbox.call("hook.delete", 1)


def _clusters(sandbox: Sandbox) -> None:
    for name in ("alpha", "beta"):
        number = sandbox.call("cluster.allocate", name)
        for store in range(3):
            sandbox.call("cluster.adddatastore", number, store)
    for name in ("node-a1", "node-a2", "node-a3", "node-a4", "node-a5"):
        sandbox.call("host.allocate", name, "dummy", "dummy", 100)
    for name in ("node-b1", "node-b2", "node-b3"):
        sandbox.call("host.allocate", name, "dummy", "dummy", 101)
    sandbox.until(lambda: sandbox.call("hostpool.info").count("<STATE>2</STATE>") == 8)
    sandbox.control("step", 3.0)  # the machine is ill before its first message is due
    ill = sandbox.call("host.allocate", "node-e1", "kvm", "dummy", 101)
    sandbox.control("host.machine", ill, {"alive": False})
    sandbox.control("step", 0.02)
    sandbox.until(lambda: "<STATE>3</STATE>" in sandbox.call("host.info", ill))


def _guests(sandbox: Sandbox) -> None:
    for number, (name, host, extra) in enumerate(GUESTS):
        assert sandbox.call("template.instantiate", 0, name, True, extra) == number
        if host is not None:
            sandbox.call("vm.deploy", number, host, False, -1)
    settled(sandbox, running=12)
    pending = 'SCHED_REQUIREMENTS="NAME=\\"no-such-host\\""'
    sandbox.call("template.instantiate", 0, "pend-0", False, pending)
    free = 'SCHED_REQUIREMENTS="CLUSTER_ID=\\"101\\"" PROMETHEUS_EXPORTER="9101"'
    for host in (5, 6):
        sandbox.call("host.status", host, 1)
    sandbox.call("template.instantiate", 0, "sched-0", False, free)
    settled(sandbox, running=13)
    for host in (5, 6):
        sandbox.call("host.status", host, 0)
    for action, number in ACTIONS:
        sandbox.call("vm.action", action, number)
    for number, host in ((4, 1), (5, 6)):
        sandbox.call("vm.migrate", number, host, True, True, -1)
    sandbox.call("vm.allocate", 'NAME="alloc-0"\nCPU=1\nMEMORY=128\nPROMETHEUS_EXPORTER="9101"\n', True)
    settled(sandbox, running=8)


def _ended(sandbox: Sandbox) -> None:
    """Make the VMs of the recordings that are DONE, behind the back of the hooks whose logs are compared."""
    sandbox.control("hooks", False)
    for number in range(24):
        oid = sandbox.call("vm.allocate", f'NAME="c-{number}" CPU=1 MEMORY=128', True)
        sandbox.call("vm.action", "terminate", oid)
    for size in (1000, 60000, 200000):
        oid = sandbox.call("vm.allocate", f'NAME="big-{size}" CPU=0.1 MEMORY=16', True)
        sandbox.call("vm.deploy", oid, 0, False, -1)
    settled(sandbox, running=11)
    for oid in (40, 41, 42):
        sandbox.call("vm.action", "terminate-hard", oid)
    settled(sandbox, running=8)
    sandbox.control("hooks", True)


def settled(sandbox: Sandbox, running: int) -> None:
    """Wait until so many VMs run and none is on its way."""
    sandbox.until(lambda: sandbox.call("vmpool.info", -2, -1, -1, 3).count("<LCM_STATE>3<") == running)
    sandbox.until(lambda: sandbox.call("vmpool.info", -2, -1, -1, 3).count("<VM>") == running)


class Leaf(NamedTuple):
    """An element of a document without white space: where, whether its text is CDATA, its text."""

    path: str
    cdata: bool
    text: str


_TOKEN = re.compile(r"<!\[CDATA\[(.*?)\]\]>|<(/?)([\w]+)\s*(/?)>|([^<]+)", re.DOTALL)

# What differs from one run to the next: times, numbers that a machine measured, secrets, places.
VOLATILE = re.compile(
    r"(TIMESTAMP|[A-Z]*TIME|LAST_POLL|UUID|REQUEST_ID|MEMORY_FREE|ERROR|SCHED_MESSAGE|DESCRIPTION_TIME|ENDPOINT"
    r"|MONITORING/.*|BASE_PATH|ARGUMENTS|STDOUT|STDERR|COMMAND|EXECUTION_ID|CODE|REGTIME|STIME|ETIME)$"
)


def leaves(document: str) -> list[Leaf]:
    """Return every element in order, the empty ones with empty text."""
    found: list[Leaf] = []
    path: list[str] = []
    opened = False
    pending: tuple[bool, str] = (False, "")
    for token in _TOKEN.finditer(document):
        data, closing, name, alone, plain = token.groups()
        if name and not closing and not alone:
            path.append(name)
            opened, pending = True, (False, "")
        elif name and alone:
            found.append(Leaf("/".join([*path, name]), cdata=False, text=""))
            opened = False
        elif name:
            if opened:
                found.append(Leaf("/".join(path), *pending))
            path.pop()
            opened = False
        elif data is not None:
            pending = (True, data)
        elif plain.strip():
            pending = (False, plain.strip())
    return found


def kind(leaf: Leaf) -> str:
    """Return the type of a text, as far as it shows."""
    if re.fullmatch(r"-?\d+", leaf.text):
        return "integer"
    if re.fullmatch(r"-?\d+\.\d+", leaf.text):
        return "number"
    return "text" if leaf.text else "empty"


def comparable(document: str) -> list[Any]:
    """Return each element's path, whether it is CDATA, its type, and its value unless that is volatile."""
    return [
        (leaf.path, leaf.cdata, *(("volatile",) if VOLATILE.search(leaf.path) else (kind(leaf), leaf.text)))
        for leaf in leaves(document)
    ]


def members(document: str, element: str) -> dict[str, str]:
    """Return the objects of a pool by name."""
    found = re.findall(rf"<{element}>.*?</{element}>", document, re.DOTALL)
    named = (re.search(r"<NAME>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</NAME>", one) for one in found)
    return {name[1]: one for name, one in zip(named, found, strict=True) if name}


def recorded(recordings: Path, name: str) -> str:
    """Return a recording."""
    return (recordings / name).read_text()
