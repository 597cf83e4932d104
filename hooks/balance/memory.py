"""What balancing remembers of a cluster between rounds: a document of oneadmin, which a new leader reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from hooks.balance.model import Past
from onext import bounds
from onext.oned.documents import Documents, Kind
from onext.part import Context

MOST = 5_000  # hosts, and VMs, that are remembered
_CHUNK = 1_000  # pairs of one value
Value = TypeVar("Value", int, float)


def encode(past: Past) -> Mapping[str, str]:
    """Return what a document holds: pairs `id:rounds` of loaded hosts and `id:time` of moved VMs."""
    loaded = [f"{host}:{rounds}" for host, rounds in sorted(past.loaded.items())]
    moved = [f"{vm}:{at:.0f}" for vm, at in sorted(past.moved.items())]
    return {**_chunks("LOADED", loaded), **_chunks("MOVED", moved)}


def _chunks(name: str, pairs: list[str]) -> Mapping[str, str]:
    starts = range(0, min(len(pairs), MOST), _CHUNK)
    return {f"{name}{n}": " ".join(pairs[start : start + _CHUNK]) for n, start in enumerate(starts)}


def decode(values: Mapping[str, str]) -> Past:
    """Read it; raise ValueError."""
    return Past(
        dict(_pairs(values, "LOADED", lambda text: bounds.whole(text, 0, 10**9))),
        dict(_pairs(values, "MOVED", lambda text: bounds.number(text, 0, 1e12))),
    )


def _pairs(
    values: Mapping[str, str], name: str, read: Callable[[str], Value | None]
) -> Iterable[tuple[int, Value]]:
    for n in range(MOST // _CHUNK):
        for pair in values.get(f"{name}{n}", "").split()[:_CHUNK]:
            word, _, text = pair.partition(":")
            number, value = bounds.whole(word, 0, 2**31), read(text)
            if number is None or value is None:
                raise ValueError(f"{name}: {bounds.words(pair, 40)!r} is not a pair of numbers")
            yield number, value


BALANCE: Kind[Past] = Kind("balance", encode, decode)  # by cluster


def remembered(context: Context, cluster: int) -> Past:
    """Return what the last rounds remembered; empty without a valid document."""
    stored = Documents(context.oned, BALANCE, context.now).get(cluster)
    return stored.value if stored is not None and stored.value is not None else Past()


def remember(context: Context, cluster: int, past: Past, moved: Mapping[int, float]) -> None:
    """Keep what the next round needs; `moved` are the VMs of this round with their times."""
    documents = Documents(context.oned, BALANCE, context.now)
    before = documents.get(cluster)
    after = Past(past.loaded, {**past.moved, **moved})
    documents.put(cluster, after, before.version if before else None)
