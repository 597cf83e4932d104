"""onext-lease: this node runs VMs only while the front-end grants it. Standard library only; Python 3.6.

Root starts it from /usr/local/lib/onext-lease (systemd unit onext-lease.service). It listens for the
front-end, opens the hardware watchdog once the first grant came, and feeds it while a grant counts. When none
does, it ends the VMs and lets the node reset. It never closes the watchdog, so that the node also resets
when this program is killed or stopped.
"""

import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import List, Optional

from .lease import LARGEST, Lease

CONFIG = "/etc/onext-lease.json"
SHORTEST, LONGEST = 4, 30  # seconds of the watchdog
_SET_TIMEOUT, _GET_TIMEOUT = 0xC0045706, 0x80045707  # WDIOC_SETTIMEOUT, WDIOC_GETTIMEOUT
_SOFTWARE = "software watchdog"
_VMS = ("qemu", "kvm")
_STEP = 1.0  # seconds between two readings of the clock, at most


def now() -> int:
    """Return ms of a clock that also counts while the machine is suspended."""
    return int(time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", 7)) * 1000)


class Node:
    """What the program reads and changes of this machine; below `root` in tests."""

    def __init__(self, root: str = "/", device: str = "watchdog0") -> None:
        self.root, self.device = root, device
        self._watchdog = -1

    def path(self, *names: str) -> str:
        """Return a path of this machine."""
        return os.path.join(self.root, *names)

    def text(self, *names: str) -> str:
        """Return a small file of the kernel's, empty where there is none."""
        try:
            with open(self.path(*names)) as file:
                return file.read(4096).strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def write(self, text: str, *names: str) -> None:
        """Write a file of the kernel's; what it refuses shows when it is read."""
        try:
            with open(self.path(*names), "w") as file:
                file.write(text)
        except OSError as error:
            log(f"{self.path(*names)}: {error.strerror}")

    def boot_id(self) -> str:
        """Return the id of this boot."""
        return self.text("proc", "sys", "kernel", "random", "boot_id")

    def unfit(self) -> str:
        """Return why the watchdog cannot reset this node for sure, empty where it can."""
        folder = ("sys", "class", "watchdog", self.device)
        identity = self.text(*folder, "identity")
        if not identity:
            return f"no hardware watchdog: /sys/class/watchdog/{self.device} is not there"
        if _SOFTWARE in identity.lower():
            return "softdog does not count: it ends with the kernel"
        if self.text(*folder, "nowayout") != "1":
            self.write("1", *folder, "nowayout")
        if self.text(*folder, "nowayout") != "1":
            return "the watchdog can be stopped: load its module with nowayout=1"
        shortest = self.text(*folder, "min_timeout")
        if shortest.isdigit() and int(shortest) > LONGEST:
            return f"the watchdog takes {shortest} s at least, more than {LONGEST} s"
        return ""

    def hold(self, seconds: int) -> int:
        """Open the watchdog with this timeout and return the one that it took, in ms; raise OSError."""
        self._watchdog = os.open(self.path("dev", self.device), os.O_WRONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(self._watchdog, _SET_TIMEOUT, struct.pack("i", seconds))
        except OSError as error:
            log(f"the watchdog keeps its own timeout: {error.strerror}")
        answer = fcntl.ioctl(self._watchdog, _GET_TIMEOUT, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0]) * 1000

    def feed(self) -> None:
        """Put the reset off by the watchdog's timeout; never writes its letter for stopping, V."""
        try:
            os.write(self._watchdog, b"\0")
        except OSError as error:
            log(f"the watchdog was not fed: {error.strerror}")

    def vms(self) -> List[int]:
        """Return the process ids of VMs."""
        numbers = [int(name) for name in os.listdir(self.path("proc")) if name.isdigit()]
        return [pid for pid in numbers if pid != os.getpid() and self._is_vm(pid)]

    def _is_vm(self, pid: int) -> bool:
        try:
            program = os.path.basename(os.readlink(self.path("proc", str(pid), "exe")))
        except OSError:
            return False
        return program.startswith(_VMS)

    def end(self) -> None:
        """End the VMs, and reset without waiting for the watchdog, which does it anyway."""
        for pid in self.vms():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError as error:
                log(f"process {pid}: {error.strerror}")
        self.write("b", "proc", "sysrq-trigger")


def log(text: str) -> None:
    """Write a line to the journal."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Daemon:
    """Answers the front-end and feeds the watchdog, one thing after the other."""

    def __init__(self, node: Node, lease: Lease) -> None:
        self.node, self.lease = node, lease
        self._said = ""
        self._slow = False  # the watchdog is open, and takes too long to count

    def step(self, data: Optional[bytes]) -> Optional[bytes]:
        """Take one datagram, or None, feed or end, and return the reply."""
        reply = self.lease.answer(data, now()) if data is not None else None
        if not self.lease.held and not self._slow and self.lease.granted(now()):
            self._hold()
        self._feed()
        return reply

    def _feed(self) -> None:
        if self._slow or self.lease.feeds(now()):
            self.node.feed()
        elif self.lease.ended:
            self._say("the lease ended: VMs are killed and this node resets")
            self.node.end()

    def _hold(self) -> None:
        reason = self.node.unfit()
        if not reason:
            wanted = min(LONGEST, max(SHORTEST, self.lease.lease // 6000))
            try:
                reason = self._held(self.node.hold(wanted))
            except OSError as error:
                reason = f"the watchdog cannot be opened: {error.strerror}"
        self.lease.reason = reason
        if reason:
            self._say("not armed: " + reason)

    def _held(self, taken: int) -> str:
        """Take over an open watchdog of so many ms; return why it does not count, empty where it does.

        It cannot be closed: one that does not count is fed without grants, so that this node runs on.
        """
        self._slow = taken > LONGEST * 1000
        if self._slow:
            return f"the watchdog takes {taken} ms, more than {LONGEST} s"
        self.lease.watchdog, self.lease.held = taken, True
        self._say(f"armed: the watchdog resets after {taken} ms")
        notify("READY=1")
        return ""

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            log(text)


def notify(text: str) -> None:
    """Tell systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError as error:
            log(f"systemd was not told: {error.strerror}")


def listen(port: int) -> socket.socket:
    """Return a socket for IPv6 and IPv4, or for IPv4 alone where the kernel has no IPv6."""
    try:
        channel = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        channel.bind(("::", port))
    except OSError:
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.bind(("0.0.0.0", port))  # noqa: S104 - sealed messages only
    channel.setblocking(False)
    return channel


def serve(daemon: Daemon, channel: socket.socket) -> None:
    """Work until the end of the node."""
    while True:
        step = min(_STEP, daemon.lease.watchdog / 5000.0) if daemon.lease.watchdog else _STEP
        select.select([channel], [], [], step)
        try:
            data, sender = channel.recvfrom(LARGEST + 1)
        except OSError:
            daemon.step(None)
            continue
        reply = daemon.step(data)
        if reply is not None:
            try:
                channel.sendto(reply, sender)
            except OSError as error:
                log(f"no reply: {error.strerror}")


def lock_memory() -> None:
    """Keep the program in memory: what has to be read from disk first may come too late."""
    try:
        import ctypes

        ctypes.CDLL(None).mlockall(3)  # MCL_CURRENT | MCL_FUTURE
    except (ImportError, OSError, AttributeError) as error:
        log(f"the memory is not locked: {error}")


def main() -> None:
    """Read the configuration and serve."""
    root = sys.argv[1] if len(sys.argv) > 1 else "/"
    with open(os.path.join(root, CONFIG[1:])) as file:
        config = json.load(file)
    port = int(config["port"])
    node = Node(root, os.path.basename(config.get("watchdog", "watchdog0")))
    lock_memory()
    session = "{:032x}".format(int.from_bytes(os.urandom(16), "big"))
    lease = Lease(int(config["host"]), bytes.fromhex(config["key"]), session, node.boot_id())
    log(f"host {lease.host}: waiting for a grant on UDP port {port}")
    serve(Daemon(node, lease), listen(port))


if __name__ == "__main__":
    main()
