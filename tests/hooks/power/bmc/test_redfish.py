"""Redfish against sushy-tools' emulator: TLS, basic authentication, a pinned certificate."""

import datetime as dt
import hashlib
import ipaddress
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hooks.power.bmc import fleet
from hooks.power.bmc.credentials import Entry
from hooks.power.model import Bmc

pytestmark = pytest.mark.process
SYSTEM = "27946b59-9e44-4fa7-8e91-f3527a1ef094"
CONFIG = """
SUSHY_EMULATOR_LISTEN_IP = "127.0.0.1"
SUSHY_EMULATOR_LISTEN_PORT = {port}
SUSHY_EMULATOR_SSL_CERT = "{folder}/cert.pem"
SUSHY_EMULATOR_SSL_KEY = "{folder}/key.pem"
SUSHY_EMULATOR_AUTH_FILE = "{folder}/htpasswd"
SUSHY_EMULATOR_STATE_DIR = "{folder}"
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {{"uuid": "{system}", "name": "node-1", "power_state": "On", "nics": [], "config_drive": None}},
]
"""


@dataclass
class RedfishPeer:
    """A running emulator."""

    port: int
    pin: str

    def entry(self, **changes: object) -> Entry:
        fields = {"driver": "redfish", "address": "127.0.0.1", "port": self.port, "user": "admin"}
        return Entry.model_validate({**fields, "password": "password", "pin": self.pin, **changes})


def certificate(folder: Path) -> str:
    """Write a self-signed certificate and return its SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bmc")])
    now = dt.datetime.now(dt.timezone.utc)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(1)
        )
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


@pytest.fixture
def redfish(tmp_path: Path) -> Iterator[RedfishPeer]:
    """Give an emulator with one system that is on."""
    emulator = Path(sys.executable).parent / "sushy-emulator"
    if not shutil.which(str(emulator)):
        pytest.skip("sushy-emulator is not there: install the extra `sandbox`")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    pin = certificate(tmp_path)
    (tmp_path / "emulator.conf").write_text(CONFIG.format(port=port, folder=tmp_path, system=SYSTEM))
    import bcrypt

    (tmp_path / "htpasswd").write_text(f"admin:{bcrypt.hashpw(b'password', bcrypt.gensalt(4)).decode()}\n")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([emulator, "--config", tmp_path / "emulator.conf"], stdout=log, stderr=log)
    _wait_for(port, process, tmp_path / "log")
    yield RedfishPeer(port, pin)
    process.kill()
    process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_power_off_and_on_land_after_a_while(redfish: RedfishPeer) -> None:
    """Believing the request instead of the state would call a host off that still runs."""
    assert fleet.query({1: redfish.entry()}, 10.0)[1].state is Bmc.ON
    for what, state in (("off-soft", Bmc.OFF), ("on", Bmc.ON), ("off-hard", Bmc.OFF)):
        asked = fleet.switch(redfish.entry(), what, SYSTEM, 10.0)
        assert not asked.error
        ends = time.monotonic() + 25
        while (answer := fleet.query({1: redfish.entry()}, 10.0)[1]).state is not state:
            assert time.monotonic() < ends, answer
            time.sleep(1)


def test_identity_is_verified(redfish: RedfishPeer) -> None:
    """An address that was given to another machine would switch that one off."""
    assert fleet.query({1: redfish.entry()}, 10.0)[1].identity == SYSTEM
    answer = fleet.switch(redfish.entry(), "off-hard", "another", 10.0)
    assert "another machine answers" in answer.error


@pytest.mark.parametrize("pin", ["0" * 64, ""])
def test_a_certificate_that_is_not_the_pinned_one_gets_no_password(redfish: RedfishPeer, pin: str) -> None:
    """A machine in the middle would learn the BMC's password."""
    answer = fleet.query({1: redfish.entry(pin=pin)}, 10.0)[1]
    assert answer.state is Bmc.SILENT
    assert "ertificate" in answer.error


def test_wrong_password_is_no_answer(redfish: RedfishPeer) -> None:
    """Unknown is not off."""
    answer = fleet.query({1: redfish.entry(password="wrong")}, 10.0)[1]
    assert answer.state is Bmc.SILENT
    assert "wrong" not in answer.error
