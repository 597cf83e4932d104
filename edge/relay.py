"""One hub's way over TLS, where UDP does not pass: a thread between WireGuard and an endpoint."""

import socket
import ssl
import threading
from typing import Optional

from edge import server
from edge.errors import EdgeError, Unreachable
from edge.line import Line
from edge.word import Server

LOOPBACK = "127.0.0.1"
PATH, PROTOCOL = "/edge/relay", "onext-edge-relay"
_ANSWER = 10.0  # seconds for the endpoint's answer
_HEAD = 4096  # bytes of the endpoint's answer, before datagrams begin


class Relay:
    """A thread that connects, then carries; WireGuard finds it at `endpoint`."""

    def __init__(self, target: Server, port: int) -> None:
        """Begin for the front-end `target`; `port` is WireGuard's on this machine."""
        self.endpoint = ""  # ADDRESS:PORT, once the front-end agreed
        self.problem = ""  # why it ended
        self._target, self._port, self._closed = target, port, threading.Event()
        self._line: Optional[Line] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it connects or carries."""
        return self._thread.is_alive()

    def hold(self, held: bool) -> None:
        """Deliver nothing until released."""
        if self._line is not None:
            self._line.hold(held)

    def close(self) -> None:
        """End it."""
        self._closed.set()
        if self._line is not None:
            self._line.end()

    def _run(self) -> None:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.bind((LOOPBACK, 0))
                datagrams.connect((LOOPBACK, self._port))
                with server.opened(self._target) as stream:
                    upgrade(self._target, stream)
                    self._carry(stream, datagrams)
        except (OSError, EdgeError) as error:
            self.problem = str(error)

    def _carry(self, stream: ssl.SSLSocket, datagrams: socket.socket) -> None:
        line = Line(stream, datagrams)
        self._line = line
        if self._closed.is_set():
            return
        self.endpoint = "{}:{}".format(*datagrams.getsockname())
        self.problem = line.run()


def upgrade(target: Server, stream: ssl.SSLSocket) -> None:
    """Ask the endpoint for a place; raise Unreachable."""
    head = f"GET {PATH} HTTP/1.1\r\nHost: {target.host}\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\r\n"
    stream.settimeout(_ANSWER)
    stream.sendall(head.encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):  # one by one: what follows are datagrams
        byte = stream.recv(1)
        answer += byte
        if not byte or len(answer) > _HEAD:
            break
    if answer.split(b" ")[1:2] != [b"101"]:
        raise Unreachable(f"{target.host}:{target.port}: no place for a relay")
