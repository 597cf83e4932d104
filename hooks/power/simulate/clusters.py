"""Synthetic clusters for the planner: mixed hosts, VMs of common flavours, pins and anti-affinity."""

from __future__ import annotations

from random import Random

from onext.hosts.placement.problem import Load, Problem, Size, Slot

SHAPES = ((16, 64), (24, 128), (32, 256), (48, 384), (64, 512))  # cores, GiB
HOSTS = tuple(Size(cores * 100, gib * 1024) for cores, gib in SHAPES)
CORES = (1, 2, 4, 8)
MEMORY_PER_CORE = (8192,) * 13 + (4096,)  # MiB: most VMs are what the cluster was bought for
GROUP = 4  # VMs that keep apart from each other
WATTS = 100.0


def synthetic(hosts: int, vms: int, utilisation: float, seed: int, pinned: float = 0.02) -> Problem:
    """Return a cluster whose VMs, spread over all hosts, use this share of its memory.

    A share `pinned` of the VMs cannot move, one in twelve belongs to a group that keeps apart. All hosts
    have equal idle watts and each VM costs 1 to move, so hosts and migrations are what is counted.
    """
    random = Random(seed)  # noqa: S311 (a reproducible case, not a secret)
    sizes = [random.choice(HOSTS) for _ in range(hosts)]
    mean = sum(size.memory for size in sizes) * utilisation / vms
    flavours = [_flavour(random, mean) for _ in range(vms)]
    groups = _groups(random, vms)
    room, apart = dict(enumerate(sizes)), [set[str]() for _ in sizes]
    loads = []
    for vm in sorted(range(vms), key=lambda g: (-flavours[g].memory, g)):
        size, keys = flavours[vm], groups.get(vm, frozenset())
        candidates = [h for h in random.sample(range(hosts), min(hosts, 16)) if size.fits(room[h])]
        candidates = [h for h in candidates or range(hosts) if size.fits(room[h]) and not keys & apart[h]]
        if not candidates:
            continue  # no host has room in one piece: a VM less
        host = max(candidates, key=lambda h: room[h].memory)
        room[host] = room[host] - size
        apart[host] |= keys
        loads.append(Load((vm,), host, size, 1.0, fixed=random.random() < pinned, apart=keys))
    return Problem(tuple(Slot(h, size, size, WATTS) for h, size in enumerate(sizes)), tuple(loads))


def _groups(random: Random, vms: int) -> dict[int, frozenset[str]]:
    members = random.sample(range(vms), vms // 12 // GROUP * GROUP)
    return {vm: frozenset({f"group {index // GROUP}"}) for index, vm in enumerate(members)}


def _flavour(random: Random, mean: float) -> Size:
    """Draw a flavour; small ones prevail as far as the mean memory (MiB) allows."""
    wanted = mean / (sum(MEMORY_PER_CORE) / len(MEMORY_PER_CORE))
    low, high = 0.01, 10.0
    for _ in range(30):
        ratio = (low + high) / 2
        weights = [ratio**step for step in range(len(CORES))]
        average = sum(w * c for w, c in zip(weights, CORES, strict=True)) / sum(weights)
        low, high = (ratio, high) if average < wanted else (low, ratio)
    cores = random.choices(CORES, weights)[0]
    return Size(cores * 100, cores * random.choice(MEMORY_PER_CORE))
