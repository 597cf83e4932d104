"""METHOD = suspend: a host put to sleep by ssh and woken by a magic packet, without a BMC. Opt-in.

Needs on each node one more line for sudo, and wake on LAN switched on (`ethtool -s IFACE wol g`):

    oneadmin ALL=(root) NOPASSWD: /usr/bin/systemctl --no-block suspend

A host that sleeps is silent, and so is one that is broken: power() is ON or UNKNOWN, never OFF. That the host
took the order and then fell silent, which soft_off() waits for, is all the proof there is.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

from onext import process, ssh
from onext.hosts.bmc import controller
from onext.hosts.bmc.entry import Suspend
from onext.hosts.bmc.errors import Refused, Unreachable, WrongMachine
from onext.hosts.bmc.protocol import Identity, Power, Reading

_SUSPEND = ["sudo", "-n", "/usr/bin/systemctl", "--no-block", "suspend"]
_LINKS = ["ip", "-o", "link"]
_SIOCGIFBRDADDR = 0x8919  # linux/sockios.h
_DISCARD = 9  # the port that magic packets go to
_TIMEOUTS = 4.0  # time-outs in which a host has to fall silent
_SILENT = 2  # polls in a row without an answer


class SuspendedHost:
    """A host of an entry `kind: suspend`; `timeout` seconds for each login or look."""

    proves_off = False

    def __init__(
        self,
        host: int,
        entry: Suspend,
        timeout: float,
        ssh_config: Path | None = None,
        unchanged: Callable[[], None] = lambda: None,
    ) -> None:
        self._host, self._entry, self._timeout, self._config = host, entry, timeout, ssh_config
        self._unchanged = unchanged

    def power(self) -> Reading:
        """Return ON when its ssh server greets, else UNKNOWN."""
        return controller.power(self._host, self._entry, self._timeout, self._unchanged)

    def switch_on(self) -> None:
        """Send the magic packet; raise Refused where this front-end has no way to send it."""
        self._unchanged()
        wake(self._entry.mac, self._entry.interface)

    def soft_off(self) -> None:
        """Put the host to sleep, if it is the one with this address; return when it is silent."""
        self._unchanged()
        self.identity()
        self._run(_SUSPEND, "it was not suspended (is the line for sudo there?)")
        ends, silent = time.monotonic() + _TIMEOUTS * self._timeout, 0
        while time.monotonic() < ends:
            silent = 0 if self.power().power is Power.ON else silent + 1
            if silent >= _SILENT:
                return
            time.sleep(1.0)
        raise Refused("it accepted the order to sleep, and still answers")

    def hard_off(self, not_after: float = inf) -> None:  # noqa: ARG002 - every Bmc has it
        """Refuse: without a BMC its power cannot be cut."""
        raise Refused("it has no BMC: its power cannot be cut")

    def identity(self) -> Identity:
        """Return the address of the interface that wakes it; raise WrongMachine if the host has none such."""
        links = self._run(_LINKS, "it cannot be reached by ssh").decode("utf-8", "replace").lower().split()
        if self._entry.mac.lower() not in links:
            raise WrongMachine(f"it has no interface {self._entry.mac}: nothing would wake it")
        return Identity(serial=self._entry.mac.lower())

    def watts(self) -> float | None:
        """Return None: the host has no meter."""
        return None

    def _run(self, words: list[str], failed: str) -> bytes:
        try:
            return ssh.run(str(self._entry.address), words, timeout=self._timeout, config=self._config).stdout
        except process.CommandError as error:
            raise Unreachable(f"{failed}: exit code {error.exit_code}") from error


def wake(mac: str, interface: str) -> None:
    """Send a magic packet (AMD, Magic Packet Technology) to all in the network of `interface`."""
    packet = b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            request = struct.pack("256s", interface.encode())
            found = fcntl.ioctl(sender.fileno(), _SIOCGIFBRDADDR, request)
            sender.sendto(packet, (socket.inet_ntoa(found[20:24]), _DISCARD))
        except OSError as error:
            raise Refused(f"no packet can be sent from {interface}: {error.strerror}") from error
