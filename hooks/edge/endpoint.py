"""The HTTPS endpoint: a process without rights, which hands requests to the worker and answers to nodes.

It makes its own key and certificate at the first start and publishes the certificate, whose hash is in join
tokens. It can read what passes, but requests are signed by nodes and answers by the worker.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge import relay
from hooks.edge import relays
from onext import unix_service
from onext.connections import Connections, Place
from onext.deadline import DeadlineReader

LARGEST, LARGEST_ANSWER = 65_536, 4 << 20  # bytes
_Connection = socket.socket | tuple[bytes, socket.socket]  # of the base classes; here always the first
REQUEST, WORKER = 10.0, 80.0  # seconds for a whole request, for the worker's answer; TLS has REQUEST too
MOST, EACH, RESERVED = 256, 64, 64  # connections: of all, of one address, for addresses of nodes
_YEARS = 20
_AGREED = (
    f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {relay.PROTOCOL}\r\n\r\n".encode()
)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Return key and certificate (PEM) in `folder`, made where they are missing."""
    key_file, certificate_file = folder / "endpoint.key", folder / "endpoint.pem"
    if key_file.exists() and certificate_file.exists():
        return key_file, certificate_file
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "onext edge endpoint")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key_file, private, 0o600)
    _write(certificate_file, made.public_bytes(serialization.Encoding.PEM), 0o644)
    return key_file, certificate_file


def _write(file: Path, content: bytes, mode: int) -> None:
    draft = file.with_name(f".{file.name}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "onext-edge", ""
    server: Endpoint

    def __init__(self, request: _Connection, client_address: object, server: Endpoint, place: Place) -> None:
        self._place = place
        super().__init__(request, client_address, server)

    def setup(self) -> None:
        """Read within a deadline."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(DeadlineReader(self.connection, REQUEST, 2 * LARGEST))

    def do_POST(self) -> None:
        """Hand one request to the worker."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/edge" or not (length.isascii() and length.isdigit() and len(length) < 8):
            return self._send(404, b'{"error": "POST /edge with a Content-Length"}')
        if int(length) > LARGEST:
            return self._send(413, b'{"error": "too large"}')
        data = self.rfile.read(int(length))
        self.server.connections.asked(self._place)
        try:
            status, body = forward(self.server.worker, data)
        except (OSError, ValueError):
            status, body = 503, b'{"error": "the worker of this server does not answer"}'
        if status == 200:
            self.server.connections.allowed(self._place)
        return self._send(status, body)

    def do_GET(self) -> None:
        """Relay a node's datagrams; answer 404 to any other GET."""
        if self.path == relay.PATH and self.headers.get("Upgrade") == relay.PROTOCOL:
            return self._relay()
        return self._send(404, json.dumps({"error": "nodes join here: onext-edge.pyz join TOKEN"}).encode())

    def _relay(self) -> None:
        port, stream = self.server.hub.now(), self.connection
        place = self.server.relays.take(stream, self.client_address[0]) if port else None
        if place is None or not isinstance(stream, ssl.SSLSocket):
            return self._send(503, b'{"error": "no place for a relay"}')
        try:
            self.close_connection = True
            self.server.connections.release(self._place)  # others may ask
            self.wfile.write(_AGREED)
            relays.carry(stream, port, lambda: self.server.relays.allowed(place))
        finally:
            self.server.relays.release(place)

    def _send(self, status: int, body: bytes) -> None:
        self.close_connection = True
        self.connection.settimeout(REQUEST)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Log nothing: the worker logs what it is asked."""


def forward(worker: Path, data: bytes) -> tuple[int, bytes]:
    """Return the worker's status and answer; raise OSError or ValueError."""
    return unix_service.ask(worker, data, seconds=WORKER, largest=LARGEST_ANSWER)


class Endpoint(ThreadingHTTPServer):
    """The server: a bounded number of threads, TLS within each; relays have places of their own."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext, worker: Path, hub_list: Path | None = None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.worker, self._context = worker, context
        self.hub = relays.HubPort(hub_list)
        self.relays = Connections(relays.MOST, relays.EACH, relays.RESERVED)
        self.connections = Connections(MOST, EACH, RESERVED)
        self._places: dict[_Connection, Place] = {}
        super().__init__(address, BaseHTTPRequestHandler)  # finish_request makes the handler

    def server_bind(self) -> None:
        """Listen for IPv4 too, where the address is [::]."""
        if self.address_family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def verify_request(self, request: _Connection, client_address: Any) -> bool:  # noqa: ANN401 - socketserver's
        """Refuse a connection beyond the limits."""
        assert isinstance(request, socket.socket)
        place = self.connections.take(request, client_address[0])
        if place is not None:
            self._places[request] = place
        return place is not None

    def process_request(self, request: _Connection, client_address: Any) -> None:  # noqa: ANN401
        """Serve a connection in a thread."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self.connections.release(self._places.pop(request))
            self.shutdown_request(request)

    def process_request_thread(self, request: _Connection, client_address: object) -> None:
        """Serve a connection; its handshake has a deadline too."""
        place = self._places.pop(request)
        try:
            assert isinstance(request, socket.socket)
            request.settimeout(REQUEST)
            request = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            place.connection = request
            request.do_handshake()
            _Handler(request, client_address, self, place)
        except (OSError, ValueError, OverflowError):
            pass
        finally:
            self.connections.release(place)
            self.shutdown_request(request)

    def handle_error(self, request: _Connection, client_address: object) -> None:
        """Log nothing for what a stranger sends."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="[::]:8443", metavar="[ADDRESS]:PORT")
    parser.add_argument("--state", type=Path, required=True, help="folder of the key and certificate")
    parser.add_argument("--publish", type=Path, required=True, help="file for a copy of the certificate")
    parser.add_argument("--worker", type=Path, required=True, help="the worker's Unix socket")
    parser.add_argument(
        "--hub-list", type=Path, help="the hub's list, whose port relays use; none without it"
    )
    given = parser.parse_args(arguments)
    key, certificate = make_certificate(given.state)
    _write(given.publish, certificate.read_bytes(), 0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    host, _, port = given.listen.rpartition(":")
    with Endpoint((host.strip("[]"), int(port)), context, given.worker, given.hub_list) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
