"""Availability at 1,250 hosts and 10,000 VMs in one cluster: decisions, admission control, and the probe.

Times are CPU of this process. Bounds: a decision and a plan under 1 s, the admission check under 5 s.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import replace

from hooks.availability import cluster_view, probe
from hooks.availability.admission import admission as check
from hooks.availability.cluster_view import Situation
from hooks.availability.decide import Round, decide
from hooks.availability.evidence import Judgement, Source, Verdict
from hooks.availability.model import Entry, Incident, Phase
from hooks.availability.placement import Places
from hooks.availability.policy import Mode, Policy
from hooks.availability.steps import Start, Write
from onext.cloud.model import Cluster, Datastore, Host, Stay, Vm
from onext.cloud.snapshot import Cloud
from onext.hosts.inventory.groups import Ties
from onext.oned.objects import HostState, VmState

HOSTS, VMS, DOWN, EVACUATED = 1250, 10_000, 20, 40
CLUSTER, STORE, GIB = 100, 100, 1024
NOW = 1.7e9
POLICY = Policy(mode=Mode.AUTO, max_parallel=100)
_SERVER = """
import asyncio
async def greet(reader, writer):
    writer.write(b"SSH-2.0-bench\\r\\n"); await writer.drain(); writer.close()
async def main():
    server = await asyncio.start_server(greet, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def cloud() -> Cloud:
    """Return hosts with 256 GiB, filled to about two thirds; the first has 40 VMs."""
    dice = random.Random(7)
    vms = [_vm(n, 0 if n < EVACUATED else 1 + n % (HOSTS - 1), 1 + dice.randrange(40)) for n in range(VMS)]
    used: dict[int, int] = {}
    for vm in vms:
        used[vm.host_id] = used.get(vm.host_id, 0) + vm.memory
    hosts = [
        Host(
            n, f"node-{n:04}", int(HostState.MONITORED), cluster_id=CLUSTER, max_cpu=6400, cpu_usage=400,
            max_memory=256 << 20, memory_usage=used.get(n, 0) << 10,
        )
        for n in range(HOSTS)
    ]  # fmt: skip
    stores = [Datastore(STORE, "system", 1, "shared", template={"SHARED": "YES"})]
    return Cloud.of(hosts, vms=vms, clusters=[Cluster(CLUSTER, "c")], datastores=stores)


def _vm(number: int, host: int, gib: int) -> Vm:
    stay = Stay(0, host, f"node-{host:04}", CLUSTER, STORE, "kvm", "shared", 0.0, 0.0, 0)
    return Vm(
        number, f"vm-{number}", state=int(VmState.ACTIVE), lcm_state=16, cpu=0.5, memory=gib * GIB, stay=stay
    )


def held(found: Cloud) -> float:
    """Return the seconds of a decision with 20 hosts down at once, which has to hold all of them."""
    incidents = {n: _incident(found, n, Phase.CONFIRM) for n in range(DOWN)}
    answering = frozenset(range(DOWN, HOSTS))
    began = time.process_time()
    situation = Situation(
        silent=dict.fromkeys(range(DOWN), 300.0), answering=answering, fence=frozenset(range(HOSTS)), incidents=incidents
    )  # fmt: skip
    cluster = cluster_view.cluster(found, CLUSTER, situation)
    judgements = {n: Judgement(Verdict.UNKNOWN, ("silent",), (), powered=True) for n in range(DOWN)}
    around = Round(cluster, POLICY, judgements, NOW, suspected=dict.fromkeys(range(DOWN), 300.0))
    steps = decide(around, Places(found, CLUSTER, range(DOWN)).place)
    took = time.process_time() - began
    written = [step.incident for step in steps if isinstance(step, Write)]
    assert {one.host for one in written if one.phase is Phase.HELD} == set(range(DOWN))
    assert all(one.phase in (Phase.HELD, Phase.CONFIRM) for one in written)
    return took


def _incident(found: Cloud, host: int, phase: Phase) -> Incident:
    entries = tuple(Entry(vm.id, 0, 5) for vm in found.vms_by_host.get(host, ()))
    return Incident(
        host, f"node-{host:04}", CLUSTER, phase, NOW - 400, NOW - 300, entries=entries, disabled=True
    )


def evacuation(found: Cloud) -> float:
    """Return the seconds of a decision that starts 40 VMs elsewhere."""
    incident = _incident(found, 0, Phase.EVACUATING)
    began = time.process_time()
    situation = Situation(answering=frozenset(range(1, HOSTS)), incidents={0: incident})
    cluster = cluster_view.cluster(found, CLUSTER, situation)
    cluster = replace(cluster, vms=tuple(replace(vm, lock=3) for vm in cluster.vms))
    dead = {0: Judgement(Verdict.DEAD, ("off",), (Source.BMC,))}
    around = Round(cluster, POLICY, dead, NOW, suspected={0: 400.0})
    steps = decide(around, Places(found, CLUSTER, (0,)).place)
    took = time.process_time() - began
    assert sum(isinstance(step, Start) for step in steps) == EVACUATED
    return took


def admission(found: Cloud) -> float:
    """Return the seconds for the loss of every host, and of every two."""
    began = time.process_time()
    result = check(found, CLUSTER, Ties(), lambda _: 5)
    took = time.process_time() - began
    assert len(result.singles) == HOSTS
    assert result.untried == 0
    return took


def probing() -> float:
    """Return the CPU seconds of a minute's probes, every 10 s, of all hosts."""
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        addresses = dict.fromkeys(range(HOSTS), ("127.0.0.1", port))
        began = time.process_time()
        answers = [probe.greetings(addresses, timeout=30.0) for _ in range(6)]
        took = time.process_time() - began
        server.kill()
    assert all(all(one.values()) for one in answers)
    return took


def main() -> None:
    """Print one line for each figure."""
    found = cloud()
    for text, took, bound in (
        (f"decision with {DOWN} hosts down at once, held", held(found), 1.0),
        (f"evacuation plan of {EVACUATED} VMs", evacuation(found), 1.0),
        ("admission check of every host's and every two hosts' loss", admission(found), 5.0),
        ("probe of all hosts, per minute", probing(), None),
    ):
        limit = "" if bound is None else f" (bound {bound:g} s): {'ok' if took <= bound else 'MISSED'}"
        print(f"{text}: {took:.2f} s{limit}")
