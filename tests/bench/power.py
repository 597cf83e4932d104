"""The planner against a lower bound, a naive drain and CP-SAT's optimum."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from time import process_time

from hooks.power.simulate.clusters import synthetic
from onext.hosts.placement.problem import Load, Problem, Size, Slot, lower_bound
from onext.hosts.placement.refine import Squeeze
from onext.hosts.placement.search import make_plan

SEEDS = (1, 2, 3, 5, 7)


def naive_drain(problem: Problem) -> tuple[int, int]:
    """Empty the smallest hosts first, best fit by memory; return hosts kept and VMs moved."""
    room = {slot.id: slot.limit for slot in problem.slots}
    vms: dict[int, list[Load]] = {slot.id: [] for slot in problem.slots}
    place = {load.vms: load.slot for load in problem.loads}
    for load in problem.loads:
        room[load.slot] = room[load.slot] - load.size
        vms[load.slot].append(load)
    on = set(room)
    for slot in sorted(problem.slots, key=lambda s: (s.limit, len(vms[s.id]))):
        trial = {host: room[host] for host in on if host != slot.id}
        targets = {}
        for load in sorted(vms[slot.id], key=lambda g: -g.size.memory):
            fits = [host for host in trial if load.size.fits(trial[host]) and not load.fixed]
            fits = [h for h in fits if not any(load.apart & other.apart for other in vms[h])]
            if not fits:
                break
            host = min(fits, key=lambda h: trial[h].memory - load.size.memory)
            trial[host] = trial[host] - load.size
            targets[load.vms] = host
        else:
            on.discard(slot.id)
            room = {**room, **trial}
            for load in vms.pop(slot.id):
                vms[targets[load.vms]].append(load)
                place[load.vms] = targets[load.vms]
    return len(on), sum(place[load.vms] != load.slot for load in problem.loads)


def optimum(problem: Problem, seconds: float = 10.0) -> tuple[int, int, str]:
    """Let CP-SAT minimise hosts, then moves; return both and what is to be said of its plan.

    It knows no order: where its moves block each other, nobody can carry the plan out by live migration.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    on = {slot.id: model.new_bool_var("") for slot in problem.slots}
    stands = {(g, h): model.new_bool_var("") for g in range(len(problem.loads)) for h in on}
    for slot in problem.slots:
        for part in (0, 1):
            used = sum(stands[g, slot.id] * load.size[part] for g, load in enumerate(problem.loads))
            model.add(used <= on[slot.id] * slot.limit[part])
    for g, load in enumerate(problem.loads):
        model.add_exactly_one(stands[g, host] for host in on)
        model.add_hint(stands[g, load.slot], 1)
        if load.fixed:
            model.add(stands[g, load.slot] == 1)
    for key in {key for load in problem.loads for key in load.apart}:
        group = [g for g, load in enumerate(problem.loads) if key in load.apart]
        for host in on:
            model.add_at_most_one(stands[g, host] for g in group)
    stay = sum(stands[g, load.slot] for g, load in enumerate(problem.loads))
    model.minimize(len(problem.loads) * sum(on.values()) - stay)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    status = solver.solve(model)
    hosts = sum(solver.value(var) for var in on.values())
    place = {
        load.vms: next(host for host in on if solver.value(stands[g, host]))
        for g, load in enumerate(problem.loads)
    }
    _, stuck = Squeeze(problem, frozenset(place.values()), place).shifts()
    note = "" if status == cp_model.OPTIMAL else " (not proven)"
    return hosts, len(problem.loads) - int(solver.value(stay)), note + (" (no safe order)" if stuck else "")


def shared_cases() -> list[Path]:
    """Return the larger cases that lie beside a work tree, if they do."""
    return sorted(Path(os.environ.get("ONEXT_SHARED", "../shared")).glob("data/planner/*.json"))


def read_case(path: Path) -> Problem:
    """Read hosts {id, cpu, mem} and vms {id, cpu, mem, host}; CPU in cores, memory in MiB."""
    case = json.loads(path.read_text())
    sizes = {host["id"]: Size(host["cpu"] * 100, host["mem"]) for host in case["hosts"]}
    slots = tuple(Slot(host, size, size, 100.0) for host, size in sizes.items())
    loads = (Load((v["id"],), v["host"], Size(int(v["cpu"] * 100), v["mem"]), 1.0) for v in case["vms"])
    return Problem(slots, tuple(loads))


def timed(problem: Problem) -> tuple[int, int, float]:
    """Return hosts kept, VMs moved and the median of three CPU times in ms."""
    times = []
    for _ in range(3):
        start = process_time()
        plan = make_plan(problem)
        times.append(1000 * (process_time() - start))
    return len(plan.kept), len(plan.moves), median(times)


def show(name: str, problem: Problem, rival: str) -> None:
    """Print one line of the table."""
    kept, moved, ms = timed(problem)
    print(f"{name:28} {lower_bound(problem):5} {kept:5} {moved:6} {ms:8.1f}   {rival}")


def main() -> None:
    """Print hosts and migrations of each case beside its rivals'."""
    print(f"{'case (hosts/VMs)':28} {'LB':>5} {'hosts':>5} {'moves':>6} {'CPU ms':>8}   rival: hosts, moves")
    for path in shared_cases():
        problem = read_case(path)
        show(path.stem, problem, "naive drain {}, {}".format(*naive_drain(problem)))
    for utilisation in (0.3, 0.5, 0.7, 0.85):
        for seed in SEEDS:
            problem = synthetic(20, 150, utilisation, seed)
            hosts, moves, note = optimum(problem)
            show(f"20/150 {utilisation} #{seed}", problem, f"CP-SAT {hosts}, {moves}{note}")
    for hosts, vms in ((100, 1000), (1250, 10_000)):
        for utilisation in (0.3, 0.5, 0.7, 0.85):
            problem = synthetic(hosts, vms, utilisation, 1)
            show(f"{hosts}/{vms} {utilisation}", problem, "naive drain {}, {}".format(*naive_drain(problem)))


if __name__ == "__main__":
    main()
