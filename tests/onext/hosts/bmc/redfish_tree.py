"""A Redfish service over TLS whose every answer is written down: objects by path, or a status and a body."""

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onext.hosts.bmc.job import Job, Wish, fulfil
from onext.hosts.bmc.redfish import Redfish
from tests.fixtures_bmc import PASSWORD, certificate

UUID = "7c9e6679-7425-40de-944b-e07fc1f90000"
SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
FIXTURES = Path(__file__).parents[3] / "fixtures/redfish"


def recorded(name: str) -> dict[str, Any]:
    """Return a tree of the fixtures."""
    found: dict[str, Any] = json.loads((FIXTURES / name).read_text())
    return found


@dataclass(frozen=True)
class Reply:
    """An answer that is not 200 with an object."""

    status: int
    body: bytes | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Service(http.server.ThreadingHTTPServer):
    """The service; `asked` keeps method, path and body of each request with the right login."""

    daemon_threads = True

    def __init__(
        self, folder: Path, tree: Mapping[str, Any], change: Callable[[ssl.SSLContext], None]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.tree = dict(tree)
        self.asked: list[tuple[str, str, str]] = []
        self.unknown: list[str] = []
        self.folder, self.pin = folder, certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        change(context)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that leave."""

    def job(self, wish: Wish = "power", **changes: Any) -> Job:
        """Return a job for this service."""
        usual: dict[str, Any] = {"pin": self.pin, "uuid": UUID, "system": SYSTEM, "user": "admin"}
        login = {"password": PASSWORD, **usual, **changes}
        return Job(7, wish, "redfish", "127.0.0.1", self.server_port, **login)

    def done(self, wish: Wish = "power", **changes: Any) -> dict[str, Any]:
        """Carry a job out; raise what the driver raises."""
        job = self.job(wish, **changes)
        session = Redfish(job)
        try:
            return fulfil(job, session)
        finally:
            session.close()

    def outcome(self, wish: Wish = "power", **changes: Any) -> dict[str, Any]:
        """Carry a job out; return what it found, or `error` and `reason`: whatever is raised."""
        try:
            return self.done(wish, **changes)
        except Exception as error:  # noqa: BLE001 - so that a test fails by its assertion
            return {"error": type(error).__name__, "reason": str(error)}

    @property
    def resets(self) -> list[str]:
        """The types of the resets that were posted."""
        return [json.loads(body)["ResetType"] for method, _, body in self.asked if method == "POST"]


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self._answer("")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())

    def _answer(self, body: str) -> None:
        login = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            self._send(Reply(401))
            return
        self.server.asked.append((self.command, self.path, body))
        found = self.server.tree.get(f"{self.command} {self.path}", self.server.tree.get(self.path))
        if found is None:
            found = Reply(
                404, {"error": {"code": "Base.1.8.ResourceMissingAtURI", "message": "no such thing"}}
            )
        self._send(found if isinstance(found, Reply) else Reply(200, found))

    def _send(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@contextmanager
def serving(
    folder: Path, tree: Mapping[str, Any], change: Callable[[ssl.SSLContext], None] = lambda _: None
) -> Iterator[Service]:
    """Serve a tree; `change` may spoil the TLS settings."""
    service = Service(folder, tree, change)
    thread = threading.Thread(target=service.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        thread.join()
        service.server_close()


def system(**members: Any) -> dict[str, Any]:
    """Return the tree of a system that is on."""
    return {SYSTEM: {"UUID": UUID, "PowerState": "On", **members}}


def switchable(*allowed: str, power: str = "On", **members: Any) -> dict[str, Any]:
    """Return the tree of a system with a reset that allows these types."""
    action: dict[str, Any] = {"target": RESET}
    if allowed:
        action["ResetType@Redfish.AllowableValues"] = list(allowed)
    tree = system(PowerState=power, Actions={"#ComputerSystem.Reset": action}, **members)
    return {**tree, f"POST {RESET}": Reply(204)}
