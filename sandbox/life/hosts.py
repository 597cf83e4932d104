"""Monitoring of hosts: first messages, their rounds, and the hosts that stopped sending them."""

import time
from functools import partial
from typing import TYPE_CHECKING

from sandbox.state.host import Host
from sandbox.state.names import HostState

if TYPE_CHECKING:
    from sandbox.frontend import FrontEnd


class HostLife:
    """Sends each host's messages; what they change is decided in `Host`."""

    def __init__(self, front: "FrontEnd") -> None:
        self._front = front

    def start(self) -> None:
        """Begin the rounds."""
        self._front.timeline.every(self._front.pace.monitor, self.round)

    def expect(self, host: Host) -> None:
        """Let the first message come: a host is new, or was enabled."""
        self._front.timeline.later(self._front.pace.step, partial(self.first_message, host.id))

    def first_message(self, oid: int) -> None:
        """Take the host's first message, or note its absence."""
        with self._front.lock:
            host = self._front.world.hosts.find(oid)
            if host is None or host.state == HostState.OFFLINE:
                return
            if host.machine.alive:
                self._message(host)
            else:
                self._silent(host)

    def round(self) -> None:
        """Take a message of every host that is monitored."""
        with self._front.lock:
            for host in self._front.world.hosts:
                if host.state == HostState.OFFLINE:
                    continue
                if host.machine.alive:
                    self._message(host)
                elif self._age(host) > self._front.pace.give_up * self._front.pace.monitor:
                    self._silent(host)

    def _message(self, host: Host) -> None:
        known = host.state in (HostState.MONITORED, HostState.DISABLED) and host.share.total_cpu > 0
        if not known:
            host.learn(self._front.reserved_of(host))
        host.measure(self._front.pace.keep)
        self._front.vm_life.synchronise(host)
        host.touch_monitoring()
        if not known:
            self._front.host_changed(host)

    def _silent(self, host: Host) -> None:
        if host.state != HostState.ERROR:
            self._front.log.write("E", "ONE", f"Error monitoring Host {host.name} ({host.id}): ")
            host.fail("")
            self._front.host_changed(host)
            self._front.vm_life.host_died(host)

    def _age(self, host: Host) -> float:
        return time.time() - (host.records[-1][0] if host.records else self._front.started)
