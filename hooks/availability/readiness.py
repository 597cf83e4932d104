"""ONEXT_HA_READY: whether a VM that was restarted is ready, so that the VMs of the next priority may start.

`port N`: one of its addresses accepts a TCP connection, asked from the front-end and from its new host.
`guest agent`: the agent in the VM answers its host. A number: that many seconds after it was found running.
What cannot be asked is not ready; GROUP_PAUSE ends the wait for the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

from hooks.availability.model import Cluster, Stage, Vm
from onext import bounds, process, ssh
from onext.cloud.snapshot import Cloud

TIMEOUT = 4.0  # seconds for one address
SSH_TIMEOUT = 10.0
AT_ONCE, MOST_ASKED, MOST_ADDRESSES = 8, 64, 4
_ACTIVE, _RUNNING = 3, 3
_CONNECT = 'exec 3<>"/dev/tcp/$1/$2"'
_PING = '{"execute":"guest-ping"}'
_ADDRESSES = ("IP", "IP6", "IP6_GLOBAL", "IP6_ULA", "EXTERNAL_IP")


@dataclass
class Readiness:
    """The time since which each restarted VM has been running, by the monotonic clock of this process."""

    monotonic: Callable[[], float] = time.monotonic
    _since: dict[tuple[int, int], float] = field(default_factory=dict)  # by VM and host
    _ready: set[tuple[int, int]] = field(default_factory=set)

    def fill(self, cluster: Cluster, cloud: Cloud, config: Path | None) -> Cluster:
        """Return the cluster with the answers of those VMs that an incident waits for."""
        wanted = self._wanted(cluster)
        self._ready &= wanted.keys()
        self._since = {key: self._since.get(key, self.monotonic()) for key in wanted}
        if not wanted:
            return cluster
        asked = [key for key in wanted if key not in self._ready][:MOST_ASKED]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = pool.map(lambda key: self._answers(wanted[key], cloud, config), asked)
            self._ready |= {key for key, answered in zip(asked, answers, strict=True) if answered}
        ready = {vm for vm, _ in self._ready}
        waited = {vm for vm, _ in wanted}
        return replace(
            cluster,
            vms=tuple(replace(vm, answers=vm.id in ready) if vm.id in waited else vm for vm in cluster.vms),
        )

    def _wanted(self, cluster: Cluster) -> Mapping[tuple[int, int], Vm]:
        vms = {vm.id: vm for vm in cluster.vms if vm.ready and (vm.state, vm.lcm) == (_ACTIVE, _RUNNING)}
        entries = (entry for one in cluster.incidents.values() for entry in one.entries)
        return {
            (entry.vm, entry.target): vms[entry.vm]
            for entry in entries
            if entry.stage is Stage.STARTED and entry.vm in vms and vms[entry.vm].host == entry.target
        }

    def _answers(self, vm: Vm, cloud: Cloud, config: Path | None) -> bool:
        if (seconds := bounds.whole(vm.ready, 1, 86_400)) is not None:
            return self.monotonic() - self._since[vm.id, vm.host] >= seconds
        host = cloud.hosts[vm.host].name if vm.host in cloud.hosts else ""
        if vm.ready == "guest agent":
            words = ["virsh", "--connect", "qemu:///system", "qemu-agent-command", f"one-{vm.id}", _PING]
            return bool(host) and _succeeds(host, words, config)
        port = bounds.whole(vm.ready.removeprefix("port "), 1, 65_535)
        addresses = list(_addresses(cloud, vm.id))[:MOST_ADDRESSES]
        return port is not None and any(_accepts(one, port, host, config) for one in addresses)


def _addresses(cloud: Cloud, number: int) -> Iterable[str]:
    """Return the valid addresses of a VM's interfaces."""
    vm = cloud.vms.get(number)
    found = [text for nic in vm.nics for name, text in nic.addresses if name in _ADDRESSES] if vm else []
    for text in dict.fromkeys(found):
        with suppress(ValueError):
            yield str(ip_address(text))


def _accepts(address: str, port: int, host: str, config: Path | None) -> bool:
    if asyncio.run(_connects(address, port)):
        return True
    words = ["timeout", "4", "bash", "-c", _CONNECT, "ask", address, str(port)]
    return bool(host) and _succeeds(host, words, config)


async def _connects(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), TIMEOUT)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True


def _succeeds(host: str, words: list[str], config: Path | None) -> bool:
    try:
        done = ssh.run(host, words, timeout=SSH_TIMEOUT, config=config, max_output=4096, check=False)
    except (process.CommandError, ValueError):
        return False
    return done.exit_code == 0
