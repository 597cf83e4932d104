"""Whether a host that is put to sleep by ssh is awake: its ssh server greets. Runs in the child only."""

from __future__ import annotations

import socket

from onext.hosts.bmc.errors import Refused
from onext.hosts.bmc.identity import Reported
from onext.hosts.bmc.job import Job, Order
from onext.hosts.bmc.watts import Draw

_TIMEOUT = 5.0  # seconds
_GREETING = b"SSH-"  # RFC 4253, 4.2


class SshProbe:
    """A connection to a host's ssh server, without a login."""

    def __init__(self, job: Job) -> None:
        with socket.create_connection((job.address, job.port), _TIMEOUT) as opened:
            opened.settimeout(_TIMEOUT)
            self._greeting = opened.recv(len(_GREETING))

    def power(self) -> str:
        """Return `on`; a host that does not greet is not off for that."""
        if self._greeting != _GREETING:
            raise Refused("it accepts connections, and its ssh server does not answer")
        return "on"

    def identity(self) -> Reported:
        """Return nothing: that takes a login, which is for orders."""
        return Reported()

    def order(self, order: Order) -> None:
        """Refuse: orders go by ssh and over the network."""
        raise Refused(f"{order} cannot be ordered from a host without a BMC")

    def watts(self, *, on: bool) -> Draw:  # noqa: ARG002 - every driver has it
        """Return nothing: the host has no meter."""
        return Draw()

    def privilege(self) -> bool | None:
        """Return None: a login would tell."""
        return None

    def close(self) -> None:
        """Nothing is kept open."""
