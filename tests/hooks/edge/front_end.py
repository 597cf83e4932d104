"""A front-end with edge in a sandbox, its worker's office in this process, and nodes without machines."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import ed25519, messages, narrowing, word
from edge.host_key import PROOF
from hooks.edge import endpoint, requests
from hooks.edge.commands import edge
from hooks.edge.office import Office
from onext.oned.client import Oned
from onext.part import Context
from onext.paths import Paths
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import Sandbox

SETTINGS = """edge:
  enabled: true
  endpoint: front.example:8443
  hub: front.example:51820
  im_mad: dummy
  vm_mad: dummy
oned:
  timeout: 60
"""


HOST_KEYS: dict[str, Ed25519PrivateKey] = {}  # by their public halves


def ssh_key() -> str:
    """Return a new public host key."""
    private = Ed25519PrivateKey.generate()
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    public = private.public_key().public_bytes(*form).decode()
    HOST_KEYS[public] = private
    return public


def host_key_file(public: str) -> bytes:
    """Return the file of a private host key."""
    form = (serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    return HOST_KEYS[public].private_bytes(serialization.Encoding.PEM, *form)


def wireguard_key() -> str:
    """Return a public key of WireGuard's form."""
    return base64.b64encode(X25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


@dataclasses.dataclass
class Machine:
    """A node's keys, and its requests as the node program makes them."""

    name: str
    secret: bytes = dataclasses.field(default_factory=ed25519.generate)
    wireguard: str = dataclasses.field(default_factory=wireguard_key)
    ssh: str = dataclasses.field(default_factory=ssh_key)
    session: str = ""

    @property
    def identity(self) -> str:
        """The key that signs its requests."""
        return ed25519.public(self.secret).hex()

    def join(self, token: str, /, **changes: object) -> messages.Asked:
        """Return the request to join, with fields changed as a liar would."""
        bound = narrowing.bind(word.read(token).biscuit, "node_key", self.identity)
        values = {"token": bound, "name": self.name, "wireguard": self.wireguard, "ssh_key": self.ssh}
        signed = (
            HOST_KEYS[self.ssh].sign(PROOF + bytes.fromhex(self.identity)) if self.ssh in HOST_KEYS else b""
        )
        values["proof"] = signed.hex()
        return messages.Asked(self.secret, "join", {**values, **changes})

    def ask(self, action: str, session: str | None = None) -> messages.Asked:
        """Return another request."""
        given = self.session if session is None else session
        return messages.Asked(self.secret, action, {"session": given, "certificate": False})


class FrontEnd:
    """The front-end: its commands as processes, its office here."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.bundle = sandbox, Bundle(sandbox)
        self.bundle.settings(SETTINGS)
        self.clusters = [sandbox.call("cluster.allocate", name) for name in ("alpha", "beta")]
        folder = self.bundle.var / "run/edge-endpoint"
        folder.mkdir(parents=True)
        endpoint.make_certificate(folder)[1].rename(folder / "certificate.pem")
        self.paths = Paths.self_contained(sandbox.location)
        self.context = self._context()
        self.office = Office(lambda: self.context)

    def _context(self) -> Context:
        made = Context(self.paths)
        made.__dict__["oned"] = Oned(self.sandbox.endpoint, self.sandbox.session, 60)
        return made

    def configure(self, text: str) -> None:
        """Change the settings."""
        self.bundle.settings(text)
        self.context = self._context()

    def onext(self, *words: str, check: bool = True) -> str:
        """Run `onext edge …` in this process."""
        done = CliRunner().invoke(edge, words, obj=self.context)
        assert not check or done.exit_code == 0, done.output
        return done.output

    def token(self, *options: str) -> str:
        """Make a token for cluster 100."""
        return self.onext("token", "--cluster", str(self.clusters[0]), *options).strip()

    def answer(self, asked: messages.Asked, key: str) -> dict[str, Any]:
        """Send a request, and open the answer as a node does."""
        return messages.opened(asked, key, self.office.handle(requests.read(asked.data)))

    def join(self, machine: Machine, token: str, /, **changes: object) -> dict[str, Any]:
        """Let a machine join."""
        got = self.answer(machine.join(token, **changes), word.read(token).key)
        machine.session = str(got["session"])
        return got

    def listed(self) -> dict[str, dict[str, Any]]:
        """Return the nodes by name."""
        return {row["name"]: row for row in json.loads(self.onext("list", "--json"))}

    def hub(self) -> dict[str, Any]:
        """Return the hub's list."""
        found = json.loads((self.bundle.var / "run/edge/hub.json").read_text())
        assert isinstance(found, dict)
        return found
