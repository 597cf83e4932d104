"""The laboratory's VM: a Linux kernel and one static program, its memory full of a marker, its clock on the serial port."""

import gzip
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import Self

HERE = Path(__file__).parent


def build_initrd(folder: Path, program: str = "vm_init.c") -> Path:
    """Compile the VM's program and pack it as an initramfs (cpio, newc)."""
    binary = folder / "init"
    subprocess.run(["gcc", "-O2", "-static", "-o", str(binary), str(HERE / program)], check=True)
    archive = _entry("dev", 0o040755) + _entry("dev/ttyS0", 0o020600, device=(4, 64))
    archive += _entry("init", 0o100755, binary.read_bytes()) + _entry("TRAILER!!!", 0)
    initrd = folder / "initrd.gz"
    initrd.write_bytes(gzip.compress(archive, 1))
    return initrd


def _entry(
    name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0), changed: int = 0
) -> bytes:
    fields = (0, mode, 0, 0, 1, changed, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + "".join(f"{one:08X}" for one in fields).encode() + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


@dataclass
class VM:
    """One virtual machine; its serial port is a file that both nodes see."""

    name: str
    folder: Path
    kernel: Path
    initrd: Path
    memory: int = 128
    fill: int = 48
    dirty: int = 1
    marker: str = "ONEXT-LAB-MARKER"
    disk: str = ""

    @property
    def serial(self) -> Path:
        """Return the file behind the serial port."""
        return self.folder / f"{self.name}.serial"

    @property
    def number(self) -> str:
        """Return OpenNebula's id of the VM, which names its folder in a datastore."""
        return self.name.partition("-")[2]

    def xml(self) -> str:
        """Return libvirt's definition.

        Nehalem: under emulation a Linux VM on QEMU's default model loses itself in long migrations, tunnel or not.
        """
        arguments = f"console=ttyS0 quiet panic=-1 clocksource=acpi_pm fill={self.fill} dirty={self.dirty} marker={self.marker}"
        disk = (
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{self.disk}'/>"
            "<target dev='vda' bus='virtio'/></disk>"
            if self.disk
            else ""
        )
        return f"""<domain type='qemu'><name>{self.name}</name><memory unit='MiB'>{self.memory}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{self.kernel}</kernel><initrd>{self.initrd}</initrd>
<cmdline>{arguments}</cmdline></os><features><acpi/></features><cpu mode='custom' match='exact'><model>Nehalem</model></cpu>
<on_poweroff>destroy</on_poweroff><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<serial type='file'><source path='{self.serial}' append='on'/></serial>{disk}
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""

    def ticks(self) -> int:
        """Return the last counter that the VM wrote, 0 before the first."""
        try:
            with self.serial.open("rb") as file:
                file.seek(max(0, self.serial.stat().st_size - 200))
                found = re.findall(rb"tick (\d+)\r?\n", file.read())
        except FileNotFoundError:
            return 0
        return int(found[-1]) if found else 0


@dataclass
class ClockWatch:
    """Measures from outside the longest time for which the VM's clock stops."""

    vm: VM
    longest: float = 0.0
    blind: float = 0.0  # the watcher's own longest pause: a busy machine starves it too
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Start watching."""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        last, moved = self.vm.ticks(), time.monotonic()
        seen = moved
        while not self._end.wait(0.01):
            now, tick = time.monotonic(), self.vm.ticks()
            self.longest, self.blind = max(self.longest, now - moved), max(self.blind, now - seen)
            seen = now
            if tick != last:
                last, moved = tick, now
