"""The pools as oned filters them for a caller, read once for the requests of a few seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.callers import Caller
from gateway.oned_calls import OnedCalls
from gateway.short_cache import ShortCache
from onext.cloud import model, parse
from onext.cloud.model import Cluster, Host, Vm
from onext.cloud.reader import PoolCall

SECONDS = 5.0
_MOST = 64  # pools in memory: one of 10,000 VMs takes about 40 MB


_POOLS: Mapping[str, PoolCall] = {
    "host": PoolCall("hostpool.info", (), "HOST", parse.host, model.Host),
    # -2: all that the user may use, as `onevm list` asks; -1: every state but DONE
    "vm": PoolCall("vmpool.info", (-2, -1, -1, -1), "VM", parse.vm, model.Vm),
    "cluster": PoolCall("clusterpool.info", (), "CLUSTER", parse.cluster, model.Cluster),
}


class Pools:
    """Pools by kind and credential."""

    def __init__(self, calls: OnedCalls) -> None:
        self._calls = calls
        self._known: ShortCache[Mapping[int, Any]] = ShortCache(SECONDS, _MOST)

    async def hosts(self, caller: Caller, max_age: float = SECONDS) -> Mapping[int, Host]:
        """Return the hosts that the caller may use."""
        return await self._pool("host", caller, max_age)

    async def vms(self, caller: Caller, max_age: float = SECONDS) -> Mapping[int, Vm]:
        """Return the VMs that the caller may use, without those that are DONE."""
        return await self._pool("vm", caller, max_age)

    async def clusters(self, caller: Caller, max_age: float = SECONDS) -> Mapping[int, Cluster]:
        """Return the clusters that the caller may use."""
        return await self._pool("cluster", caller, max_age)

    async def vm(self, caller: Caller, number: int) -> bytes:
        """Return one VM with all its history records, in plain form."""
        return await self._calls.single(caller.credential, "vm.info", number, False)

    async def host(self, caller: Caller, number: int) -> bytes:
        """Return one host in plain form."""
        return await self._calls.single(caller.credential, "host.info", number, False)

    async def _pool(self, kind: str, caller: Caller, max_age: float) -> Mapping[int, Any]:
        pool, credential = _POOLS[kind], caller.credential

        def read(elements: Iterator[bytes]) -> Mapping[int, Any]:
            items = (parse.safely(pool.read, pool.kind, element) for element in elements)
            return {item.id: item for item in items if item is not None}

        async def ask() -> Mapping[int, Any]:
            return await self._calls.pool(credential, pool.method, pool.arguments, pool.tag, read)

        return await self._known.get((kind, credential.digest), ask, max_age)
