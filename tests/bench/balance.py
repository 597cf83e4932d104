"""Balancing on clusters of several sizes: spread of the load, moves and GiB, and OneDRS's plan beside them.

Half of the hosts gave 40 % of their VMs to a neighbour. One plan without an hourly limit is compared with that
of OneDRS; then two days pass with the limits as shipped and use that goes up and down.

The cases are made here, and those of ONEXT_SHARED (`../shared`) are added. `ONEXT_ONEDRS=FOLDER` is OpenNebula's
`remotes/scheduler/one_drs` (7.0 on; needs PuLP); it gets 60 seconds for a plan, as shipped. It knows no host as
loaded: it minimises the largest share of memory and CPU.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from hooks.balance.model import Limits, Past, Situation, Use
from hooks.balance.plan import HOUR, decide, spread
from onext.hosts.model import Cluster
from tests.hooks.balance.made import made
from tests.hooks.balance.test_plan import NOW, case, used
from tests.hooks.balance.week import BEGIN, DAY, Week

DAYS = 2
MOST_FOR_ONEDRS = 500  # VMs: with more it finds no plan within its time
MADE = ((10, 80), (20, 150), (50, 500))


def cases() -> Iterator[tuple[str, Cluster, Use]]:
    """Yield the name of each case and its cluster."""
    for hosts, count in MADE:
        here, use = made(hosts, count)
        yield here.name, here, use
    folder = Path(os.environ.get("ONEXT_SHARED", "../shared")) / "data/planner"
    for file in sorted(folder.glob("*.json"), key=lambda file: (int(file.stem.split("-")[1]), file.stem)):
        here, use = case(file)
        yield file.stem, here, use


def line(name: str, who: str, here: Cluster, to: Mapping[int, int], seconds: float) -> None:
    """Print what a plan makes of a cluster."""
    after = replace(here, vms=tuple(replace(vm, host=to.get(vm.id, vm.host)) for vm in here.vms))
    moved = [vm for vm in here.vms if to.get(vm.id, vm.host) != vm.host]
    before, then = (spread(one, used(one).hosts) for one in (here, after))
    gib = sum(vm.size.memory for vm in moved) / 1024
    print(
        f"{name:14} {who:8} spread {before:.3f} -> {then:.3f}, {len(moved):4} moves, {gib:6.0f} GiB, {seconds:5.1f} s"
    )


def ours(here: Cluster, use: Use) -> dict[int, int]:
    """Return one plan without an hourly limit."""
    past = Past({host.id: 9 for host in here.hosts})
    plan = decide(Situation(here, use, past, NOW), Limits(moves_per_hour=10**6))
    return {move.vm: move.target for move in plan.moves}


def onedrs(here: Cluster, folder: Path) -> dict[int, int] | None:
    """Return OneDRS's plan; None where it finds none."""
    sys.path.insert(0, str(folder / "lib"))
    ilp, model, pulp = (importlib.import_module(n) for n in ("mapper.ilp_optimizer", "mapper.model", "pulp"))
    filled, ids = used(here).hosts, {host.id for host in here.hosts}
    capacities = [
        model.HostCapacity(
            host.id,
            model.Capacity(host.size.memory, filled[host.id].memory),
            model.Capacity(host.size.cpu / 100, filled[host.id].cpu / 100),
        )
        for host in here.hosts
    ]
    wanted = [
        model.VMRequirements(vm.id, model.VMState.RUNNING, vm.size.memory, vm.size.cpu / 100, host_ids=ids)
        for vm in here.vms
    ]
    found = ilp.ILPOptimizer(
        [model.Allocation(vm.id, vm.host) for vm in here.vms], wanted, [], capacities, [], [], [],
        {"memory_balance": 0.5, "cpu_ratio_balance": 0.5},
        solver=pulp.PULP_CBC_CMD(msg=False, timeLimit=60),
    )  # fmt: skip
    found.map()
    return {n: one.host_id for n, one in found._opt_placement.items() if one is not None} or None


def days(name: str, here: Cluster) -> None:
    """Print what two days of rounds do, with the limits as shipped."""
    left = Week(here, Limits()).run(DAYS, balanced=False)
    found = Week(here, Limits()).run(DAYS)
    last: dict[int, float] = {}
    least = float("inf")
    for when, move in found.moves:
        least = min(least, when - last.get(move.vm, float("-inf")))
        last[move.vm] = when
    by_day = [sum(d * DAY <= when - BEGIN < (d + 1) * DAY for when, _ in found.moves) for d in range(DAYS)]
    again = (
        "no VM twice" if least == float("inf") else f"a VM again after {least / HOUR:.1f} h at the earliest"
    )
    ok = "ok" if least >= HOUR else "MISSED"
    print(
        f"{name:14} {DAYS} days   spread {left.mean_spread():.3f} -> {found.mean_spread():.3f}, moves by day"
        f" {by_day}, {found.gib:6.0f} GiB; {again} (bound 1 h): {ok}"
    )


def main() -> None:
    """Print three lines for each case."""
    folder = os.environ.get("ONEXT_ONEDRS")
    for name, here, use in cases():
        began = time.process_time()
        plan = ours(here, use)
        line(name, "onext", here, plan, time.process_time() - began)
        if folder and len(here.vms) <= MOST_FOR_ONEDRS:
            began = time.monotonic()
            rival = onedrs(here, Path(folder))
            if rival is None:
                print(f"{name:14} OneDRS   no plan after {time.monotonic() - began:.0f} s")
            else:
                line(name, "OneDRS", here, rival, time.monotonic() - began)
        if len(here.vms) <= MOST_FOR_ONEDRS:
            days(name, here)
