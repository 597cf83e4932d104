"""Real peers: ipmi_sim (Debian openipmi) and sushy-tools' emulator, one folder each."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hooks.power.bmc.credentials import Entry

GUID = "a123456789abcdefa123456789abcdef"
LAN = """name "{name}"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  chassis_control "STATE_FILE={folder}/power {folder}/chassis.sh 0x20"
  user 2 true "admin" "password" admin 20 none md2 md5 straight
"""
COMMANDS = (
    "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n"
)
# get power / set power 0|1 / set shutdown 1; a file `stuck` ignores soft power-off, `lying` every set.
CHASSIS = """#!/bin/sh
dir=$(dirname "$STATE_FILE")
case "$2 $3" in
  "get power") echo "power:$(cat "$STATE_FILE")" ;;
  "set power") [ -e "$dir/lying" ] || echo "$4" > "$STATE_FILE" ;;
  "set shutdown") [ -e "$dir/stuck" ] || [ -e "$dir/lying" ] || echo 0 > "$STATE_FILE" ;;
esac
"""


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class IpmiPeer:
    """One simulated BMC."""

    folder: Path
    port: int
    guid: str = GUID
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        lan = LAN.format(name=self.folder.name, port=self.port, guid=self.guid, folder=self.folder)
        (self.folder / "lan.conf").write_text(lan)
        (self.folder / "emu.cmds").write_text(COMMANDS)
        (self.folder / "chassis.sh").write_text(CHASSIS)
        (self.folder / "chassis.sh").chmod(0o755)
        if not (self.folder / "power").exists():
            (self.folder / "power").write_text("1\n")
        self.process = subprocess.Popen(
            ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "emu.cmds", "-s", "state"],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Let it take packets and answer none."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    @property
    def power(self) -> str:
        return (self.folder / "power").read_text().strip()

    def flag(self, name: str) -> None:
        (self.folder / name).touch()

    def ipmitool(self, *words: str) -> str:
        """Ask by somebody else's client."""
        login = [
            "-I",
            "lanplus",
            "-C",
            "3",
            "-H",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "admin",
            "-P",
            "password",
        ]
        done = subprocess.run(
            ["ipmitool", *login, *words], capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    def entry(self, **changes: object) -> Entry:
        fields = {
            "driver": "ipmi",
            "address": "127.0.0.1",
            "port": self.port,
            "user": "admin",
            "password": "password",
        }
        return Entry.model_validate({**fields, **changes})


@dataclass
class Room:
    """Makes peers and ends them."""

    folder: Path
    peers: list[IpmiPeer] = field(default_factory=list)

    def ipmi(self, guid: str = GUID) -> IpmiPeer:
        peer = IpmiPeer(self.folder / f"bmc{len(self.peers)}", free_port(), guid)
        self.peers.append(peer)
        peer.start()
        return peer


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Give a place to start IPMI peers in."""
    if not shutil.which("ipmi_sim"):
        pytest.skip("ipmi_sim is not there: install Debian's openipmi")
    made = Room(tmp_path)
    yield made
    for peer in made.peers:
        peer.stop()


@pytest.fixture
def ipmi(room: Room) -> IpmiPeer:
    """Give one running IPMI peer that answers."""
    peer = room.ipmi()
    time.sleep(0.3)
    return peer
