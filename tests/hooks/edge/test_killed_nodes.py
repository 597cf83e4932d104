"""SIGKILL of the node program at every effect of a join, then `join` again, against a front-end in a sandbox."""

from __future__ import annotations

import base64
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import membership, messages, places, programs, server, system_files, tunnel
from edge.errors import CommandFailed, EdgeError, Unreachable, WrongServer
from edge.places import Places
from hooks.edge import requests
from tests.hooks.edge.front_end import FrontEnd, host_key_file, ssh_key
from tests.hooks.edge.killed import Kills

pytestmark = pytest.mark.process
RENAME = os.rename


class Node:
    """A machine: its files below a folder, its programs played, all of them with effects to be killed at."""

    def __init__(
        self, folder: Path, front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch, kills: Kills
    ) -> None:
        self.folder, self.front_end = folder, front_end
        (folder / "etc/ssh/sshd_config.d").mkdir(parents=True)
        (folder / "etc/ssh/sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\n")
        (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
        self.places = Places(str(folder))
        monkeypatch.setattr(os, "rename", kills.around(RENAME))
        monkeypatch.setattr(programs, "run", kills.around(self._program))
        monkeypatch.setattr(server, "ask", kills.around(self._ask))
        monkeypatch.setattr(programs, "there", lambda _: True)
        monkeypatch.setattr(tunnel, "present", lambda: True)
        monkeypatch.setattr(tunnel, "here", lambda _: [])

    def _program(self, argv: list[str], text: str = "") -> str:
        if argv[:2] == ["wg", "genkey"]:
            return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode() + "\n"
        if argv[:2] == ["wg", "pubkey"]:
            private = X25519PrivateKey.from_private_bytes(base64.b64decode(text))
            return base64.b64encode(private.public_key().public_bytes_raw()).decode() + "\n"
        if argv[0] == "ssh-keygen":
            public = ssh_key()
            Path(argv[-1]).write_bytes(host_key_file(public))
            Path(argv[-1] + ".pub").write_text(public + "\n")
        return ""

    def _ask(
        self, _servers: object, asked: messages.Asked, key: str, *_patience: object, **_names: object
    ) -> dict[str, Any]:
        return messages.opened(asked, key, self.front_end.office.handle(requests.read(asked.data)))

    def join(self, token: str, name: str) -> None:
        """Join here."""
        membership.join(self.places, token, name, 0.0, lambda _: None)


def test_a_node_that_is_killed_at_any_effect_joins_again(
    front_end: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power fails at a remote site: half a key, a second host or a used-up token would need a visit."""
    token = front_end.token("--name", "edge-*", "--uses", "60")
    kills = Kills()
    for effect in kills:
        node, name = Node(tmp_path / str(effect), front_end, monkeypatch, kills), f"edge-{effect}"
        kills.kill(partial(node.join, token, name))
        node.join(token, name)
        state = node.places.state()
        assert state is not None
        assert state["name"] == name
        files = [path for path in node.folder.rglob("*") if path.is_file()]
        assert [path for path in files if ".new." in path.name] == [], "no draft, which may hold a key"
        assert (node.folder / "etc/hosts").read_text().count("onext-edge begin") == 1
        assert system_files.sshd_lines(node.places, state) == places.read(node.places.sshd_snippet)
    assert kills.points >= 25
    rows = front_end.listed()
    assert len(rows) == kills.points + 1, "the last one was not killed"
    assert {row["state"] for row in rows.values()} == {"active"}
    assert json.loads(front_end.onext("list", "--tokens", "--json"))[-1]["used"] == kills.points + 1
    hosts = [host.name for host in front_end.context.oned.hosts() if host.name.startswith("edge-")]
    assert sorted(hosts) == sorted(rows), "one host each"


@pytest.mark.parametrize(
    "problem",
    [
        Unreachable("no front-end answered"),
        WrongServer("the answer is not signed by the front-end that made the token"),
        CommandFailed("wg: cannot be started"),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_leave_by_force_needs_no_front_end(
    front_end: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: EdgeError
) -> None:
    """A front-end that burnt down would keep a machine in its zone for ever, with its authority to log in."""
    node = Node(tmp_path / "node", front_end, monkeypatch, Kills())
    before = {path: path.read_bytes() for path in node.folder.rglob("*") if path.is_file()}
    node.join(front_end.token("--name", "edge-1"), "edge-1")

    def gone(*_: object, **_names: object) -> None:
        raise problem

    monkeypatch.setattr(server, "ask", gone)
    with pytest.raises(type(problem), match="`leave --force` undoes what is on this machine"):
        membership.leave(node.places, force=False, patience=0.0, say=lambda _: None)
    assert node.places.state() is not None, "nothing is undone without force"
    said: list[str] = []
    membership.leave(node.places, force=True, patience=0.0, say=said.append)
    assert "onext edge revoke edge-1" in said[-1]
    after = {path: path.read_bytes() for path in node.folder.rglob("*") if path.is_file()}
    host_key = {path for path in after if "ssh_host_ed25519_key" in path.name}
    assert {path: text for path, text in after.items() if path not in host_key} == before
    front_end.onext("revoke", "edge-1")
    assert front_end.hub()["peers"] == []
