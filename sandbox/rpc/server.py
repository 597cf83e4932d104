"""The HTTP server: POST /RPC2, a thread per connection, connections kept open."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.rpc.wire import Chunks

_BACKLOG = 256
_TOGETHER = 65536  # smaller answers leave in one packet with their header


class Server(ThreadingHTTPServer):
    """Listens on loopback only."""

    daemon_threads = True
    request_queue_size = _BACKLOG

    answer: Callable[[bytes], Chunks]  # set before the first call is served

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def endpoint(self) -> str:
        """Return what clients call."""
        return f"http://127.0.0.1:{self.server_address[1]}/RPC2"

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: clients go away in the middle of answers."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        """Answer one call."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/RPC2":
            self.send_error(404)
            return
        try:
            chunks = self.server.answer(body)
        except ConnectionAbortedError:
            self.close_connection = True
            return
        self._send(chunks)

    def _send(self, chunks: Chunks) -> None:
        size = sum(map(len, chunks))
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if size > _TOGETHER:
            self.flush_headers()
            for start in range(0, len(chunks), 1000):
                self.wfile.write(b"".join(chunks[start : start + 1000]))
        else:
            self.wfile.write(b"".join(chunks))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the base class
        """Print nothing on stderr; oned.log has the calls."""
