"""BMCs that others wrote, as processes: ipmi_sim (Debian's openipmi) and sushy-tools' Redfish emulator.

Their state is looked at without us: ipmitool, and the files that the simulated machine is made of.
"""

import contextlib
import datetime as dt
import hashlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ruamel.yaml import YAML

from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.protocol import Bmc, Power, Reading
from sandbox.ports import free_port
from tests.waiting import PATIENCE, until

PASSWORD = "s3cret-of-bmc"
_PRESENCE_PING = bytes.fromhex("0600ff06000011be80000000")  # ASF 2.0: a BMC says that it is there

_LAN = """name "{name}"
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
  chassis_control "{folder}/chassis {folder} 0x20"
  user 2 true "admin" "{password}" admin 20 none md2 md5 straight
"""
_EMULATION = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_add_fru_data 0x20 0 {size} data {fru}
mc_enable 0x20
"""
# A change of power lands after a random time, of 1 to 11 s: two are as good, and the same for all.
_EMULATOR = "import random; random.randint = lambda *_: 2; from sushy_tools.emulator.main import main; main()"
# $1 folder, $2 MC, $3 get|set, $4 power|shutdown, $5 value. Files in the folder are faults:
# `stuck`: the operating system never shuts down; `idle`: orders are taken and not followed;
# `slow`: power comes when that is removed; `broken`: it does not know its power; `falters`: it says one and the other.
_CHASSIS = """#!/bin/sh
cd "$1" || exit 1
if [ -e due ] && [ ! -e slow ]; then rm due; echo 1 > power; fi
case "$3 $4" in
  "get power")
    [ -e broken ] && exit 1
    if [ -e falters ]; then echo $((1 - $(cat falters))) > falters; echo "power:$(cat falters)"; exit; fi
    read state < power; echo "power:$state" ;;
  "set power")
    [ -e idle ] && exit 0
    if [ -e slow ] && [ "$5" = 1 ]; then touch due; exit; fi
    echo "$5" > power ;;
  "set shutdown") [ -e stuck ] || [ -e idle ] || echo 0 > power ;;
