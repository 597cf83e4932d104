"""Reads the pools of a round once for all parts, and brings single objects up to date after events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from queue import SimpleQueue
from typing import Any

from onext.cloud import model, parse
from onext.cloud.snapshot import Cloud, clock
from onext.oned import stream
from onext.oned.client import Oned
from onext.oned.errors import NotFound, OnedError
from onext.oned.objects import VmState
from onext.xml import Element

LIFETIME = 60.0  # seconds for which a round's pools are used, single objects excepted
_AGAIN = 5.0  # seconds before a pool that could not be read is asked for again
_MOST_HOSTS = 30  # changed hosts that are asked for one by one; for more the pool costs less
_MOST_VMS = 1000
_TOGETHER = 200  # VMs of one request
_log = logging.getLogger("onext.cloud")


@dataclass(frozen=True)
class PoolCall:
    """How a pool is asked for, and how one of its elements is read."""

    method: str
    arguments: tuple[str | int, ...]
    tag: str
    read: Callable[[bytes], Any]
    kind: Callable[..., Any]


_POOLS: Mapping[str, PoolCall] = {
    "hosts": PoolCall("hostpool.info", (), "HOST", parse.host, model.Host),
    "vms": PoolCall("vmpool.infoextended", stream.ALL_VMS, "VM", parse.vm, model.Vm),
    "clusters": PoolCall("clusterpool.info", (), "CLUSTER", parse.cluster, model.Cluster),
    "datastores": PoolCall("datastorepool.info", (), "DATASTORE", parse.datastore, model.Datastore),
    "networks": PoolCall("vnpool.info", (-2, -1, -1), "VNET", parse.network, model.Network),
    "images": PoolCall("imagepool.info", (-2, -1, -1), "IMAGE", parse.image, model.Image),
}


@dataclass
class _Round:
    """What was read since the round began; a mapping is replaced, never changed."""

    began: float = field(default_factory=clock)
    taken: float = field(default_factory=time.time)
    pools: dict[str, Mapping[int, Any]] = field(default_factory=dict)
    documents: dict[tuple[object, ...], Element] = field(default_factory=dict)
    failed: dict[object, tuple[float, OnedError]] = field(default_factory=dict)

    @property
    def age(self) -> float:
        """Seconds since the round began."""
        return clock() - self.began


class Reader:
    """The cloud of one worker or command; may be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # held while oned is asked
        self._round: _Round | None = None
        self._expired = threading.Event()
        self._events: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self._changed: dict[str, set[int]] = {"hosts": set(), "vms": set()}
        self._known: dict[str, dict[bytes, Any]] = {}  # what each element was read as, to read it once
        self._reported: dict[str, dict[int, str]] = {}

    def expire(self) -> None:
        """Let the next caller begin a new round, with all pools read again; never waits."""
        self._expired.set()

    def changed(self, resource: str, number: int) -> None:
        """Note an event: `host` or `vm` and its id. The next caller gets that object as it is then."""
        if resource in ("host", "vm"):
            self._events.put((f"{resource}s", number))

    def cloud(self, oned: Oned, max_age: float = LIFETIME) -> Cloud:
        """Return the pools of this round with the changes that events told of; raise an OnedError.

        A round that began more than `max_age` seconds ago is over for all parts.
        """
        with self._lock:
            while not self._events.empty():
                pool, number = self._events.get()
                self._changed[pool].add(number)
            if self._round is None or self._expired.is_set() or self._round.age > max_age:
                self._expired.clear()
                self._round = _Round()
            self._update(oned, self._round)
            return self._view(oned, self._round)

    def _view(self, oned: Oned, this: _Round) -> Cloud:
        def pool(name: str) -> Mapping[int, Any]:
            with self._lock:
                return self._pool(oned, this, name)

        def document(method: str, *arguments: object) -> Element:
            with self._lock:
                return self._document(oned, this, (method, *arguments))

        return Cloud(pool, document, this.began, this.taken)

    def _pool(self, oned: Oned, this: _Round, name: str) -> Mapping[int, Any]:
        if name not in this.pools:
            self._changed.get(name, set()).clear()  # what is read now is newer than these events
            this.pools[name] = _once(this, name, lambda: self._read(oned, name))
        return this.pools[name]

    def _document(self, oned: Oned, this: _Round, call: tuple[object, ...]) -> Element:
        if call not in this.documents:
            this.documents[call] = _once(this, call, lambda: oned.document(str(call[0]), *call[1:]))
        return this.documents[call]

    def _read(self, oned: Oned, name: str) -> Mapping[int, Any]:
        pool, before, known = _POOLS[name], self._known.get(name, {}), dict[bytes, Any]()
        found: dict[int, Any] = {}
        for element in stream.pool(oned.source, pool.method, *pool.arguments, tag=pool.tag):
            digest = blake2b(element, digest_size=16).digest()
            item = before.get(digest) or parse.safely(pool.read, pool.kind, element)
            if item is None:
                _log.warning("%s: an element has no id and is left out: %r", pool.method, element[:80])
                continue
            known[digest] = found[item.id] = item
        self._known[name] = known
        self._report(name, found)
        return found

    def _report(self, name: str, found: Mapping[int, Any]) -> None:
        """Log each object that could not be read once, and again when the reason changes."""
        before = self._reported.get(name, {})
        problems = {number: item.problem for number, item in found.items() if item.problem}
        for number, problem in problems.items():
            if before.get(number) != problem:
                _log.warning(
                    "%s %d cannot be read and counts as unknown: %s", _POOLS[name].tag, number, problem
                )
        self._reported[name] = problems

    def _update(self, oned: Oned, this: _Round) -> None:
        """Read the objects again that events named, in the pools that were read in this round."""
        for name, ids in self._changed.items():
            if name not in this.pools:
                ids.clear()
        vms = this.pools.get("vms", {})
        if changed := self._changed["vms"]:
            if len(changed) > _MOST_VMS:
                del this.pools["vms"]
                this.pools.pop("hosts", None)
            else:
                self._update_vms(oned, this, vms, frozenset(changed))
            changed.clear()
        if changed := self._changed["hosts"]:
            if len(changed) > _MOST_HOSTS:
                this.pools.pop("hosts", None)
            elif "hosts" in this.pools:
                this.pools["hosts"] = _replaced(this.pools["hosts"], changed, _hosts(oned, changed))
            changed.clear()

    def _update_vms(
        self, oned: Oned, this: _Round, vms: Mapping[int, model.Vm], changed: frozenset[int]
    ) -> None:
        """Replace VMs, and read again what they change elsewhere: their hosts, the leases of networks."""
        found = {vm.id: vm for vm in _vms(oned, sorted(changed)) if vm.state != VmState.DONE}
        this.pools["vms"] = _replaced(vms, changed, found)
        for number in changed:
            before, after = vms.get(number), found.get(number)
            self._changed["hosts"] |= {vm.host_id for vm in (before, after) if vm and vm.host_id >= 0}
            if (before.nics if before else ()) != (after.nics if after else ()):
                this.pools.pop("networks", None)
        self._report("vms", this.pools["vms"])


