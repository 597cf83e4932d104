"""A machine whose kernel has WireGuard: QEMU with Debian's kernel, and the programs of this machine.

Its /etc is a disk, so that it keeps what a reboot keeps. A person logs in from the network that it is plugged into.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.fixtures_sandbox import ROOT
from tests.lab import edge_network
from tests.lab.conftest import KERNEL
from tests.lab.edge_network import Network
from tests.lab.vm import _entry as entry
from tests.waiting import PATIENCE, until

HERE = Path(__file__).parent
MODULES = Path(".cache/lab/modules")  # of the kernel (tests/packages.sh)
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = ("sh", "ln", "sync", "mount", "kmod", "ip", "wg", "nft", "setpriv", "sshd", "ssh-keygen")
TOOLS = ("qemu-system-x86_64", "depmod", "mkfs.ext4", "ldd")
_PARTS_OF_SSHD = "usr/lib/openssh/sshd-*"  # of OpenSSH 9.8 and later
EMULATION = 5 * PATIENCE  # a machine without acceleration, on a busy one
_LEFT_OUT = (
    "test",
    "idlelib",
    "tkinter",
    "lib2to3",
    "ensurepip",
    "site-packages",
    "dist-packages",
    "config-*",
)
_LIBRARY = re.compile(r"(/\S+) \(0x")
_SSHD = """Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/administrator.pub
PermitRootLogin prohibit-password
PidFile /run/sshd.pid
UsePAM no
StrictModes no
"""
_ACCOUNTS = "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n"


def why_not() -> str:
    """Return why it cannot run here, empty when it can."""
    if os.uname().machine != "x86_64":
        return "x86_64 only"
    missing = [name for name in (*PROGRAMS, *TOOLS) if not shutil.which(name, path=PATH)]
    missing += [str(path) for path in (KERNEL, MODULES) if not path.exists()]
    return f"not there (sh tests/packages.sh): {', '.join(missing)}" if missing else ""


def require(config: pytest.Config) -> None:
    """Skip a test outside `make lab`, and where it cannot run; on a machine of CI the latter fails."""
    if config.getoption("lab") != "all":
        pytest.skip("minutes of emulation: make lab")
    reason = edge_network.why_not() or why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def build_initrd(folder: Path, program: Path) -> Path:
    """Pack programs with their libraries, this Python, the kernel's modules and the node program."""
    root = folder / "root"
    for place in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / place).mkdir(parents=True)
        (root / place).symlink_to(f"usr/{place}")
    for place in ("dev", "etc", "proc", "root", "run/sshd", "sys", "tmp"):
        (root / place).mkdir(parents=True)
    python = Path(sys.executable).resolve()
    for name in PROGRAMS:
        _copy(root, Path(str(shutil.which(name, path=PATH))))
    for file in (python, *Path("/").glob(_PARTS_OF_SSHD)):
        _copy(root, file)
    library = Path(sysconfig.get_path("stdlib")).resolve()
    shutil.copytree(library, root / library.relative_to("/"), ignore=shutil.ignore_patterns(*_LEFT_OUT))
    for extension in (library / "lib-dynload").glob("*.so"):
        _copy_libraries(root, extension)
    (root / "usr/bin/python3").symlink_to(python)
    for name in ("modprobe", "modinfo"):
        (root / "usr/sbin" / name).symlink_to(shutil.which("kmod", path=PATH) or "")
    shutil.copytree(MODULES, root / "lib/modules")
    subprocess.run(["depmod", "-b", str(root), next(MODULES.iterdir()).name], check=True)
    shutil.copy(program, root / "onext-edge.pyz")
    for package in ("hooks", "onext", "edge"):  # of which the hub needs little, and the standard library
        shutil.copytree(
            ROOT / package, root / "onext" / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(HERE / "edge_guest_init.sh", root / "init")
    (root / "init").chmod(0o755)
    return _pack(root, folder / "initrd")


def _copy(root: Path, file: Path) -> None:
    """Copy a program under the name by which it is called, and its libraries."""
    place = root / file.relative_to("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place)
    _copy_libraries(root, file)


def _copy_libraries(root: Path, file: Path) -> None:
    done = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)
    for name in _LIBRARY.findall(done.stdout):
        place = root / name.lstrip("/")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, place)


