"""A node with a real kernel and a hardware watchdog (i6300esb) under QEMU, on which the lease daemon runs."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import Self

from hooks.availability.lease import challenges
from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.exchange import Exchange, Names, Peer
from tests.lab.vm import _entry as entry

HERE = Path(__file__).parent
DAEMON = HERE.parents[1] / "hooks/availability/lease/onext_lease"
SOFTWARE = Path(".cache/lab/watchdog")  # kernel and modules (tests/packages.sh)
MODULES = ("watchdog", "i6300esb", "e1000")  # in this order
_SONAME = re.compile(r"(/.*\.so\.\d+)\.[\d.]+")  # by which the loader looks a library up
HOST, KEY = 7, b"k" * 32
PORT = 4129
# What the daemon loads: its modules, and the libraries that are mapped then.
_LOADED = """
import sys; sys.path.insert(0, {0!r})
import onext_lease.daemon, ctypes, encodings.ascii, encodings.latin_1, encodings.idna
for module in list(sys.modules.values()):
    print(getattr(module, "__file__", None) or "")
print("\\n".join(line.split()[-1] for line in open("/proc/self/maps") if ".so" in line))
"""


def build_initrd(folder: Path) -> Path:
    """Pack this Python, the daemon, the modules of the kernel, and the first process."""
    binary = folder / "init"
    subprocess.run(["gcc", "-O2", "-static", "-o", str(binary), str(HERE / "watchdog_init.c")], check=True)
    python = Path(sys.executable).resolve()
    code = _LOADED.format(str(DAEMON.parent))
    done = subprocess.run(
        [str(python), "-E", "-s", "-S", "-B", "-c", code], capture_output=True, text=True, check=True
    )
    names = {name for name in done.stdout.split("\n") if name.startswith("/") and Path(name).is_file()}
    files = {name: Path(name).read_bytes() for name in sorted(names)}
    files |= {found[1]: files[name] for name in list(files) if (found := _SONAME.fullmatch(name))}
    files["/lib64/ld-linux-x86-64.so.2"] = Path("/lib64/ld-linux-x86-64.so.2").read_bytes()
    modules = [(SOFTWARE / f"{name}.ko").read_bytes() for name in MODULES]
    files |= {f"/modules/{n}-{MODULES[n]}.ko": module for n, module in enumerate(modules)}
    files |= {str(python): python.read_bytes(), "/init": binary.read_bytes()}
    files["/etc/onext-lease.json"] = json.dumps({"host": HOST, "key": KEY.hex(), "port": PORT}).encode()
    start = (
        f"import sys; sys.path.insert(0, {str(DAEMON.parent)!r}); from onext_lease.daemon import main; main()"
    )
    files["/daemon"] = f"#!{python} -B\n{start}\n".encode()
    initrd = folder / "initrd.gz"
    initrd.write_bytes(gzip.compress(_archive(files), 1))
    return initrd


def _archive(files: dict[str, bytes]) -> bytes:
    folders = {str(parent) for name in files for parent in Path(name).parents} | {"/dev", "/proc", "/sys"}
    parts = [entry(name.lstrip("/"), 0o040755) for name in sorted(folders - {"/"})]
    parts.append(entry("dev/console", 0o020600, device=(5, 1)))
    parts += [entry(name.lstrip("/"), 0o100755, data) for name, data in files.items()]
    return b"".join([*parts, entry("TRAILER!!!", 0)])


def free_port() -> int:
    """Return a UDP port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        return int(channel.getsockname()[1])


@dataclass
class WatchdogNode:
    """The node, and this side's grants to it."""

    folder: Path
    initrd: Path
    lease: float
    signal: int = 0
    after: int = 3
    epoch: int = 0
    granted: float = 0.0  # when the last grant was sent
    names: Names = field(default_factory=Names)

    def __enter__(self) -> Self:
        """Start QEMU."""
        port = free_port()
        self.peer = Peer(HOST, KEY, ("127.0.0.1", port))
        self.console = self.folder / "console"
        words = f"console=ttyS0 quiet panic=-1 signal={self.signal} after={self.after}"
        self.process = subprocess.Popen(
            [
                "qemu-system-x86_64", "-accel", "tcg", "-cpu", "Nehalem", "-m", "256", "-display", "none",
                "-kernel", str(SOFTWARE / "vmlinuz"), "-initrd", str(self.initrd), "-append", words,
                "-serial", f"file:{self.console}", "-monitor", "none", "-no-reboot",
                "-device", "i6300esb", "-action", "watchdog=reset",
                "-netdev", f"user,id=n,hostfwd=udp:127.0.0.1:{port}-10.0.2.15:{PORT}",
                "-device", "e1000,netdev=n,romfile=",
            ]
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        """End QEMU."""
        self.process.kill()
        self.process.wait()

    def ask(self) -> Challenge | None:
        """Return the daemon's answer."""
        with Exchange(self.names) as exchange:
            return dict(exchange.ask({HOST: self.peer})).get(HOST)

    def grant(self) -> Challenge | None:
        """Ask, and grant what answers."""
        with Exchange(self.names) as exchange:
            answered = dict(exchange.ask({HOST: self.peer})).get(HOST)
            if answered is not None:
                self.epoch += 1
                self.granted = time.monotonic()
                data = challenges.grant(KEY, HOST, answered, self.epoch, self.lease)
                exchange.send(self.peer, data)
            return answered

    def grant_for(self, seconds: float, every: float = 5.0) -> bool:
        """Grant as the front-end does; return whether the node still runs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.runs():
            self.grant()
            time.sleep(every)
        return self.runs()

    def arm(self, patience: float) -> None:
        """Grant until the watchdog is held."""
        end = time.monotonic() + patience
        while time.monotonic() < end and self.runs():
            answered = self.grant()
            if answered is not None and answered.held:
                return
            time.sleep(1.0)
        raise AssertionError(f"not armed: {self.text()[-2000:]}")

    def text(self) -> str:
        """Return what the console shows."""
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def runs(self) -> bool:
        """Return whether the node was not reset yet."""
        return self.process.poll() is None

    def wait_for(self, words: str, patience: float) -> float:
        """Return when the console showed these words."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if words in self.text():
                return time.monotonic()
            time.sleep(0.1)
        raise AssertionError(f"{words!r} did not come: {self.text()[-2000:]}")

    def wait_for_reset(self, patience: float) -> float:
        """Return when the node was reset."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it was not reset: {self.text()[-2000:]}") from None
        return time.monotonic()


def why_not() -> str:
    """Return why it cannot run here, "" when it can."""
    if os.uname().machine != "x86_64":
        return "x86_64 only"
    return "" if (SOFTWARE / "vmlinuz").exists() else f"no kernel in {SOFTWARE} (sh tests/packages.sh)"
