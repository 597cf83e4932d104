"""A host whose libvirt answers over the network runs, whatever its sshd does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hooks.availability import collect_evidence, libvirt_probe
from hooks.availability.collect_evidence import Subject
from hooks.availability.evidence import Finding, Source, Verdict, judge
from hooks.availability.libvirt_probe import asked
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
LIBVIRT = struct.pack(">7I", 36, 0x20008086, 1, 66, 1, 0, 0)
HELLO = bytes.fromhex("160303007a020000")
ALERT = bytes.fromhex("15030300020246")


@contextmanager
def server(answer: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """Answer one question, or only hold the connection as a hung process does."""
    heard: list[bytes] = []
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            held.append(connection)
            heard.append(connection.recv(4096))
            if answer is not None:
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join()
    for connection in held:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "tls", "finding"),
    [
        (LIBVIRT, False, Finding.ALIVE),
        (HELLO, True, Finding.ALIVE),
        (ALERT, True, Finding.ALIVE),
        (b"HTTP/1.1 400 Bad Request\r\n", False, Finding.UNKNOWN),
        (b"HTTP/1.1 400 Bad Request\r\n", True, Finding.UNKNOWN),
        (LIBVIRT, True, Finding.UNKNOWN),
        (struct.pack(">7I", 27, 0x20008086, 1, 66, 1, 0, 0), False, Finding.UNKNOWN),
        (b"", False, Finding.SILENT),
        (None, True, Finding.SILENT),
    ],
)
def test_only_what_speaks_as_libvirt_does_is_libvirt(
    answer: bytes | None, tls: bool, finding: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything else at that port would keep the VMs of a dead host down, or a live one be taken for silent."""
    monkeypatch.setattr(libvirt_probe, "TIMEOUT", PATIENCE if answer else 0.5)
    with server(answer) as (port, heard):
        assert asked("127.0.0.1", {port: tls}).finding is finding
    assert (
        heard[0][:3] == b"\x16\x03\x01"
        if tls
        else heard[0] == struct.pack(">7I", 28, 0x20008086, 1, 66, 0, 0, 0)
    )


def test_one_port_that_answers_is_enough_and_a_refusal_shows_nothing() -> None:
    """The kernel of a host whose processes hang refuses, too; most hosts listen at one port or none."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    found = asked("127.0.0.1", {closed: True})
    assert (found.source, found.finding) == (Source.LIBVIRT, Finding.UNKNOWN)
    with server(LIBVIRT) as (port, _):
        found = asked("127.0.0.1", {closed: True, port: False})
    assert (found.finding, found.detail) == (Finding.ALIVE, f"port {port}")


def test_an_answer_of_libvirt_holds_the_incident(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose sshd crashed would be powered off with all its VMs."""
    with server(LIBVIRT) as (port, _):
        monkeypatch.setattr(libvirt_probe, "TLS", port)
        monkeypatch.setattr(libvirt_probe, "TCP", port)
        found = collect_evidence._libvirt(Subject(1, "host", None, address=("127.0.0.1", 22)))
    assert judge(found).verdict is Verdict.DEGRADED
    assert collect_evidence._libvirt(Subject(1, "no host name;", None)) == []
