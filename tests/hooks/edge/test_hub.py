"""The hub's process: what it does when others change the machine under it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from hooks.edge import hub
from tests.hooks.edge.front_end import wireguard_key
from tests.waiting import until

LIST: dict[str, Any] = {
    "interface": "onext-edge",
    "address": "fd00::1",
    "pool": "fd00::/64",
    "port": 51820,
    "mtu": 1420,
    "node_ports": [[22, 22]],
    "own_ports": [8443],
    "peers": [],
}


def test_rules_that_another_program_flushes_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `systemctl restart nftables` all nodes reached all ports of the front-end and all clusters."""
    tables, ended = set[str](), list[int]()

    def run(*words: str, text: str | None = None) -> bytes:
        if words[:2] == ("nft", "-f"):
            assert text is not None
            assert "    drop" in text
            tables.add("table inet onext_edge")
        return "\n".join(tables).encode() if words[:2] == ("nft", "list") else b""

    monkeypatch.setattr(hub, "_run", run)
    monkeypatch.setattr(hub, "GUARD", 0.01)
    monkeypatch.setattr(hub, "POLL", 0.01)
    monkeypatch.setattr(hub.Device, "_present", staticmethod(lambda _: True))
    monkeypatch.setattr(hub, "_forward", lambda _: None)
    (tmp_path / "hub.json").write_text(json.dumps(LIST))
    (tmp_path / "hub.key").write_text(wireguard_key())
    process = threading.Thread(target=hub.run, args=(tmp_path / "hub.json", tmp_path / "hub.key", ended))
    process.start()
    try:
        until(lambda: bool(tables), "the rules")
        (tmp_path / "hub.json").write_text("half a list")
        tables.clear()
        until(lambda: bool(tables), "the rules again")
    finally:
        ended.append(1)
        process.join()
