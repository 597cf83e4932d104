"""The door for HTTP: answers, refusals, and servers that do not behave."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from onext.http import Http, HttpError
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer each connection with the given bytes, again and again until the client goes."""
    ended = threading.Event()
    with contextlib.ExitStack() as stack:

        def start(head: bytes, drip: bytes = b"") -> str:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run() -> None:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(head)
                    while drip and not ended.wait(0.02):
                        connection.sendall(drip)

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(ended.set)
            return f"http://127.0.0.1:{server.getsockname()[1]}/metrics"

        yield start
        ended.set()


def answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_an_answer(serve: Serve) -> None:
    """The main job."""
    with contextlib.closing(Http()) as http:
        assert http.get(serve(answer("200 OK", b"page")), timeout=PATIENCE).body == b"page"


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "500 Error"])
def test_other_statuses_and_redirects_are_failures(serve: Serve, status: str) -> None:
    """A tenant's exporter must not send us elsewhere."""
    url = serve(answer(status, b"", "Location: http://169.254.169.254/"))
    with contextlib.closing(Http()) as http, pytest.raises(HttpError, match=f"HTTP {status[:3]}"):
        http.get(url, timeout=PATIENCE)


def test_an_endless_answer_is_ended(serve: Callable[..., str]) -> None:
    """A broken exporter that sends a gigabyte must not eat ours."""
    url = serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 100_000)
    with (
        contextlib.closing(Http(size=1_000_000)) as http,
        pytest.raises(HttpError, match="more than 1000000"),
    ):
        http.get(url, timeout=PATIENCE)


def test_a_dripping_answer_is_ended(serve: Callable[..., str]) -> None:
    """A byte now and then meets no time-out of a single read."""
    url = serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x")
    with contextlib.closing(Http()) as http, pytest.raises(HttpError, match="in time"):
        http.get(url, timeout=0.3)


def test_nobody_there_and_no_password_in_the_message() -> None:
    """Logs are read by more people than passwords are for."""
    with contextlib.closing(Http()) as http, pytest.raises(HttpError, match="Connection refused") as failure:
        http.post("http://me:secret@127.0.0.1:1/hook?token=secret", b"{}", timeout=2)
    assert "secret" not in str(failure.value)
