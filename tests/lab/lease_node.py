# ruff: noqa: ARG002, PTH118 - as the daemon itself
"""The lease daemon on a laboratory node. Its watchdog is a pipe to tests/lab/watchdog_stand_in.py; the rest is real.

The VMs that it ends are the node's QEMU processes. Runs beside a copy of onext_lease, with the node's python3.
Called as: lease_node.py FOLDER, which holds etc/onext-lease.json and the pipe `watchdog`.
"""

import os
import sys

from onext_lease import daemon  # type: ignore[import-not-found]

PIPE = os.path.join(sys.argv[1], "watchdog")


class LaboratoryNode(daemon.Node):  # type: ignore[misc]
    """The machine, of which only the watchdog is replaced."""

    def __init__(self, root: str, device: str) -> None:
        super().__init__("/", device)  # the node's own /proc: `root` only holds the configuration

    def unfit(self) -> str:
        """Return that it can be used."""
        return ""

    def hold(self, seconds: int) -> int:
        """Give the watchdog its timeout."""
        self._watchdog = os.open(PIPE, os.O_WRONLY)
        os.write(self._watchdog, b"%d\n" % seconds)
        return seconds * 1000

    def feed(self) -> None:
        """Feed it."""
        os.write(self._watchdog, b"feed\n")

    def write(self, text: str, *names: str) -> None:
        """Let the watchdog reset the node at once, where the real daemon asks the kernel: that is the machine's."""
        assert names == ("proc", "sysrq-trigger"), names
        os.write(self._watchdog, b"reset\n")


def main() -> None:
    """Serve as the daemon does."""
    daemon.Node = LaboratoryNode
    daemon.main()


main()
