"""The steps of a join, in their order."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge import answer, keys, membership, narrowing, places, server, system_files, tunnel, word
from edge.errors import Refused
from tests.edge.test_program import KEY, told


@pytest.mark.parametrize("present", [False, True])
def test_the_hub_knows_a_node_before_its_first_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: bool
) -> None:
    """WireGuard repeats a handshake after five seconds: most of a join was spent in waiting for it."""
    steps: list[str] = []

    def step(name: str) -> dict[str, Any]:
        steps.append(name)
        return told()

    monkeypatch.setattr(word, "read", lambda _: word.Word((), "0" * 64, ""))
    monkeypatch.setattr(narrowing, "bind", lambda *_: "")
    monkeypatch.setattr(keys, "wireguard", lambda _: KEY)
    monkeypatch.setattr(keys, "ssh", lambda _: "ssh-ed25519 x")
    monkeypatch.setattr("edge.host_key.proof", lambda *_: "")
    monkeypatch.setattr(server, "ask", lambda *_, **__: step("admitted"))
    monkeypatch.setattr(tunnel, "other_way", lambda _: "")
    monkeypatch.setattr(tunnel, "present", lambda: present)
    clock = SimpleNamespace(sleep=lambda _: step("wait"), time=lambda: 1000.0)
    monkeypatch.setattr(membership, "time", clock)
    monkeypatch.setattr(membership, "ready", lambda *_: step("tunnel"))
    membership.join(places.Places(str(tmp_path)), "", "edge-1", 0.0, lambda _: None)
    assert steps == (["admitted", "tunnel"] if present else ["admitted", "wait", "tunnel"])


@pytest.mark.parametrize(("state", "done"), [("MONITORED", True), ("ERROR", False), ("", False)])
def test_a_host_that_opennebula_does_not_monitor_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, done: bool
) -> None:
    """A script went on, and no VM was ever placed there."""
    said: list[str] = []
    monkeypatch.setattr(membership, "through_tunnel", lambda *_: told(host=3, host_state=state))
    monkeypatch.setattr(tunnel, "up", lambda *_: None)
    monkeypatch.setattr(system_files, "apply", lambda *_: None)
    monkeypatch.setattr(system_files, "install_service", lambda _: True)
    here = places.Places(str(tmp_path))
    assert membership.ready(here, answer.checked(told()), 0.0, said.append) is done
    assert any("oned.log" in line for line in said) is not done


def test_a_node_that_was_revoked_learns_it_by_rejoin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited for a minute, and its administrator looked for a fault of the network."""

    def ask(*_: object) -> None:
        raise Refused("this node is revoked")

    monkeypatch.setattr(membership, "ask", ask)
    with pytest.raises(Refused, match="revoked"):
        membership.renewed(places.Places(str(tmp_path)), answer.checked(told()))
