"""Exporters that only some hosts have."""

from __future__ import annotations

import socket
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from hooks.targets import answering_exporters
from hooks.targets.answering_exporters import Answering


class Network:
    """Hosts and ports that answer, and what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: set[tuple[str, int]] = set()
        self.asked: list[tuple[str, int]] = []
        self.now = 1000.0
        monkeypatch.setattr(socket, "create_connection", self._connect)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def _connect(self, address: tuple[str, int], timeout: float) -> AbstractContextManager[None]:
        assert timeout == answering_exporters.PATIENCE
        self.asked.append(address)
        if address not in self.open:
            raise ConnectionRefusedError
        return nullcontext()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Return hosts of which none answers."""
    return Network(monkeypatch)


def test_what_answered_stays_and_the_rest_is_asked_now_and_then(network: Network, tmp_path: Path) -> None:
    """A dead exporter would vanish instead of raising an alert, or 1,250 hosts be asked each minute."""
    network.open = {("a", 1), ("b", 2)}
    found = Answering(tmp_path / "state/ports")
    assert found.of(["a", "b", "c"], ["a", "b"], [1, 2]) == {("a", 1), ("b", 2)}
    assert sorted(network.asked) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    network.open = {("a", 2)}
    assert found.of(["a", "b", "c"], ["a", "b"], [1, 2]) == {("a", 1), ("b", 2)}
    assert len(network.asked) == 4
    network.now += answering_exporters.AGAIN
    assert found.of(["a", "b", "c"], ["a", "b"], [1, 2]) == {("a", 1), ("a", 2), ("b", 2)}
    assert network.asked[4:] in ([("a", 2), ("b", 1)], [("b", 1), ("a", 2)])
    assert found.of(["a", "b"], ["a", "b"], [2]) == {("a", 2), ("b", 2)}
    after = Answering(tmp_path / "state/ports")
    assert after.of(["a", "b"], [], [1, 2]) == {("a", 1), ("a", 2), ("b", 2)}  # both sleep, and are known
    assert after.of(["a"], [], [1, 2]) == {("a", 1), ("a", 2)}
    assert Answering(tmp_path / "state/ports").of(["a", "b"], [], [1, 2]) == {("a", 1), ("a", 2)}


@pytest.mark.parametrize("content", ["", "[]", '{"a": 5}', '{"a": ["x"]}', "[" * 50_000])
def test_a_damaged_file_counts_as_nothing_known(network: Network, tmp_path: Path, content: str) -> None:
    """A cut file would end every pass."""
    (tmp_path / "ports").write_text(content)
    assert Answering(tmp_path / "ports").of(["a"], ["a"], [1]) == frozenset()


def test_C2_a_full_disk_costs_the_memory_alone(network: Network, tmp_path: Path) -> None:
    """A disk that is full would end the pass."""
    (tmp_path / "file").touch()
    network.open = {("a", 1)}
    assert Answering(tmp_path / "file/ports").of(["a"], ["a"], [1]) == {("a", 1)}