def _pack(root: Path, archive: Path) -> Path:
    """Write a folder as an initramfs; with the times of its files, by which Python knows compiled ones."""
    with archive.open("wb") as file:
        for path in sorted(root.rglob("*")):
            found = path.lstat()
            data = b""
            if path.is_symlink():
                data = bytes(path.readlink())
            elif path.is_file():
                data = path.read_bytes()
            name = str(path.relative_to(root))
            file.write(entry(name, found.st_mode, data, changed=int(found.st_mtime)))
        file.write(entry("dev/console", 0o020600, device=(5, 1)) + entry("TRAILER!!!", 0))
    return archive


class Guest:
    """A virtual machine behind a NAT."""

    def __init__(self, net: Network, name: str, nat: str, number: int, initrd: Path) -> None:
        self.net, self.name, self.lan, self.initrd = net, name, net.nats[nat], initrd
        self.address = f"192.168.1.{number}"
        self.folder = net.folder / f"guest-{name}"
        self.key, self.console = self.folder / "administrator", self.folder / "console"
        etc = self.folder / "etc"
        (etc / "ssh/sshd_config.d").mkdir(parents=True)
        for key in (self.key, etc / "ssh/ssh_host_ed25519_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        shutil.copy(self.key.with_suffix(".pub"), etc / "ssh")
        (etc / "ssh/sshd_config").write_text(_SSHD)
        (etc / "passwd").write_text(_ACCOUNTS)
        (etc / "address").write_text(f"{self.address}/24\n")
        self.disk = self.folder / "disk"
        subprocess.run(["mkfs.ext4", "-q", "-d", str(etc), str(self.disk), "16M"], check=True)

    def start(self) -> None:
        """Plug it in, start it, and wait until a person can log in."""
        self.lan.run("ip", "tuntap", "add", self.name, "mode", "tap")
        self.lan.run("ip", "link", "set", self.name, "master", "lan", "up")
        self.lan.start(
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "Nehalem", "-m", "512", "-display", "none",
            "-kernel", str(KERNEL.absolute()), "-initrd", str(self.initrd), "-append", "console=ttyS0 quiet panic=-1",
            "-serial", f"file:{self.console}", "-monitor", "none",
            "-drive", f"file={self.disk},if=virtio,format=raw",
            "-netdev", f"tap,id=n,ifname={self.name},script=no,downscript=no",
            "-device", "virtio-net-pci,netdev=n,romfile=",
        )  # fmt: skip
        until(self.started, "the guest's sshd", EMULATION)

    def started(self) -> str:
        """Return what is different after each start, empty while nobody can log in."""
        return self.run("read -r id </proc/sys/kernel/random/boot_id; echo $id", check=False)

    def run(self, *words: str, check: bool = True, seconds: float = EMULATION) -> str:
        """Return what a command prints that an administrator of the machine runs."""
        done = self.lan.run(*self._ssh(*words), check=False, seconds=seconds)
        shown = self.console.read_text(errors="replace")[-2000:] if check and done.returncode else ""
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr, shown)
        return done.stdout.strip()

    def put(self, file: Path, place: str, *, owner: int = 0) -> None:
        """Copy a file there, whole or not."""
        lines = (
            "import os, sys",
            f"place, new = '{place}', '{place}.new'",
            "open(new, 'wb').write(sys.stdin.buffer.read())",
            f"os.chmod(new, 0o600); os.chown(new, {owner}, {owner}); os.rename(new, place)",
        )
        script = 'exec "$@" <"$FILE"'
        words = self._ssh(f'python3 -c "{"; ".join(lines)}"')
        self.lan.run("env", f"FILE={file}", "sh", "-c", script, "sh", *words, seconds=EMULATION)

    def _ssh(self, *words: str) -> list[str]:
        options = ["BatchMode=yes", "ConnectTimeout=10", "LogLevel=ERROR"]
        options += ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
        given = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "/dev/null", "-i", str(self.key), *given, f"root@{self.address}", *words]

    def edge(self, *words: str) -> str:
        """Run the node program."""
        return self.run("python3", "-I", "/onext-edge.pyz", "--account", "root", *words)

    def keep(self, *words: str) -> None:
        """Start what runs on."""
        self.lan.start(*self._ssh(*words))

    def serve(self) -> None:
        """Start the tunnel's service, as the next start of the machine would."""
        self.keep("python3 -I /onext-edge.pyz --account root run")

    def reboot(self) -> None:
        """Restart the machine, and wait until a person can log in again."""
        before = self.started()
        self.lan.start(*self._ssh("sync; echo b >/proc/sysrq-trigger"))
        until(lambda: self.started() not in ("", before), "the guest's next start", EMULATION)
