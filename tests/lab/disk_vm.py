"""A VM that writes records to a disk which every node sees, and what these records show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR, REGION = 512, 8192  # bytes; sectors for the records of one start (disk_init.c)
MOST_STARTS = 4
_RECORD = re.compile(rb"writer (\d+):(\d+):(\d+) after (?:-|(\d+):(\d+):(\d+))\n")


@dataclass(frozen=True)
class Record:
    """One write: the host and start that wrote it, its counter, and which start it found as the last writer."""

    host: int
    start: int
    counter: int
    after: int  # -1: nobody wrote before


@dataclass(frozen=True)
class DiskVm:
    """The VM; its paths are the same on every node."""

    kernel: str
    initrd: str
    disk: str
    console: str

    def xml(self, host: int, start: int) -> str:
        """Return libvirt's definition for one start on a host; both numbers go to the guest.

        `shareable` switches QEMU's own lock of the image off: without availability's rules nothing here keeps
        a second instance from starting. The page cache of this machine is what a shared storage is elsewhere.
        """
        return f"""<domain type='qemu'><name>one-1</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{self.kernel}</kernel><initrd>{self.initrd}</initrd>
<cmdline>console=ttyS0 quiet panic=-1 clocksource=acpi_pm host={host} start={start}</cmdline></os>
<features><acpi/></features><cpu mode='custom' match='exact'><model>Nehalem</model></cpu>
<on_poweroff>destroy</on_poweroff><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<serial type='file'><source path='{self.console}-{start}' append='on'/></serial>
<disk type='file' device='disk'><driver name='qemu' type='raw' cache='writethrough'/><source file='{self.disk}'/>
<target dev='hda' bus='ide'/><shareable/></disk>
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""

    def make_disk(self) -> None:
        """Make an empty disk."""
        with Path(self.disk).open("wb") as file:
            file.truncate(SECTOR * (1 + MOST_STARTS * REGION))
        Path(self.disk).chmod(0o666)

    def records(self, start: int) -> list[Record]:
        """Return what a start of the VM has written."""
        with Path(self.disk).open("rb") as file:
            file.seek(SECTOR * (1 + start * REGION))
            return list(_parsed(file.read(SECTOR * REGION)))

    def mixed(self) -> list[Record]:
        """Return the records that show two instances at work: none may be there."""
        found = []
        for start in range(MOST_STARTS):
            for record in self.records(start):
                later = record.after > start
                disturbed = record.counter > 0 and record.after != start
                if later or disturbed or record.start != start:
                    found.append(record)
        return found


def _parsed(data: bytes) -> Iterator[Record]:
    for at in range(0, len(data), SECTOR):
        found = _RECORD.match(data, at)
        if found is None:
            return
        host, start, counter = (int(found[n]) for n in (1, 2, 3))
        yield Record(host, start, counter, int(found[5]) if found[5] else -1)
