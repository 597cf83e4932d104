"""One request to a front-end's endpoint: the certificate is compared before anything is sent."""

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import threading
import time
from typing import Any, Callable, Dict, Iterable, Iterator, Tuple

from edge import messages
from edge.errors import NotReady, Unreachable, WrongServer
from edge.word import IN_TUNNEL, Server

TIMEOUT = 90.0  # seconds; many nodes may join at once
CONNECT, HANDSHAKE = 5.0, 20.0
AGAIN = 2.0  # seconds between two attempts
_NO_ROOM = (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)  # of a server that many ask at once


def ask(
    servers: Iterable[Server],
    asked: messages.Asked,
    key: str,
    patience: float = 0.0,
    seconds: float = TIMEOUT,
    say: Callable[[str], None] = lambda _: None,
) -> Dict[str, Any]:
    """Return the answer of the first server that gives one; raise Unreachable, WrongServer or Refused.

    Each server has `seconds` for its answer.
    Servers that are not ready (no leader yet, a worker that restarts, too many connections) are asked again
    for `patience` seconds, and `say` is told why, once.
    """
    known, ends, told = list(servers), time.monotonic() + patience, False
    while True:
        try:
            return _ask(known, asked, key, seconds)
        except NotReady as error:
            if time.monotonic() > ends:
                raise
            if not told:
                say(f"{error}; trying again for {patience:.0f} s")
            told = True
        time.sleep(AGAIN)


def _ask(servers: Iterable[Server], asked: messages.Asked, key: str, seconds: float) -> Dict[str, Any]:
    problems, waiting, wrong = [], False, 0
    for server in servers:
        try:
            status, data = _post(server, asked.data, seconds)
            if status == 200:
                return messages.opened(asked, key, data)
        except (OSError, http.client.HTTPException) as error:
            problems.append(f"{server.host}:{server.port}: {getattr(error, 'strerror', None) or error}")
            waiting = waiting or isinstance(error, _NO_ROOM)
            continue
        except WrongServer as error:
            problems.append(str(error))
            wrong += 1
            continue
        waiting = waiting or status == 503
        problems.append(f"{server.host}:{server.port}: {_reason(status, data)}")
    if problems and wrong == len(problems):
        raise WrongServer("; ".join(problems))
    kind = NotReady if waiting else Unreachable
    raise kind("no front-end answered: " + "; ".join(problems))


def _post(server: Server, data: bytes, seconds: float) -> Tuple[int, bytes]:
    with opened(server) as stream:
        stream.settimeout(seconds)
        with _within(stream, seconds):
            return _exchange(server, stream, data)


@contextlib.contextmanager
def _within(stream: ssl.SSLSocket, seconds: float) -> Iterator[None]:
    """Cut a connection off after some seconds: a timeout of a socket begins anew with each byte."""
    late = threading.Event()
    timer = threading.Timer(seconds, _cut, [stream, late])
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():
        raise socket.timeout("timed out")


def _cut(stream: ssl.SSLSocket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(stream, socket.SHUT_RDWR)  # TLS's own is not for another thread


@contextlib.contextmanager
def opened(server: Server) -> Iterator[ssl.SSLSocket]:
    """Connect to a front-end's endpoint; raise WrongServer where its certificate is another one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the hash below decides, before a byte of the request is sent
    with socket.create_connection((server.host, server.port), CONNECT) as plain:
        plain.settimeout(HANDSHAKE)
        with context.wrap_socket(plain, server_hostname=server.host, do_handshake_on_connect=False) as stream:
            with _within(stream, HANDSHAKE):
                stream.do_handshake()
            _compare(server, stream.getpeercert(binary_form=True) or b"")
            yield stream


def _compare(server: Server, certificate: bytes) -> None:
    if server.digest == IN_TUNNEL:
        return
    if not hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), server.digest):
        raise WrongServer(
            f"{server.host}:{server.port} has a certificate that the token does not name: nothing was sent"
        )


def _exchange(server: Server, stream: ssl.SSLSocket, data: bytes) -> Tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.sock = stream
    connection.request("POST", "/edge", data, {"Content-Type": "application/json", "Connection": "close"})
    answer = connection.getresponse()
    body = answer.read(messages.LARGEST + 1)
    if len(body) > messages.LARGEST:
        raise WrongServer(f"{server.host}:{server.port}: the answer is too large")
    return answer.status, body


def _reason(status: int, data: bytes) -> str:
    try:
        return messages.printable(json.loads(data.decode())["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"HTTP {status}"
