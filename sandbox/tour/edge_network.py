"""Two machines with networks of their own, far apart: a front-end and a node, for root only."""

import contextlib
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

from sandbox.tour.stage import Stage

FRONT, NODE = "130.237.28.41", "193.0.6.140"  # of two well-known institutes, in namespaces only
_PROGRAMS = ("ip", "wg", "nft", "unshare", "nsenter", "sshd", "ssh-keygen", "wireguard-go")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINE = (
    "mount -t tmpfs tmpfs /run && mkdir /run/wireguard /run/sshd && ip link set lo up && exec sleep infinity"
)


def possible() -> bool:
    """Whether namespaces can be made here, and WireGuard runs in them."""
    if os.geteuid() != 0 or not all(shutil.which(name, path=_PATH) for name in _PROGRAMS):
        return False
    made = subprocess.run(["unshare", "--net", "--mount", "--uts", "true"], capture_output=True, check=False)
    return made.returncode == 0 and Path("/dev/net/tun").exists()


def _sleeps(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")


class Machines:
    """The two machines, connected by a virtual cable."""

    def __init__(self, stage: Stage) -> None:
        self.hub: subprocess.Popen[str] | None = None
        self._holders = [
            stage.leave_running(
                "unshare", "--net", "--mount", "--uts", "sh", "-c", _MACHINE, cwd=stage.folder
            )
            for _ in range(2)
        ]
        stage.endings.append(self.end)
        for holder in self._holders:
            stage.until("a machine starts", partial(_sleeps, holder.pid))
        self._run(
            self.front(
                "ip",
                "link",
                "add",
                "wan",
                "type",
                "veth",
                "peer",
                "name",
                "wan",
                "netns",
                str(self._holders[1].pid),
            )
        )
        for inside, own, other in ((self.front, FRONT, NODE), (self.node, NODE, FRONT)):
            self._run(inside("ip", "address", "add", f"{own}/32", "dev", "wan"))
            self._run(inside("ip", "link", "set", "wan", "up"))
            self._run(inside("ip", "route", "add", f"{other}/32", "dev", "wan", "src", own))

    def front(self, *words: str) -> tuple[str, ...]:
        """Return the command that runs something on the front-end."""
        return self._inside(0, *words)

    def node(self, *words: str) -> tuple[str, ...]:
        """Return the command that runs something on the node."""
        return self._inside(1, *words)

    def _inside(self, which: int, *words: str) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self._holders[which].pid), "-n", "-m", "-u", "--", *words)

    def _run(self, command: tuple[str, ...]) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    def end(self) -> None:
        """End the tunnels: wireguard-go ends with its interface."""
        if self.hub is not None:
            self.hub.kill()
            self.hub.wait()
        for inside in (self.front, self.node):
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                self._run(inside("ip", "link", "delete", "onext-edge"))
