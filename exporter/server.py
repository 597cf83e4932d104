"""The HTTP server: a handful of paths, GET and HEAD, and bounds on connections, time and size of requests."""

from __future__ import annotations

import io
import logging
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from exporter.access import Access
from exporter.site import Answer, Site, forbidden, internal_error
from onext.connections import Connections, Place
from onext.deadline import DeadlineReader
from onext.webconfig import WebConfigError

IDLE = 30.0  # seconds that a client which may ask has until its next request
REQUEST = 10.0  # seconds for a whole request, from its connection or its first byte on; TLS has as much
ANSWER = 60.0  # seconds to take an answer
LARGEST = 1 << 16  # bytes of a request
_CHUNK = 1 << 16
_log = logging.getLogger("onext.exporter")


class Server(ThreadingHTTPServer):
    """Listens on one address; `::` takes IPv4 too."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], site: Site, access: Access) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        self.site = site
        self.access = access
        self.connections = Connections(most=64, each=32, reserved=16)
        self._places: dict[socket.socket, Place] = {}
        site.started = time.time()
        super().__init__(address, BaseHTTPRequestHandler)  # finish_request makes the handler

    def server_bind(self) -> None:
        """Bind, to both families where the address is `::`."""
        if self.address_family is socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401 - socketserver's
        """Refuse a connection beyond the limits."""
        place = self.connections.take(request, client_address[0])
        if place is not None:
            self._places[request] = place
        return place is not None

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Start a thread for one connection."""
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread can be started: its end will not give the place to others
            self.connections.release(self._places.pop(request))
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Serve one connection in its thread: a handshake that hangs holds up no other."""
        place = self._places.pop(request)
        try:
            request.settimeout(REQUEST)
            tls = self.access.gate().tls
            if tls is not None:
                request = tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                place.connection = request
                request.do_handshake()
            self.finish_request(request, client_address, place)
        except (OSError, OverflowError, WebConfigError) as error:
            _log.debug("%s: %s", client_address, error)
        except Exception:  # noqa: BLE001 - the outermost edge of a thread
            _log.exception("connection of %s", client_address)
        finally:
            self.connections.release(place)
            self.shutdown_request(request)

    def finish_request(self, request: Any, client_address: Any, place: Place | None = None) -> None:  # noqa: ANN401
        """Answer the requests of one connection."""
        assert place is not None
        _Handler(request, client_address, self, place)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log why a connection could not be served: no thread is available."""
        _log.warning("connection of %s ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "onext-exporter"
    sys_version = ""

    def __init__(self, request: Any, client_address: Any, server: Server, place: Place) -> None:  # noqa: ANN401
        self._place = place
        super().__init__(request, client_address, server)

    def setup(self) -> None:
        """Read within a deadline."""
        super().setup()
        self.rfile.close()
        self._reader = DeadlineReader(self.connection, REQUEST, LARGEST)
        self.rfile = io.BufferedReader(self._reader)

    def handle(self) -> None:
        """Answer one request after the other."""
        self.close_connection = True
        self.handle_one_request()
        while not self.close_connection:
            self.server.connections.answered(self._place)
            self._reader.restart(IDLE, LARGEST)
            if not self.rfile.peek(1):  # type: ignore[attr-defined]  # it is a BufferedReader
                return
            self._reader.restart(REQUEST, LARGEST)
            self.handle_one_request()

    def do_GET(self) -> None:
        """Answer, when the user may ask."""
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body would be taken for the next request
        if not self._may_ask():
            self.close_connection = True
            self._send(forbidden())
            return
        self.server.connections.allowed(self._place)
        gzip = accepts_gzip(self.headers.get("Accept-Encoding", ""))
        try:
            answer = self.server.site.answer(self.path.partition("?")[0], gzip=gzip)
        except Exception:  # noqa: BLE001 - the outermost edge: logged, and the server stays
            _log.exception("%.200r", self.path)
            answer = internal_error()
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815 - the base class calls it by this name

    def _may_ask(self) -> bool:
        try:
            return self.server.access.gate().users.allow(self.headers.get("Authorization"))
        except WebConfigError:
            return False

    def _send(self, answer: Answer) -> None:
        self.connection.settimeout(REQUEST)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if answer.encoding:
            self.send_header("Content-Encoding", answer.encoding)
        if answer.login:
            self.send_header("WWW-Authenticate", 'Basic realm="onext"')
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self._write(answer.body)

    def _write(self, body: bytes) -> None:
        ends = time.monotonic() + ANSWER
        for start in range(0, len(body), _CHUNK):  # over TLS a timeout is for each 16 KB
            self.connection.settimeout(max(0.001, ends - time.monotonic()))
            self.wfile.write(body[start : start + _CHUNK])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
        """Log nothing for each request."""


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip: named, or by `*`, and not with `q=0`."""
    weights: dict[str, float] = {}
    for item in header[:1024].lower().split(",")[:32]:
        coding, *parameters = (word.strip() for word in item.split(";"))
        weights[coding] = _weight(parameters)
    named = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return named > 0


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
