"""A node whose daemon serves a channel in a thread, and whose watchdog only counts."""

from __future__ import annotations

import socket
import threading
from functools import partial

import pytest

from hooks.availability.lease.onext_lease import daemon as node_daemon
from hooks.availability.lease.onext_lease.daemon import Daemon, Node
from hooks.availability.lease.onext_lease.lease import Lease
from tests.ending import end_at_next_call


class CountingNode(Node):
    """Counts what it is told, and does nothing to this machine."""

    fed = ends = 0

    def unfit(self) -> str:
        """Return that it can be used."""
        return ""

    def hold(self, seconds: int) -> int:
        """Take the timeout."""
        return seconds * 1000

    def feed(self) -> None:
        """Count."""
        self.fed += 1

    def end(self) -> None:
        """Count."""
        self.ends += 1


def serve(node: CountingNode, lease: Lease, channel: socket.socket, request: pytest.FixtureRequest) -> Daemon:
    """Start a daemon, which ends with the test."""
    daemon = Daemon(node, lease)
    serving = threading.Thread(target=node_daemon.serve, args=(daemon, channel), daemon=True)
    serving.start()
    request.addfinalizer(partial(end_at_next_call, serving, daemon, "step"))
    return daemon
