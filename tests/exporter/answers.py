"""A stand-in for oned that answers whole pools from recorded documents; and the sampled pages around it."""

from __future__ import annotations

import re
import socket
import threading
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from tests.exporter import made_up
from tests.waiting import PATIENCE


@dataclass
class Answers:
    """Documents by method; None answers nothing at all. Counts the calls."""

    documents: dict[str, bytes | None]
    endpoint: str = ""
    calls: list[str] = field(default_factory=list)
    parameters: dict[str, tuple[object, ...]] = field(default_factory=dict)  # of each method's last call
    delay: threading.Event | None = None  # an answer waits for it
    refusals: dict[str, int] = field(default_factory=dict)  # codes of methods that are refused

    def answer(self, method: str) -> bytes:
        if code := self.refusals.get(method):
            return _http(
                b"<value><boolean>0</boolean></value><value><string>[%b] refused</string></value>"
                b"<value><i4>%d</i4></value>" % (method.encode(), code)
            )
        document = self.documents.get(method)
        if document is None:
            return b""
        return _http(
            b"<value><boolean>1</boolean></value><value><string>"
            + escape(document.decode()).encode()
            + b"</string></value><value><i4>0</i4></value>"
        )


def _http(values: bytes) -> bytes:
    """Return a whole answer of XML-RPC."""
    body = (
        b"<?xml version='1.0'?>\r\n<methodResponse><params><param><value><array><data>"
        + values
        + b"</data></array></value></param></params></methodResponse>"
    )
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def serve(documents: Mapping[str, bytes | None]) -> Iterator[Answers]:
    """Serve the documents on loopback."""
    answers = Answers(dict(documents))
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    answers.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/RPC2"

    def one(connection: socket.socket) -> None:
        with connection:
            call = b""
            while b"</methodCall>" not in call:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                call += chunk
            found = re.search(rb"<methodName>one\.([\w.]+)<", call)
            assert found
            method = found[1].decode()
            answers.calls.append(method)
            answers.parameters[method] = xmlrpc.client.loads(call.partition(b"\r\n\r\n")[2])[0][1:]
            if answers.delay:
                answers.delay.wait(PATIENCE)
            try:
                connection.sendall(answers.answer(method))
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def compact(document: bytes) -> bytes:
    """Return a pretty-printed recording as oned sends it: without white space between tags."""
    return re.sub(rb">\s+<", b"><", document.strip())


def recorded(recordings: Path) -> dict[str, bytes | None]:
    """Return the documents that OpenNebula's own exporter was given, and made-up ones of pools not recorded."""
    networks = recordings / "vnetpool.xml"
    return {
        "hostpool.info": (recordings / "hostpool.raw.xml").read_bytes(),
        "vmpool.infoextended": (recordings / "vmpool.infoextended.raw.xml").read_bytes(),
        "datastorepool.info": compact((recordings / "datastorepool.xml").read_bytes()),
        "zonepool.info": compact((recordings / "zonepool.xml").read_bytes()),
        "vnpool.info": compact(networks.read_bytes()) if networks.exists() else b"<VNET_POOL/>",
        "system.version": (recordings / "version.txt").read_bytes().strip(),
        **made_up.documents(),
    }


def samples(page: str) -> dict[str, float]:
    """Return the samples of a page: name and sorted labels -> value."""
    found = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            name, _, labels = series.rstrip("}").partition("{")
            found[name + "{" + ",".join(sorted(labels.split(","))) + "}"] = float(value)
    return found
