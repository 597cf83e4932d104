"""The conversation between driver and helper."""

import os
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate import json_lines
from drivers.vmm.migrate.onext_migrate.json_lines import Closed, JsonLines
from tests.drivers.vmm.migrate.clock import Clock


@pytest.fixture
def pair() -> Iterator[tuple[JsonLines, int]]:
    """Return one side, and where the other side writes."""
    inward, theirs = os.pipe()
    nothing, outward = os.pipe()
    yield JsonLines(inward, outward), theirs
    for descriptor in (inward, theirs, nothing, outward):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test closed it


@given(st.lists(st.integers(1, 30), max_size=10))
def test_however_the_bytes_come(cuts: list[int]) -> None:
    """A stream may be cut anywhere."""
    inward, theirs = os.pipe()
    lines = JsonLines(inward, theirs)
    data = b'{"a": 1}\n{"b": "\\u00e9"}\n\n{"c": [1, 2]}\n'
    try:
        for cut in [*cuts, len(data)]:
            os.write(theirs, data[:cut])
            data = data[cut:]
        assert [lines.receive(1) for _ in range(3)] == [{"a": 1}, {"b": "é"}, {"c": [1, 2]}]
        assert lines.receive(0) is None
    finally:
        lines.close()


@pytest.mark.parametrize("said", [b"Last login: today\n", b"[1]\n", b"\xff\xfe\n"])
def test_another_language(pair: tuple[JsonLines, int], said: bytes) -> None:
    """A login script that greets must not be taken for an answer."""
    lines, theirs = pair
    os.write(theirs, said)
    with pytest.raises(Closed, match="not a message of this protocol"):
        lines.receive(1)


def test_a_line_without_an_end(pair: tuple[JsonLines, int]) -> None:
    """Whatever floods us must not fill the memory."""
    lines, theirs = pair
    os.write(theirs, b"x" * 65536)
    assert lines.receive(0.1) is None
    os.write(theirs, b"x")
    with pytest.raises(Closed, match="without an end"):
        lines.receive(0.1)


def test_over_is_over() -> None:
    """Error paths meet: a second close must not hit a descriptor that has become another file."""
    inward, outward = os.pipe()
    lines = JsonLines(inward, outward)
    lines.close()
    lines.close()
    with pytest.raises(Closed, match="over"):
        lines.send({})


def test_the_end(pair: tuple[JsonLines, int]) -> None:
    """The other process must notice."""
    lines, theirs = pair
    os.close(theirs)
    with pytest.raises(Closed):
        lines.receive(1)


def test_what_is_sent_is_received() -> None:
    """Each message is one line, in the order in which it was sent."""
    theirs, outward = os.pipe()
    inward, _ = os.pipe()
    with os.fdopen(theirs, "rb") as reader:
        lines = JsonLines(inward, outward)
        lines.send({"do": "close"})
        lines.send({"a": "\n"})
        lines.close()
        assert reader.read() == b'{"do": "close"}\n{"a": "\\n"}\n'


def test_whether_there_is_anything_to_read(pair: tuple[JsonLines, int]) -> None:
    """The driver sends probes until the far end speaks: what was read already counts as well."""
    lines, theirs = pair
    assert not lines.has_message(0)
    os.write(theirs, b'{"a": 1}\n{"b": 2}\n')
    assert lines.has_message(0)
    assert lines.receive(0) == {"a": 1}
    assert lines.has_message(0)
    assert lines.receive(0) == {"b": 2}
    assert not lines.has_message(0)


def test_an_answer_is_waited_for(pair: tuple[JsonLines, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks only once finds every node silent; whoever waits on after a half line waits for ever."""
    lines, theirs = pair
    clock, waited = Clock(), list[float]()

    def wait(*words: Any) -> tuple[list[int], list[int], list[int]]:
        waited.append(words[3])
        clock.now += 2
        os.write(theirs, b"half a line")
        return [lines.inward], [], []

    monkeypatch.setattr(json_lines, "time", clock)
    monkeypatch.setattr(select, "select", lambda *words: wait(*words) if words[3] else ([], [], []))
    assert lines.receive(5) is None
    assert waited == [5, 3, 1]


def test_one_socket_for_both_ways_is_closed_once() -> None:
    """The second close would hit whatever has the number by then."""
    ours, theirs = socket.socketpair()
    descriptor = ours.detach()
    JsonLines(descriptor, descriptor).close()
    with theirs:
        assert theirs.recv(1) == b""