def _once(this: _Round, key: object, read: Callable[[], Any]) -> Any:  # noqa: ANN401 - what `read` returns
    """Read; after a failure let others fail at once for a moment, instead of each waiting for oned."""
    until, error = this.failed.get(key, (0.0, OnedError()))
    if time.monotonic() < until:
        raise error.with_traceback(None)
    try:
        return read()
    except OnedError as failure:
        this.failed[key] = time.monotonic() + _AGAIN, failure
        raise


def _replaced(
    pool: Mapping[int, Any], changed: set[int] | frozenset[int], found: Mapping[int, Any]
) -> Mapping[int, Any]:
    """Return the pool with the changed objects as found; those not found are gone."""
    return {number: item for number, item in pool.items() if number not in changed} | dict(found)


def _vms(oned: Oned, numbers: list[int]) -> Iterator[model.Vm]:
    for start in range(0, len(numbers), _TOGETHER):
        wanted = ",".join(map(str, numbers[start : start + _TOGETHER]))
        for element in stream.pool(oned.source, "vmpool.infoset", wanted, True, tag="VM"):
            if (item := parse.safely(parse.vm, model.Vm, element)) is not None:
                yield item


def _hosts(oned: Oned, numbers: set[int]) -> Mapping[int, model.Host]:
    found = {}
    for number in sorted(numbers):
        try:
            element = stream.single(oned.source, "host.info", number, False)
        except NotFound:
            continue
        if (item := parse.safely(parse.host, model.Host, element)) is not None:
            found[item.id] = item
    return found
