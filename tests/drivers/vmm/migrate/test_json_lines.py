"""The conversation between driver and helper."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate.json_lines import Closed, JsonLines


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
