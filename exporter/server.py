"""The HTTP server: a handful of paths, GET and HEAD, a bounded number of connections."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter import page
from exporter.access import Access
from exporter.collection import Page
from exporter.exposition import CONTENT_TYPE
from exporter.webconfig import WebConfigError

CONNECTIONS = 64
IDLE = 30.0  # seconds without a byte after which a connection ends
_log = logging.getLogger("onext.exporter")


class Answer(NamedTuple):
    """What is sent back."""

    status: HTTPStatus
    type: str
    body: bytes
    encoding: str = ""


@dataclass
class Site:
    """What the paths answer with; `collect` is shared by all connections and may be called at once."""

    collect: Callable[[], Page]
    ready: Callable[[], str]  # why not; empty when ready
    version: str
    targets: Path | None = None  # folder of file_sd files to serve as http_sd
    started: float = 0.0
    last: Page | None = None

    def answer(self, path: str, *, gzip: bool) -> Answer:
        """Return the answer to a GET."""
        match path:
            case "/metrics":
                self.last = self.collect()
                body = self.last.compressed if gzip else self.last.text
                return Answer(HTTPStatus.OK, CONTENT_TYPE, body, "gzip" if gzip else "")
            case "/-/healthy":
                return _text(HTTPStatus.OK, "healthy\n")
            case "/-/ready":
                reason = self.ready()
                status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
                return _text(status, f"{reason or 'ready'}\n")
            case "/":
                body = page.render(self.last, self.started, self.version, self.links())
                return Answer(HTTPStatus.OK, "text/html; charset=utf-8", body)
        return self._targets(path)

    def links(self) -> Mapping[str, str]:
        """Return where the landing page leads."""
        return {"/metrics": "metrics", "/-/healthy": "healthy?", "/-/ready": "ready?"} | {
            f"/targets/{name}": f"targets: {name}" for name in self._jobs()
        }

    def _jobs(self) -> dict[str, Path]:
        if self.targets is None:
            return {}
        return {file.stem: file for file in sorted(self.targets.glob("*.json"))}

    def _targets(self, path: str) -> Answer:
        file = self._jobs().get(path.removeprefix("/targets/")) if path.startswith("/targets/") else None
        if file is None:
            return _text(HTTPStatus.NOT_FOUND, "not found; see /\n")
        return Answer(HTTPStatus.OK, "application/json", file.read_bytes())


def _text(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", text.encode())


class Server(ThreadingHTTPServer):
    """Listens on one address; `::` takes IPv4 too."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], site: Site, access: Access) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        self.site = site
        self.access = access
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        site.started = time.time()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, to both families where the address is `::`."""
        if self.address_family is socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002
        """Turn away who comes when all connections are taken."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Serve one connection in its thread: a handshake that hangs holds up nobody else."""
        try:
            request.settimeout(IDLE)
            tls = self.access.gate().tls
            if tls is not None:
                request = tls.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except (OSError, WebConfigError) as error:
            _log.debug("%s: %s", client_address, error)
            self.shutdown_request(request)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log what a connection died of, without a traceback for a client that left."""
        _log.debug("%s: connection ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "onext-exporter"
    sys_version = ""
    timeout = IDLE

    def do_GET(self) -> None:
        """Answer, when the user may ask."""
        if not self._may_ask():
            self._send(_text(HTTPStatus.UNAUTHORIZED, "unauthorized\n"))
            return
        gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        try:
            answer = self.server.site.answer(urlsplit(self.path).path, gzip=gzip)
        except Exception:  # noqa: BLE001 - the outermost edge: logged, and the server stays
            _log.exception("%s", self.path)
            answer = _text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see the exporter's log\n")
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815 - the base class calls it by this name

    def _may_ask(self) -> bool:
        try:
            return self.server.access.gate().users.allow(self.headers.get("Authorization"))
        except WebConfigError:
            return False

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.encoding:
            self.send_header("Content-Encoding", answer.encoding)
        if answer.status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="onext"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
        """Say nothing for each request."""
