"""The fixture `gateway`: `python -m gateway` as a process in front of a sandbox."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from onext import published
from onext.paths import Paths
from tests.ending import end
from tests.fixtures_sandbox import ROOT, Sandbox
from tests.waiting import PATIENCE, until


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """A running gateway and how to ask it."""

    sandbox: Sandbox
    settings: str = ""
    port: int = 0
    process: subprocess.Popen[str] | None = None
    context: ssl.SSLContext | None = None

    @property
    def paths(self) -> Paths:
        return Paths.self_contained(self.sandbox.location)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on a free port and wait until it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (self.sandbox.location / "etc/onext.yaml").write_text(
            f"gateway:\n  enabled: true\n  listen: 127.0.0.1:{self.port}\n{self.settings}"
        )
        log = (self.sandbox.location / "gateway.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway"], cwd=ROOT, env=self.sandbox.env, stderr=log, text=True
        )
        log.close()
        until(self._healthy, "the gateway")

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            end(self.process)

    def get(self, path: str, session: str | None = "", headers: Mapping[str, str] | None = None) -> Answer:
        """Ask as the user of a session (`user:secret`), by default oneadmin; None: without a credential."""
        return self.ask("GET", path, session, headers)

    def ask(
        self,
        method: str,
        path: str,
        session: str | None = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request and return the answer."""
        if self.context is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        else:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=PATIENCE, context=self.context
            )
        with contextlib.closing(connection):
            given = {**({} if session is None else basic(session or self.sandbox.session)), **(headers or {})}
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            found: dict[str, str] = {}
            for name, value in answer.getheaders():
                found[name.lower()] = ", ".join(filter(None, (found.get(name.lower()), value)))
            return Answer(answer.status, found, answer.read())

    def items(self, name: str, session: str = "") -> list[dict[str, Any]]:
        """Return the objects of a list."""
        answer = self.get(f"/v1/{name}?limit=1000", session)
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.json["items"]
        return found

    def publish(self, name: str, document: Mapping[str, object]) -> None:
        """Publish as the worker does."""
        published.write(self.paths, name, document)

    @property
    def output(self) -> str:
        """What it logged."""
        return (self.sandbox.location / "gateway.log").read_text()

    def serves(self) -> bool:
        """Return whether it answers a new connection."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/-/healthy", None).status == 200
        return False

    def _healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        return self.serves()


def basic(session: str) -> dict[str, str]:
    """Return the header of Basic authentication."""
    return {"Authorization": f"Basic {base64.b64encode(session.encode()).decode()}"}


@dataclass
class Cloud:
    """Two tenants in a sandbox, each with a VM on a host of their own."""

    sandbox: Sandbox
    hosts: list[int] = field(default_factory=list)
    vms: dict[str, list[int]] = field(default_factory=dict)

    def session(self, user: str) -> str:
        return f"{user}:secret-of-{user}"


def make_cloud(sandbox: Sandbox) -> Cloud:
    """Make hosts, users `alice` and `bob`, and a VM of each."""
    cloud = Cloud(sandbox)
    for name in ("node-1", "node-2"):
        cloud.hosts.append(sandbox.call("host.allocate", name, "kvm", "kvm", -1))
    sandbox.control("monitor")
    for number, user in enumerate(("alice", "bob")):
        sandbox.call("user.allocate", user, f"secret-of-{user}", "core")
        template = f'NAME = "vm-of-{user}"\nCPU = 1\nMEMORY = 512'
        vm = sandbox.call("vm.allocate", template, False, session=cloud.session(user))
        cloud.vms[user] = [vm]
        sandbox.call("vm.deploy", vm, cloud.hosts[number], False, -1, "")
    return cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return two tenants' cloud, the same for the tests of a module."""
    running = Sandbox(tmp_path_factory.mktemp("cloud") / "one", "--step", "0.02", "--monitor", "3600")
    yield make_cloud(running)
    running.stop()


@pytest.fixture(scope="module")
def gateway(cloud: Cloud) -> Iterator[Gateway]:
    """Start a gateway before it, which permits many requests."""
    with started(cloud.sandbox, "  requests: 10000\n") as running:
        yield running


@contextlib.contextmanager
def started(sandbox: Sandbox, settings: str = "", context: ssl.SSLContext | None = None) -> Iterator[Gateway]:
    """Start another gateway with lines of its settings; `context` where it speaks TLS."""
    running = Gateway(sandbox, settings, context=context)
    try:
        running.start()
        yield running
    finally:
        running.stop()
