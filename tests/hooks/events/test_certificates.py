"""Sinks whose other end shows a certificate that nobody vouches for, or that of another name."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks.events.delivery import Unavailable
from hooks.events.sinks.configured import build
from onext.settings.events import EventSink
from tests.fixtures_tls import certify
from tests.hooks.events.test_brokers import event

pytestmark = pytest.mark.process
SCHEMES = {"http": "https", "amqp": "amqps", "mqtt": "mqtts", "nats": "tls"}


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Listen with TLS and the certificate in a folder; yield the port, and what came through the encryption."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    read: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.settimeout(5)
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(connection, server_side=True) as encrypted,
                ):
                    read.append(encrypted.recv(4096))
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], read
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def sink(folder: Path, kind: str, url: str, **more: object) -> EventSink:
    """Return the settings of a sink."""
    file = folder / f"{kind}.url"
    file.write_text(url)
    file.chmod(0o600)
    target = {"amqp": "amq.topic", "mqtt": "onext", "nats": "onext"}.get(kind)
    chosen = {"target": target} if target else {}
    return EventSink.model_validate(
        {"name": kind, "kind": kind, "url_file": file, "private": True, **chosen, **more}
    )


@pytest.mark.parametrize("kind", ["http", "amqp"])
@pytest.mark.parametrize("trusted", [False, True], ids=["unknown authority", "another name"])
def test_a_wrong_certificate_gets_no_event_and_no_password(
    tmp_path: Path, kind: str, *, trusted: bool
) -> None:
    """Whoever redirects the traffic could read all events, and the password of the sink."""
    certify(tmp_path)
    more = {"ca_file": tmp_path / "cert.pem"} if trusted else {}
    with listening(tmp_path) as (port, read):
        name = "localhost" if trusted else "127.0.0.1"  # the certificate is that of 127.0.0.1
        made = build(
            sink(tmp_path, kind, f"{SCHEMES[kind]}://user:s3cret@{name}:{port}/x", **more), "/zone/0"
        )
        with pytest.raises(Unavailable) as failure:
            made.send(event(), 1)
        made.close()
    assert "ertificate" in str(failure.value) or "ostname" in str(failure.value)
    assert "s3cret" not in str(failure.value)
    assert b"".join(read) == b""
