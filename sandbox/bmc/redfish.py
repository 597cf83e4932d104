"""Redfish: one sushy-emulator with a system for each host, over TLS with basic authentication.

A change of power lands 1 to 11 seconds after it was asked for, as the emulator has it.
"""

import base64
import datetime as dt
import hashlib
import ipaddress
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from sandbox.bmc.entry import Entry
from sandbox.errors import ActionError
from sandbox.ports import free_port
from sandbox.processes import Children

_CONFIG = """\
SUSHY_EMULATOR_LISTEN_IP = "127.0.0.1"
SUSHY_EMULATOR_LISTEN_PORT = {port}
SUSHY_EMULATOR_SSL_CERT = "{folder}/cert.pem"
SUSHY_EMULATOR_SSL_KEY = "{folder}/key.pem"
SUSHY_EMULATOR_AUTH_FILE = "{folder}/htpasswd"
SUSHY_EMULATOR_STATE_DIR = "{folder}"
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_FAKE_SYSTEMS = {systems}
"""
_USER, _PASSWORD = "onext", "sandbox-password"  # no secret: loopback, and a stand-in
_READY_SECONDS = 60.0


class Redfish:
    """The emulator. A system that is added restarts it; what it knows of power stays in its folder."""

    def __init__(self, folder: Path, children: Children) -> None:
        self._folder, self._children = folder, children
        self._systems: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self._certificate = _certify(folder)
        self._context = ssl.create_default_context(cafile=str(folder / "cert.pem"))

    def add(self, systems: dict[str, str]) -> dict[str, Entry]:
        """Add systems (name to UUID) that are on, and return how to reach each."""
        self._systems |= systems
        if self._process:
            self._process.terminate()
            self._process.wait()
        listed = [{"uuid": u, "name": n, "power_state": "On", "nics": []} for n, u in self._systems.items()]
        config = self._folder / "emulator.conf"
        config.write_text(_CONFIG.format(port=self._port, folder=self._folder, systems=json.dumps(listed)))
        argv = [sys.executable, "-m", "sushy_tools.emulator.main", "--fake", "--config", str(config)]
        self._process = self._children.keep(argv, env={}, log=self._folder / "log")
        self._until_ready()
        return {name: self._entry(uuid) for name, uuid in systems.items()}

    def on(self, name: str) -> bool:
        """Tell whether a system has power."""
        return bool(self._ask(f"/redfish/v1/Systems/{self._systems[name]}")["PowerState"] == "On")

    def _entry(self, uuid: str) -> Entry:
        path = f"/redfish/v1/Systems/{uuid}"
        return Entry("redfish", self._port, _USER, _PASSWORD, uuid, self._certificate, path)

    def _ask(self, path: str) -> dict[str, object]:
        request = urllib.request.Request(f"https://127.0.0.1:{self._port}{path}")
        login = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=5, context=self._context) as answer:  # noqa: S310
            found: dict[str, object] = json.load(answer)
            return found

    def _until_ready(self) -> None:
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end:
            try:
                self._ask("/redfish/v1/Systems")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise ActionError(f"sushy-emulator does not answer: see {self._folder}/log")


def _certify(folder: Path) -> str:
    """Write key, certificate and password file; return the certificate's SHA-256."""
    import bcrypt
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bmc of the sandbox")])
    now = dt.datetime.now(dt.timezone.utc)
    until = now + dt.timedelta(days=30)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, until)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    digest = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{_USER}:{digest}\n")
    return hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()
