"""Where nodes dial in from: read from a file that another process writes, and written for active nodes only."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hooks.edge import whereabouts
from hooks.edge.records import Node, State
from onext import spool
from onext.oned.objects import Host, HostState
from onext.part import Context
from onext.paths import Paths
from tests.hooks.edge.front_end import ssh_key, wireguard_key

NODE = Node("edge-1", 100, State.ACTIVE, "0" * 64, wireguard_key(), ssh_key(), "s", 1, 1.0, host=3)
SEEN = {NODE.wireguard: "9.9.9.9"}


def host(**template: str) -> Host:
    """Return the node's host."""
    return Host(3, "edge-1", HostState.MONITORED, 100, "edge", (), template)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"k": "9.9.9.9:1"}, {"k": "9.9.9.9"}), ({"k": "[2001:6b0::1]:1"}, {"k": "2001:6b0::1"}),
        ({"k": "10.0.0.1:5"}, {}), ({"k": "(none)"}, {}), ({"k": 7}, {}), ([], {}), ("x" * 99, {}), ({"k": "127.0.0.1:1"}, {}),
        ({"k": "dns.google:1"}, {}), ({"k": "8.8.8.8:" + "1" * 5}, {"k": "8.8.8.8"}), ({"k": "8.8.8.8:111111"}, {}),
        ({"k": "9.9.9.9:1", "l": "x"}, {"k": "9.9.9.9"}),
    ],
)  # fmt: skip
def test_only_public_addresses_count(tmp_path: Path, given: object, expected: dict[str, str]) -> None:
    """A private address has no place on a map."""
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps(given))
    assert whereabouts.read(file) == expected


def test_a_file_that_is_none_names_nobody(tmp_path: Path) -> None:
    """The hub's process may be an attacker's: a link would show the worker's own files, a pipe stop it."""
    real, link, pipe = (tmp_path / name for name in ("real", "link", "pipe"))
    real.write_text(json.dumps({"k": "9.9.9.9:1"}))
    link.symlink_to(real)
    os.mkfifo(pipe)
    assert whereabouts.endpoints(real) == {"k": "9.9.9.9:1"}
    for file in (link, pipe, tmp_path, tmp_path / "missing"):
        assert whereabouts.endpoints(file) == {}
    for text in ("[" * 100_000, "{", "\udcff"):
        real.write_text(text, errors="surrogateescape")
        assert whereabouts.endpoints(real) == {}


def test_its_size_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without an end would fill the worker's memory."""
    file = tmp_path / "endpoints.json"
    text = json.dumps({"k": "9.9.9.9:1"})
    file.write_text(text)
    monkeypatch.setattr(whereabouts, "LARGEST", len(text))
    assert whereabouts.read(file) == {"k": "9.9.9.9"}
    monkeypatch.setattr(whereabouts, "LARGEST", len(text) - 1)
    assert whereabouts.read(file) == {}


@pytest.mark.parametrize("state", State)
def test_only_active_nodes_are_located(state: State) -> None:
    """A host of the data centre with the number of a node that left would move on the map."""
    expected = {3: "9.9.9.9"} if state is State.ACTIVE else {}
    assert whereabouts.changes({0: replace(NODE, state=state)}, {3: host()}, SEEN) == expected


@pytest.mark.parametrize(
    ("template", "written"),
    [
        ({}, True), ({"GEOLOCATION_IP": "8.8.8.8", "ONEXT_EDGE_IP": "8.8.8.8"}, True),
        ({"GEOLOCATION_IP": "8.8.8.8"}, False), ({"GEOLOCATION_IP": "8.8.8.8", "ONEXT_EDGE_IP": "1.1.1.1"}, False),
        ({"GEOLOCATION_IP": "9.9.9.9", "ONEXT_EDGE_IP": "9.9.9.9"}, False), ({"ONEXT_EDGE_IP": "8.8.8.8"}, False),
    ],
)  # fmt: skip
def test_what_a_person_wrote_stays(template: dict[str, str], written: bool) -> None:
    """An address that a person wrote must survive, and one that a person removed stay removed."""
    found = whereabouts.changes({0: NODE}, {3: host(**template)}, SEEN)
    assert found == ({3: "9.9.9.9"} if written else {})


def test_nodes_without_a_host_or_an_address_are_passed_over() -> None:
    """One of them would keep all others from being located."""
    other = replace(NODE, host=4, wireguard=wireguard_key())
    nodes = {0: replace(NODE, host=-1), 1: other, 2: NODE}
    assert whereabouts.changes(nodes, {3: host(), 4: host()}, SEEN) == {3: "9.9.9.9"}


def test_a_host_that_moved_is_located_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oned starts no hook for a template: the host would keep its old place for hours."""
    updated: list[tuple[int, dict[str, str]]] = []
    asked: list[None] = []

    def hosts() -> list[Host]:
        asked.append(None)
        return [host()]

    oned = SimpleNamespace(hosts=hosts, update_host=lambda *words: updated.append(words))
    paths = Paths.self_contained(tmp_path)
    context = cast("Context", SimpleNamespace(oned=oned, paths=paths))
    assert whereabouts.write(context, {0: NODE}, {}) == 0
    assert asked == [], "nothing is asked of oned where nobody dials in"
    assert whereabouts.write(context, {0: NODE}, SEEN) == 1
    assert updated == [(3, {"GEOLOCATION_IP": "9.9.9.9", "ONEXT_EDGE_IP": "9.9.9.9"})]
    assert "located later" in caplog.text, "without a spool"
    incoming = paths.spool / spool.INCOMING
    incoming.mkdir(parents=True)
    assert whereabouts.write(context, {0: NODE}, SEEN) == 1
    assert [file.name for file in incoming.iterdir()] == [f"event.host.3.{HostState.MONITORED.value}.0"]
    assert whereabouts.place(paths) == paths.run / "edge/endpoints.json"