esac
"""


def confirmed(bmc: Bmc, wanted: Power, *, within: float, every: float = 0.5) -> Reading:
    """Ask until the machine is as wanted twice in a row, for at most `within` seconds; return the last reading."""
    ends, agreeing = time.monotonic() + within, 0
    while True:
        said = bmc.power()
        agreeing = agreeing + 1 if said.power is wanted else 0
        if agreeing == 2:
            return said
        if time.monotonic() > ends:
            return said if said.power is not wanted else Reading(Power.UNKNOWN)
        time.sleep(every)


class IpmiPeer:
    """One machine with a BMC: its power is in the file `power`, its faults in files of their names."""

    def __init__(self, folder: Path, uuid: str, serial: str = "SIM-1") -> None:
        self.folder, self.uuid, self.port = folder, uuid, free_port(datagram=True)
        (folder / "state").mkdir(parents=True)
        self._names = {"name": folder.name, "guid": UUID(uuid).hex, "folder": folder}
        fru = _fru(serial)
        (folder / "emulation").write_text(
            _EMULATION.format(size=len(fru), fru=" ".join(f"0x{byte:02x}" for byte in fru))
        )
        (folder / "chassis").write_text(_CHASSIS)
        (folder / "chassis").chmod(0o755)
        self.power = "on"
        self._start()

    def _start(self) -> None:
        lan = _LAN.format(port=self.port, password=PASSWORD, **self._names)
        (self.folder / "lan.conf").write_text(lan)
        command = ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "emulation", "-s", "state"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def power(self) -> str:
        """Whether the machine has power, `on` or `off`."""
        return "on" if (self.folder / "power").read_text().strip() == "1" else "off"

    @power.setter
    def power(self, state: str) -> None:
        (self.folder / "power").write_text("1\n" if state == "on" else "0\n")

    def fault(self, name: str, value: str = "0") -> None:
        """Break it in one of the ways of the chassis program."""
        (self.folder / name).write_text(value)

    def mend(self, name: str) -> None:
        """End a fault."""
        (self.folder / name).unlink()

    def pause(self) -> None:
        """Let it take packets and answer none."""
        self.process.send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        """End a pause."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it at once, with a chassis program that hangs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_until_ready(self) -> None:
        """Return when it answers a presence ping; start it on another port where it does not: it may be taken."""
        for _ in range(3):
            if self._answers(PATIENCE / 3):
                return
            self.stop()
            self.port = free_port(datagram=True)
            self._start()
        pytest.fail(f"ipmi_sim answers on no port: {(self.folder / 'log').read_text()!r}")

    def _answers(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            while time.monotonic() < end and self.process.poll() is None:
                with contextlib.suppress(OSError):
                    probe.sendto(_PRESENCE_PING, ("127.0.0.1", self.port))
                    if probe.recv(64):
                        return True
        return False

    def ipmitool(self, *words: str) -> str:
        """Ask with an independent client."""
        login = ["-C", "3", "-H", "127.0.0.1", "-p", str(self.port), "-U", "admin", "-P", PASSWORD]
        command = ["ipmitool", "-I", "lanplus", *login, *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout.strip()

    def entry(self, **changes: object) -> dict[str, object]:
        """Return what bmc.yaml has to say of it."""
        entry = {"kind": "ipmi", "address": "127.0.0.1", "port": self.port, "user": "admin"}
        return {**entry, "password": PASSWORD, "uuid": self.uuid, **changes}


def _fru(serial: str) -> bytes:
    """Return an inventory with a product area (Platform Management FRU Information, 1.3)."""

    def field(text: str) -> bytes:
        return bytes([0xC0 | len(text)]) + text.encode()

    body = bytes([1, 0, 0]) + b"".join(map(field, ("Sim", "Node", "N-1", "1.0", serial, "", "")))
    body += b"\xc1"
    body += bytes(-(len(body) + 1) % 8)
    body = body[:1] + bytes([(len(body) + 1) // 8]) + body[2:]
    header = bytes([1, 0, 0, 0, 1, 0, 0])
    return b"".join(part + bytes([-sum(part) % 256]) for part in (header, body))


class RedfishPeer:
    """One BMC of several systems, each by its UUID."""

    def __init__(self, folder: Path, systems: Mapping[str, str]) -> None:
        """Take the UUIDs of the systems with their power, `On` or `Off`."""
        import bcrypt

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.systems = folder, free_port(), list(systems)
        self.certificate = certificate(folder)
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text(f"admin:{hashed}\n")
        settings = {
            "LISTEN_IP": "127.0.0.1",
            "LISTEN_PORT": self.port,
            "SSL_CERT": str(folder / "cert.pem"),
            "SSL_KEY": str(folder / "key.pem"),
            "AUTH_FILE": str(folder / "htpasswd"),
            "STATE_DIR": str(folder),
            "FAKE_DRIVER": True,
            "FAKE_SYSTEMS": [
                {"uuid": uuid, "name": f"node-{n}", "power_state": power, "nics": []}
                for n, (uuid, power) in enumerate(systems.items())
            ],
        }
        lines = [f"SUSHY_EMULATOR_{name} = {value!r}\n" for name, value in settings.items()]
        (folder / "emulator.conf").write_text("".join(lines))
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-c", _EMULATOR, "--config", str(folder / "emulator.conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: self.process.poll() is not None or self._listens(), "the start of sushy-emulator")
        assert self.process.poll() is None, self.log

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def log(self) -> str:
        """What it was asked, a line for each request."""
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def entry(self, n: int = 0, **changes: object) -> dict[str, object]:
        """Return what bmc.yaml has to say of one of its systems."""
        uuid = self.systems[n]
        entry = {"kind": "redfish", "address": "127.0.0.1", "port": self.port, "user": "admin"}
        identity = {"uuid": uuid, "system": f"/redfish/v1/Systems/{uuid}", "certificate": self.certificate}
        return {**entry, "password": PASSWORD, **identity, **changes}


def certificate(folder: Path) -> str:
    """Write cert.pem and key.pem, self-signed for 127.0.0.1, and return the certificate's SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bmc")])
    now = dt.datetime.now(dt.timezone.utc)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        x509.random_serial_number(),
        now - dt.timedelta(1),
        now + dt.timedelta(1),
    )
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


def without(what: str) -> NoReturn:
    """Skip a test whose component is missing; in CI nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def write_config(folder: Path, entries: Mapping[int, Mapping[str, object]]) -> BmcConfig:
    """Write bmc.yaml as an administrator does, and load it."""
    file = folder / "bmc.yaml"
    file.touch(mode=0o640)
    with file.open("w") as stream:
        YAML(typ="safe").dump({host: dict(entry) for host, entry in entries.items()}, stream)
    return BmcConfig.load(file)


@pytest.fixture
def bmc_config(tmp_path: Path) -> Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]:
    """Give a function that writes a bmc.yaml of its own for entries by host id, and loads it."""
    numbers = itertools.count()

    def write(entries: Mapping[int, Mapping[str, object]]) -> BmcConfig:
        folder = tmp_path / f"bmc-{next(numbers)}"
        folder.mkdir()
        return write_config(folder, entries)

    return write


@pytest.fixture
def ipmi_peers(tmp_path: Path) -> Iterator[Callable[..., IpmiPeer]]:
    """Give a function that starts machines with IPMI; they end with the test."""
    if not shutil.which("ipmi_sim"):
        without("ipmi_sim is missing: install Debian's openipmi")
    peers: list[IpmiPeer] = []

    def start(**options: Any) -> IpmiPeer:
        n = len(peers)
        options.setdefault("uuid", f"4c4c4544-0042-3510-8053-b4c04f56{n:04x}")
        peers.append(IpmiPeer(tmp_path / f"ipmi-{n}", **options))
        peers[-1].wait_until_ready()
        return peers[-1]

    yield start
    for peer in peers:
        peer.stop()


@pytest.fixture
def ipmi(ipmi_peers: Callable[..., IpmiPeer]) -> IpmiPeer:
    """Give one running machine with IPMI."""
    return ipmi_peers()


@pytest.fixture
def redfish(tmp_path: Path) -> Iterator[RedfishPeer]:
    """Give a BMC with two systems that are on."""
    if not Path(sys.executable).with_name("sushy-emulator").exists():
        without("sushy-emulator is missing: install the extra `sandbox`")
    uuids = [f"7c9e6679-7425-40de-944b-e07fc1f9000{n}" for n in range(2)]
    peer = RedfishPeer(tmp_path / "redfish", dict.fromkeys(uuids, "On"))
    yield peer
    peer.stop()
