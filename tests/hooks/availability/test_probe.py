"""The light probe tells hosts whose sshd greets from those that are silent, all within one deadline."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.availability import collect_evidence, probe
from hooks.availability.collect_evidence import Subject
from hooks.availability.evidence import Finding
from onext import process, ssh
from onext.settings import Settings

pytestmark = pytest.mark.process


@pytest.fixture
def servers() -> Iterator[dict[str, tuple[str, int]]]:
    """Listen as an sshd, as a hung process, as another protocol, and nowhere."""
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in ("ssh", "hung", "http")}
    greetings = {"ssh": b"SSH-2.0-OpenSSH_9.2\r\n", "http": b"HTTP/1.1 400\r\n"}
    held: list[socket.socket] = []

    def serve(name: str) -> None:
        try:
            while True:
                connection, _ = sockets[name].accept()
                connection.sendall(greetings[name])
                held.append(connection)
        except OSError:
            return

    threads = [threading.Thread(target=serve, args=(name,), daemon=True) for name in greetings]
    for thread in threads:
        thread.start()
    closed = socket.create_server(("127.0.0.1", 0))
    nowhere = closed.getsockname()[1]
    closed.close()
    yield {name: ("127.0.0.1", one.getsockname()[1]) for name, one in sockets.items()} | {
        "closed": ("127.0.0.1", nowhere)
    }
    for one in (*sockets.values(), *held):
        one.shutdown(socket.SHUT_RDWR) if one in held else None
        one.close()


def test_only_a_greeting_of_sshd_shows_life(servers: dict[str, tuple[str, int]]) -> None:
    """A hung host accepts connections in its kernel and answers nothing."""
    names = list(servers)
    began = time.monotonic()
    found = probe.greetings({n: servers[name] for n, name in enumerate(names)}, timeout=1.0)
    assert {name: found[n] for n, name in enumerate(names)} == {
        "ssh": True,
        "hung": False,
        "http": False,
        "closed": False,
    }
    assert time.monotonic() - began < 30.0  # ends at all


def test_silence_is_counted_by_a_clock_that_only_advances() -> None:
    """A jump of the time of day must not make every host suspect."""
    clock = [100.0]
    heard = probe.Heard(lambda: clock[0])
    heard.note({1: False, 2: True})
    assert heard.silent(1) == 0.0, "a host is not suspected by the first probe of a new process"
    clock[0] = 150.0
    heard.note({1: False, 2: True})
    assert (heard.silent(1), heard.silent(2)) == (50.0, 0.0)
    heard.note({2: True})
    assert heard.silent(1) == 0.0


def test_ssh_is_asked_once_an_hour_where_a_host_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that moved to another port would be taken for silent until the worker is restarted, and fenced."""
    clock, answers = [0.0], [b"hostname 10.0.0.9\nport 2222\n", b"port 70000\nuser root\n", b"port 23\n"]
    asked: list[list[str]] = []

    def run(argv: list[str], timeout: float) -> process.Completed:
        asked.append(argv)
        return process.Completed(tuple(argv), 0, answers[len(asked) - 1], b"")

    monkeypatch.setattr(process, "run", run)
    ports = probe.Ports(lambda: clock[0])
    assert ports.where("a") == ("10.0.0.9", 2222)
    clock[0] = 3600.0
    assert ports.where("a") == ("10.0.0.9", 2222)
    clock[0] = 3601.0
    assert ports.where("a") == ("a", 22), "a port that cannot be is not asked"
    assert ports.where("b", Path("/etc/own")) == ("b", 23)
    assert asked == [
        ["ssh", "-G", "--", "a"],
        ["ssh", "-G", "--", "a"],
        ["ssh", "-F", "/etc/own", "-G", "--", "b"],
    ]


@pytest.mark.parametrize(
    ("answer", "address"),
    [
        (b"hostname h\nport 1\n", ("h", 1)),
        (b"hostname h\nport 65535\n", ("h", 65535)),
        (b"hostname h\nport 0\n", ("h", 22)),
        (b"hostname h\nport 65536\n", ("h", 22)),
        (b"port 23\nhostnamecanonical x\nportx 9\n", ("a", 23)),
        (None, ("a", 22)),
    ],
)
def test_a_port_is_one_that_can_be_asked(
    answer: bytes | None, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host would be taken for silent, and fenced, because of a line in ssh's configuration."""

    def run(argv: list[str], timeout: float) -> process.Completed:
        if answer is None:
            raise process.CommandError(argv, f"still running after {timeout} s", None, b"")
        return process.Completed(tuple(argv), 0, answer, b"")

    monkeypatch.setattr(process, "run", run)
    assert probe.Ports().where("a") == address


def test_a_host_that_never_answered_is_not_taken_for_one_that_did() -> None:
    """A host that was off when the worker started would be suspected, or one that answered not be known as such."""
    clock = [100.0]
    heard = probe.Heard(lambda: clock[0])
    heard.note({1: False, 2: True})
    clock[0] = 130.0
    assert (heard.silent(1), heard.answered(1)) == (30.0, float("inf"))
    assert (heard.silent(2), heard.answered(2)) == (30.0, 30.0)
    assert (heard.silent(3), heard.answered(3)) == (0.0, float("inf"))
    heard.note({1: False})
    assert (heard.silent(2), heard.answered(2)) == (0.0, float("inf"))


def test_a_peer_asks_the_port_on_which_the_hosts_sshd_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server answers at another port: a host that its peers still reach would be taken for silent, and fenced."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-x\r\n")

        threading.Thread(target=greet, daemon=True).start()

        def run(_peer: str, words: list[str], **_: object) -> process.Completed:
            done = subprocess.run(words, capture_output=True, check=False)
            return process.Completed(tuple(words), done.returncode, done.stdout, b"")

        monkeypatch.setattr(ssh, "run", run)
        subject = Subject(1, "localhost", None, ("peer",), address=("127.0.0.1", port))
        (found,) = collect_evidence._peers(subject, Settings())
        assert found.finding is Finding.ALIVE
        (found,) = collect_evidence._peers(replace(subject, address=("127.0.0.1", 1)), Settings())
        assert found.finding is Finding.SILENT
