"""What the node program prints for a person: what is wrong, and what to do."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from pathlib import Path

import pytest
from biscuit_auth import BiscuitBuilder, KeyPair

from edge import answer, ed25519, keys, main, membership, messages, places, server, sizes, tunnel, word
from edge.errors import EdgeError, Unreachable
from tests.edge.test_program import KEY, told


def _token() -> str:
    biscuit = BiscuitBuilder("edge_token(7)").build(KeyPair().private_key).to_base64()
    content = json.dumps({"servers": [["front.example:8443", "0" * 64]], "key": "1" * 64})
    return f"onext-edge:{base64.urlsafe_b64encode(content.encode()).decode()}:{biscuit}"


def test_a_token_that_was_broken_into_lines_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mails and terminals break long words; the program rejected it as invalid."""
    whole = _token()
    broken = "\r\n".join(whole[at : at + 70] for at in range(0, len(whole), 70)) + "\n"
    assert word.read(broken) == word.read(whole)
    monkeypatch.setattr("sys.stdin", io.StringIO(broken))
    assert main.main(["narrow", "--name", "edge-1", "-"]) == 0
    assert capsys.readouterr().out.startswith(whole.rpartition(":")[0])


@pytest.mark.parametrize("name", ["n 3", "", "-x", "a;b", "x" * 65, "münster"])
def test_a_name_that_no_host_can_have_is_refused_here(name: str) -> None:
    """It was sent, and the refusal read as if no front-end had answered."""
    with pytest.raises(EdgeError, match="--name"):
        membership.check_name(name)
    membership.check_name("edge-1.example_2")


def test_commands_that_need_root_name_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that had joined printed `joined False`, and a join named a file that cannot be written."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for words in (["join", "x"], ["status"], ["doctor"], ["leave"], ["rejoin"], ["run"]):
        assert main.main(words) == 1
        assert capsys.readouterr().err == f"onext-edge: {words[0]} needs root: run it with sudo\n"


def test_status_and_doctor_describe_hubs_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They printed Python's notation of a dictionary."""
    places.Places(str(tmp_path)).keep(_state())
    monkeypatch.setattr(tunnel, "present", lambda: True)
    monkeypatch.setattr(tunnel, "handshakes", lambda: {KEY: 7.0})
    monkeypatch.setattr(tunnel, "relayed", set)
    monkeypatch.setattr(tunnel, "other_way", lambda _: "")
    monkeypatch.setattr(sizes, "routes", lambda _: {"fd00::1": 1420})
    for command in ("status", "doctor"):
        main.main(["--root", str(tmp_path), command])
        shown = capsys.readouterr().out
        assert "fd00::1 at front.example:51820: last handshake 7 s ago, over UDP, MTU 1420" in shown


def test_findings_are_for_scripts_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitoring of a hundred nodes had to read lines for people."""
    monkeypatch.setattr(tunnel, "present", lambda: False)
    monkeypatch.setattr(tunnel, "relayed", lambda: {KEY})
    monkeypatch.setattr(tunnel, "other_way", lambda _: "10.77.3.0/24 by eth0")

    def found(command: str) -> dict[str, str]:
        main.main(["--root", str(tmp_path), command, "--json"])
        return {row["check"]: row["state"] for row in json.loads(capsys.readouterr().out)}

    assert {"python", "root", "packages", "account oneadmin"} == set(found("check"))
    assert found("doctor")["node"] == "none"
    places.Places(str(tmp_path)).keep(_state())
    rows = found("doctor")
    assert (rows["network"], rows["tunnel"], rows["UDP"]) == ("warn", "fail", "warn")
    assert rows["host certificate"] == "ok"
    assert main.main(["--root", str(tmp_path), "doctor"]) == 1
    assert "FAIL tunnel: fd00::1 at front.example:51820: no handshake yet" in capsys.readouterr().out


def _state() -> dict[str, object]:
    """Return what a node keeps."""
    return {**answer.checked(told()), "key": "0" * 64, "days": 90, "certified": int(time.time())}


@pytest.mark.parametrize(
    "change", [{"hubs": 5}, {"name": None}, {"key": 1}, {"days": "x"}, {"pool": "0.0.0.0/0"}]
)
def test_a_damaged_state_is_named_and_can_be_left(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
) -> None:
    """Commands ended with a traceback, the one that removes everything, too."""
    here = places.Places(str(tmp_path))
    here.keep({**_state(), **change})
    here_key = Path(here.identity)
    here_key.write_text("0" * 64)
    for command in ("status", "doctor", "rejoin", "leave", "run"):
        assert main.main(["--root", str(tmp_path), command]) == 1
        assert "state.json is damaged: `leave --force`" in capsys.readouterr().err
    monkeypatch.setattr(tunnel, "down", lambda: None)
    assert main.main(["--root", str(tmp_path), "leave", "--force"]) == 0
    assert not here_key.exists()
    assert here.state() is None


def test_a_handshake_from_the_future_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a clock was set back a dead hub counted as alive until the clock came there again."""
    now = int(time.time())
    shown = f"a\t{now - 30}\nb\t{now + 3600}\nc\t0\nd\t{now + 1}\n"
    monkeypatch.setattr("edge.programs.run", lambda *_: shown)
    found = tunnel.handshakes()
    assert {key for key, age in found.items() if age < tunnel.STALE} == {"a", "d"}


def test_who_waits_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join stood still for two minutes without a word while the worker did not run."""
    answers, heard = [(503, b'{"error": "the worker is not there"}')] * 2 + [(200, b"{}")], list[str]()
    monkeypatch.setattr(server, "_post", lambda *_: answers.pop(0))
    monkeypatch.setattr(server, "AGAIN", 0)
    monkeypatch.setattr(messages, "opened", lambda *_: {})
    asked = messages.Asked(ed25519.generate(), "join", {})
    server.ask([word.Server("front.example", 8443, "0" * 64)], asked, "0" * 64, 120, say=heard.append)
    assert len(heard) == 1
    assert "the worker is not there; trying again for 120 s" in heard[0]


def test_a_join_without_an_answer_names_what_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person read the number of an error of the system, and no program's name."""
    here = places.Places(str(tmp_path))
    monkeypatch.setattr(keys, "wireguard", lambda _: KEY)
    monkeypatch.setattr(keys, "ssh", lambda _: "ssh-ed25519 x")
    monkeypatch.setattr("edge.host_key.proof", lambda *_: "")

    def refused(*_: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(server, "_post", refused)
    expected = "front.example:8443: Connection refused; does onext-edge-endpoint run there"
    with pytest.raises(Unreachable, match=expected):
        membership.join(here, _token(), "edge-1", 0.0, lambda _: None)
