"""Everything on the underlay between the nodes, and what of it is VXLAN, WireGuard, ssh or none of them."""

import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import Self

from tests.lab.laboratory import Laboratory
from tests.lab.node import PATIENCE

VXLAN_PORTS = (4789, 4790)
WIREGUARD_PORTS = (51820, *range(51871, 51879))
TCP, UDP = 6, 17


class Capture:
    """Captures from enter to exit; the figures are there afterwards."""

    def __init__(self, lab: Laboratory, marker: str, device: str = "wa") -> None:
        self._lab, self._marker, self._device = lab, marker.encode(), device
        self._file = lab.folder / "underlay.pcap"
        self.bytes = {"vxlan": 0, "wireguard": 0, "ssh": 0, "other": 0}
        self.markers = dict(self.bytes)
        self.largest = 0

    def __enter__(self) -> Self:
        """Start tcpdump and wait until it listens."""
        words = [
            "tcpdump",
            "-i",
            self._device,
            "-s",
            "0",
            "-B",
            "131072",
            "-Z",
            "root",
            "-w",
            str(self._file),
        ]
        self._process = subprocess.Popen(self._lab.in_wan(*words), stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        assert b"listening" in line, line
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop and sum up; nothing may have been missed."""
        self._process.send_signal(signal.SIGINT)
        _, said = self._process.communicate(timeout=PATIENCE)
        assert b"0 packets dropped by kernel" in said, said
        for frame in _frames(self._file):
            kind = _kind(frame)
            self.bytes[kind] += len(frame)
            self.markers[kind] += self._marker in frame
            self.largest = max(self.largest, len(frame) - 14)
        self._file.unlink()


def _frames(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        order = "<" if file.read(24)[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        while head := file.read(16):
            yield file.read(int(struct.unpack(order + "IIII", head)[2]))


def _kind(frame: bytes) -> str:
    ether = int.from_bytes(frame[12:14], "big")
    if ether == 0x0800:
        protocol, at = frame[23], 14 + (frame[14] & 15) * 4
    elif ether == 0x86DD:
        protocol, at = frame[20], 54
    else:
        return "other"
    ports = struct.unpack("!HH", frame[at : at + 4]) if protocol in (TCP, UDP) else (0, 0)
    if protocol == UDP and ports[1] in VXLAN_PORTS:
        return "vxlan"
    if protocol == UDP and not {*ports}.isdisjoint(WIREGUARD_PORTS):
        return "wireguard"
    return "ssh" if protocol == TCP and 22 in ports else "other"
