"""The node program: one file for every Python from 3.6 on, whose pieces agree with the real libraries."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import (
    answer,
    bell,
    build,
    direct,
    ed25519,
    keys,
    membership,
    messages,
    narrowing,
    places,
    programs,
    server,
    service,
    sizes,
    system_files,
    tunnel,
    word,
)
from edge.errors import EdgeError, InvalidToken, Refused, Unreachable, WrongServer
from tests.drivers.vmm.migrate.test_python36 import interpreters
from tests.waiting import PATIENCE

FOLDER = Path(build.__file__).parent
KEY = "A" * 43 + "="
CA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


@settings(max_examples=15)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_signatures_are_those_of_the_standard(secret: bytes, message: bytes) -> None:
    """A signature that only this program accepts would lock every node out."""
    real = Ed25519PrivateKey.from_private_bytes(secret)
    signature = ed25519.sign(secret, message)
    assert ed25519.public(secret) == real.public_key().public_bytes_raw()
    assert signature == real.sign(message)
    assert ed25519.verify(ed25519.public(secret), message, signature)


@settings(max_examples=25)
@given(st.binary(max_size=40), st.integers(0, 511), st.sampled_from(["signature", "key"]))
def test_altered_signatures_are_refused_as_by_the_library(message: bytes, bit: int, what: str) -> None:
    """Whoever forges an answer is root on the node."""
    secret = ed25519.generate()
    key, signature = bytearray(ed25519.public(secret)), bytearray(ed25519.sign(secret, message))
    target = key if what == "key" else signature
    target[bit // 8 % len(target)] ^= 1 << bit % 8
    with pytest.raises((InvalidSignature, ValueError)):
        Ed25519PublicKey.from_public_bytes(bytes(key)).verify(bytes(signature), message)
    assert not ed25519.verify(bytes(key), message, bytes(signature))


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=80), st.binary(max_size=120).map(lambda data: data.hex())))
def test_a_damaged_token_is_one_line(text: str) -> None:
    """A token copied without its end must not print a traceback to an installer."""
    with pytest.raises(InvalidToken):
        word.read(text)
    with pytest.raises(InvalidToken):
        narrowing.bind(text, "node_key", "ab")


def told(**changes: object) -> dict[str, Any]:
    """Return an answer's values."""
    values: dict[str, Any] = {
        "name": "edge-1", "session": "0" * 32, "pool": "fd00::/64", "address": "fd00::1:0", "mtu": 1280,
        "hubs": [{"key": KEY, "endpoint": "front.example:51820", "address": "fd00::1"}],
        "servers": [["front.example:8443", "0" * 64]], "user_ca": CA, "host_ca": CA, "revoked": [CA],
        "hosts": [["fd00::1:0", "edge-1"]],
    }  # fmt: skip
    return {**values, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a\nb"}, {"address": "::1"}, {"pool": "x"}, {"mtu": 1}, {"mtu": "1280"}, {"mtu_most": 1279}, {"mtu_most": 9001}, {"user_ca": f"{CA}\n{CA}"},
        {"revoked": ["ssh-ed25519 " + "A" * 68]}, {"hosts": [["fd00::1", "x y"]]}, {"hosts": [["10.0.0.1", "x"]]}, {"hosts": {}}, {"revoked": ["x"]},
        {"hubs": [{"key": KEY + "\n", "endpoint": "a:1", "address": "fd00::1"}]},
        {"hubs": [{"key": KEY, "endpoint": "a b:1", "address": "fd00::1"}]}, {"servers": []}, {"certificate": "x"},
    ],
)  # fmt: skip
def test_values_that_would_become_lines_of_files(changes: dict[str, object]) -> None:
    """A fault of the front-end must not write sshd's configuration."""
    assert answer.checked(told())["name"] == "edge-1"
    with pytest.raises(WrongServer):
        answer.checked(told(**changes))


def test_a_refusal_is_printed_on_one_line() -> None:
    """A reason with control characters would rewrite an installer's terminal."""
    assert messages.printable("a\x1b[2J\nb") == "a?[2J?b"
    assert issubclass(Refused, Exception)


@settings(max_examples=80)
@given(
    st.text(alphabet="ab\n#", max_size=40),
    st.sampled_from(["", "x\n", "x\ny\n"]),
    st.sampled_from(["", "z\n"]),
)
def test_managed_blocks_leave_the_rest_alone(text: str, first: str, second: str) -> None:
    """/etc/hosts has an administrator's lines, which must survive joining and leaving."""
    once = places.with_block(places.with_block(text, first), second)
    assert once == places.with_block(text, second) or (text and not text.endswith("\n"))
    assert places.with_block(once, "").rstrip("\n") == text.rstrip("\n")


def test_the_configuration_of_wireguard_and_sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hub carries the pool; a hub whose name does not resolve keeps the address that it had."""
    here = places.Places(str(tmp_path))
    state = answer.checked(told(hubs=[
        {"key": KEY, "endpoint": "one.example:1", "address": "fd00::1"},
        {"key": "B" + KEY[1:], "endpoint": "two.example:2", "address": "fd00::2"},
    ]))  # fmt: skip
    monkeypatch.setattr(
        tunnel, "resolved", lambda hub: "192.0.2.1:2" if hub["endpoint"].startswith("two") else None
    )
    text = tunnel.configuration(here, state, 1)
    assert text.count("fd00::/64") == 1
    assert text.index("fd00::/64") > text.index("fd00::2/128")
    assert text.count("Endpoint") == 1
    lines = system_files.sshd_lines(here, state).splitlines()
    assert lines[1] == "Match User oneadmin Address fd00::/64"
    assert lines[-1] == "Match all"
    assert system_files.known_hosts(state).startswith("@cert-authority fd00::1:0,edge-1 ssh-ed25519 ")


@pytest.mark.process
@pytest.mark.skipif(not programs.there("sshd"), reason="no sshd")
def test_a_configuration_of_sshd_that_ends_with_a_match_block(tmp_path: Path) -> None:
    """On AlmaLinux 8, with users restricted to sftp at the end of sshd_config, the join failed."""
    here = places.Places(str(tmp_path))
    (tmp_path / "etc/ssh").mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", here.host_key], check=True)
    own = f"HostKey {here.host_key}\nMatch Group sftponly\n    PasswordAuthentication no\n"
    Path(here.sshd_config).write_text(own)
    system_files.apply(here, answer.checked(told()))
    assert "TrustedUserCAKeys" in Path(here.sshd_config).read_text()
    system_files.undo(here)
    assert Path(here.sshd_config).read_text() == own


@pytest.mark.parametrize("key", ["identity", "wireguard"])
def test_two_joins_at_once_make_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """cloud-init and a person: the key of the one replaced that which the other had joined with."""
    here, inner = places.Places(str(tmp_path)), list[object]()

    def make() -> object:
        return keys.new_identity(here) if key == "identity" else keys.wireguard(here)

    def other() -> None:
        if not inner:
            inner.append(None)
            inner.append(make())

    def generate() -> bytes:
        other()
        return bytes([len(inner)]) * 32

    def run(argv: list[str], text: str = "") -> str:
        if argv[1] == "genkey":
            other()
            return f"key {len(inner)}\n"
        return text

    monkeypatch.setattr(ed25519, "generate", generate)
    monkeypatch.setattr(programs, "run", run)
    assert make() == inner[1]
    assert [path.name for path in Path(here.folder).iterdir()] == [f"{key}.key"]


@pytest.mark.parametrize("file", ["hosts", "known_hosts", "sshd_config", "identity"])
def test_a_file_that_cannot_be_read_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """A disk's fault, or a policy that forbids to read, cost all lines of /etc/hosts, or the node's key."""
    here = places.Places(str(tmp_path))
    place = Path(getattr(here, file))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("own\n")

    def fail(path: str, **names: Any) -> Any:
        if path == str(place):
            raise OSError(5, "Input/output error")
        return Path(path).open(**names)

    monkeypatch.setattr(places, "open", fail, raising=False)
    monkeypatch.setattr(programs, "there", lambda _: False)
    with pytest.raises(OSError, match="Input/output error"):
        keys.new_identity(here) if file == "identity" else system_files.apply(here, answer.checked(told()))
    with pytest.raises(OSError, match="Input/output error"):
        keys.new_identity(here) if file == "identity" else system_files.undo(here)
    assert place.read_text() == "own\n"


def test_a_revoked_key_counts_for_nodes_only() -> None:
    """A node that states the host key of a server of yours, and leaves, would keep all nodes from that server."""
    lines = system_files.known_hosts(answer.checked(told(revoked_hosts=[["edge-1", CA]]))).splitlines()
    assert lines[1:] == [f"@revoked fd00::1:0,edge-1 {CA}"]


@pytest.mark.process
def test_the_single_file_is_the_same_each_time_and_runs(tmp_path: Path) -> None:
    """A node that cannot start it cannot join; a file that differs each time cannot be compared."""
    program = tmp_path / "onext-edge.pyz"
    build.write(str(program))
    assert hashlib.sha256(program.read_bytes()).digest() == hashlib.sha256(build.content()).digest()
    for python in {sys.executable, *interpreters()}:
        words = [python, "-I", "-S", str(program), "--root", str(tmp_path)]
        done = subprocess.run(
            [*words, "status"], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (done.returncode, done.stdout.split()) == (1, ["joined", "False"]), (python, done.stderr)
        done = subprocess.run(
            [*words, "check"], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert "account oneadmin" in done.stdout, (python, done.stderr)


@pytest.mark.process
def test_nothing_newer_than_36() -> None:
    """AlmaLinux 8 has Python 3.6 and nothing else."""
    tool = str(Path(sys.executable).parent / "vermin")
    words = [tool, "-q", "-t=3.6-", "--no-tips", "--violations", "--eval-annotations", str(FOLDER)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout


def test_a_certificate_is_renewed_when_a_third_of_its_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that expires locks the front-end out of a node that nobody visits."""
    here, asked, applied = places.Places(str(tmp_path)), list[bool](), list[str]()
    fresh = "ssh-ed25519-cert-v01@openssh.com " + "A" * 200

    def ask(
        _places: object, _state: object, _action: str, _servers: object, certificate: bool, seconds: float = 0
    ) -> dict[str, Any]:
        assert seconds == membership.BRIEF < server.TIMEOUT, "the service follows nothing else meanwhile"
        asked.append(certificate)
        return told(**({"certificate": fresh, "days": 90} if certificate else {}))

    monkeypatch.setattr(membership, "ask", ask)
    monkeypatch.setattr(tunnel, "up", lambda *_: applied.append("tunnel"))
    monkeypatch.setattr(system_files, "apply", lambda *_: applied.append("files"))
    state = {
        **answer.checked(told()),
        "key": "0" * 64,
        "days": 90,
        "certified": int(time.time()) - 29 * 86_400,
    }
    assert membership.refresh(here, state) == state
    state["certified"] -= 2 * 86_400
    renewed = membership.refresh(here, state)
    membership.settle(here, renewed)
    assert asked == [False, True]
    assert renewed["certificate"] == fresh
    assert time.time() - renewed["certified"] < 1000
    assert (here.state(), applied) == (renewed, ["tunnel", "files"])
    state["certified"] = int(time.time()) + 10 * 365 * 86_400
    membership.refresh(here, state)
    assert asked[2:] == [True], "the clock was wrong when the node joined"


@pytest.mark.parametrize("asking", [membership.refresh, membership.renewed])
def test_a_hub_that_has_another_key_is_found_by_the_public_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asking: Callable[..., dict[str, Any]]
) -> None:
    """After a hub's key was lost or rotated, a person would have to visit every node."""
    here, asked, configured = places.Places(str(tmp_path)), list[str](), list[str]()
    state = {**answer.checked(told()), "key": "0" * 64, "days": 90, "certified": int(time.time())}
    new = {"key": "B" + KEY[1:], "endpoint": "front.example:51821", "address": "fd00::1"}

    def ask(
        _places: object, _state: object, _action: str, servers: list[word.Server], *_: object, **__: object
    ) -> dict[str, Any]:
        asked.append(servers[0].host)
        if servers[0].host != "front.example":
            raise Unreachable("no front-end answered")
        return told(hubs=[new])

    monkeypatch.setattr(membership, "ask", ask)
    monkeypatch.setattr(
        tunnel, "up", lambda _places, fresh, _primary: configured.append(fresh["hubs"][0]["key"])
    )
    monkeypatch.setattr(system_files, "apply", lambda *_: None)
    assert asking(here, state)["hubs"] == [new]
    if asking is membership.refresh:
        assert asked == ["fd00::1", "front.example"]
        assert configured == [new["key"]]


def test_a_new_authority_certifies_the_node_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of the former authority is refused by everybody an hour later."""
    here, asked = places.Places(str(tmp_path)), list[bool]()
    other = CA[:-1] + "B"
    fresh = "ssh-ed25519-cert-v01@openssh.com " + "A" * 200

    def ask(*given: object) -> dict[str, Any]:
        asked.append(bool(given[4]))
        return told(host_ca=other, **({"certificate": fresh, "days": 90} if given[4] else {}))

    monkeypatch.setattr(membership, "ask", ask)
    monkeypatch.setattr(tunnel, "up", lambda *_: None)
    state = {**answer.checked(told()), "key": "0" * 64, "days": 90, "certified": int(time.time())}
    assert membership.refresh(here, state)["certificate"] == fresh
    assert asked == [False, True]
    asked.clear()
    membership.refresh(here, {**state, "host_ca": other})
    assert asked == [False]


def test_a_node_without_any_answer_keeps_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rejoin` brings the tunnel up where only UDP passes; a node that was revoked learns the reason."""
    here, state = places.Places(str(tmp_path)), answer.checked(told())

    def fails(error: Exception) -> Callable[..., dict[str, Any]]:
        def ask(*_: object, **__: object) -> dict[str, Any]:
            raise error

        return ask

    for error in (WrongServer("a certificate"), Unreachable("no route")):
        monkeypatch.setattr(membership, "ask", fails(error))
        assert membership.renewed(here, state) == state
    with pytest.raises(Unreachable):
        membership.refresh(here, {**state, "certified": 0, "days": 90})
    monkeypatch.setattr(membership, "ask", fails(Refused("this node is revoked")))
    with pytest.raises(Refused):
        membership.renewed(here, state)


def test_an_unanswered_question_is_repeated_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that asked while its tunnel came up knew of no neighbour for two minutes."""
    here, asked, clock = places.Places(str(tmp_path)), list[float](), [1000.0]
    here.keep({"address": "fd00::2"})

    def refresh(_places: object, state: dict[str, Any], _primary: int) -> dict[str, Any]:
        asked.append(clock[0])
        if len(asked) == 1:
            raise Unreachable("no front-end answered")
        if len(asked) == 3:
            Path(here.state_file).unlink()
        return state

    class Quiet:
        def wait(self, seconds: float, _state: object) -> bool:
            clock[0] += seconds
            return False

    monkeypatch.setattr(service, "_look", lambda *_: (0, False))
    monkeypatch.setattr(sizes.Sizes, "follow", lambda *_: None)
    monkeypatch.setattr(membership, "refresh", refresh)
    monkeypatch.setattr(direct.Direct, "step", lambda *_: None)
    monkeypatch.setattr(bell, "Bell", Quiet)
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    heard: list[str] = []
    service.run(here, heard.append)
    assert heard == ["no front-end answered"]
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[0] < 60
    assert pauses[1] > 110, "a front-end is asked rarely while it answers"


def test_a_full_disk_keeps_no_revoked_node_as_a_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service forgot what it was told, and made the revoked neighbour a direct peer again, for good."""
    here, followed, full = places.Places(str(tmp_path)), list[list[str]](), [True]
    before = {"address": "fd00::2", "peers": ["revoked"]}
    here.keep(before)

    def apply(*_: object) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")

    class Quiet:
        def wait(self, _seconds: float, _state: object) -> bool:
            if len(followed) == 1:
                full[0] = False
            if len(followed) == 3:
                here.keep({**(here.state() or {}), "left": True})
            return False

    monkeypatch.setattr(service, "_look", lambda *_: (0, True))
    monkeypatch.setattr(sizes.Sizes, "follow", lambda *_: None)
    monkeypatch.setattr(membership, "refresh", lambda *_: {"address": "fd00::2", "peers": []})
    monkeypatch.setattr(system_files, "apply", apply)
    monkeypatch.setattr(direct.Direct, "step", lambda _, state: followed.append(state["peers"]))
    monkeypatch.setattr(bell, "Bell", Quiet)
    heard: list[str] = []
    service.run(here, heard.append)
    assert heard == ["[Errno 28] No space left on device"]
    assert followed == [[], [], []]
    assert (here.state() or {})["peers"] == [], "it is written as soon as it can be"


def test_a_service_without_systemd_ends_when_the_node_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It brought the tunnel up and wrote sshd's files again, while `leave` removed them."""
    here, up = places.Places(str(tmp_path)), list[str]()
    here.keep({"address": "fd00::2", "name": "edge-1", "session": "x"})
    monkeypatch.setattr(membership, "_leave", lambda *_: None)
    monkeypatch.setattr(service, "_look", lambda *_: up.append("tunnel"))
    monkeypatch.setattr(tunnel, "down", lambda: service.run(here, up.append))
    membership.leave(here, False, 0.0, up.append)
    assert up == []
    assert here.state() is None


def test_a_machine_joins_no_second_zone(tmp_path: Path) -> None:
    """The first zone would take the host for dead, and start its VMs elsewhere while they run here."""
    here = places.Places(str(tmp_path))
    here.keep({"key": "0" * 64})
    servers = base64.urlsafe_b64encode(
        json.dumps({"servers": [["front.example:8443", "0" * 64]], "key": "1" * 64}).encode()
    )
    with pytest.raises(EdgeError, match="in another zone"):
        membership.join(here, f"onext-edge:{servers.decode()}:x", "edge-1", 0.0, lambda _: None)
    assert here.state() == {"key": "0" * 64}
    assert not Path(here.identity).exists()


@pytest.mark.parametrize("state", ["", "{"])
def test_keys_without_a_readable_state_are_removed_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """A join refused these keys and named `leave --force`, which refused for want of a state."""
    here = places.Places(str(tmp_path))
    keys.new_identity(here)
    Path(here.state_file).write_text(state)
    monkeypatch.setattr(tunnel, "down", lambda: None)
    with pytest.raises(EdgeError, match="has not joined"):
        membership.leave(here, False, 0.0, lambda _: None)
    membership.leave(here, True, 0.0, lambda _: None)
    assert [path for path in Path(here.folder).iterdir() if path.is_file()] == []


def test_a_wrong_clock_is_reported() -> None:
    """Otherwise ssh refuses certificates on such a node without a plain reason."""
    heard: list[str] = []
    membership.say_clock({"time": int(time.time()) - 100}, heard.append)
    membership.say_clock({"time": "x"}, heard.append)
    assert heard == []
    membership.say_clock({"time": int(time.time()) - 4000}, heard.append)
    assert "clock is off by 4000 s" in heard[0] or "clock is off by 4001 s" in heard[0]


def test_a_tunnel_never_leads_through_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of /etc/hosts with a front-end's overlay address cut the node off, until somebody visited it."""
    hub = {"key": KEY, "endpoint": "front.example:51820", "address": "fd00::1"}
    known = [("fd00::1", 51820, 0, 0), ("203.0.113.2", 51820)]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(10, 2, 17, "", address) for address in known]
    )
    assert tunnel.resolved(hub) == "203.0.113.2:51820"
    del known[1]
    assert tunnel.resolved(hub) is None


def test_a_silent_hub_is_resolved_again_and_another_one_carries_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub at a new address, or one that burnt down, must not need a visit to the node."""
    here, ran = places.Places(str(tmp_path)), list[list[str]]()
    other = "B" + KEY[1:]
    state = answer.checked(
        told(
            hubs=[
                {"key": KEY, "endpoint": "one.example:1", "address": "fd00::1"},
                {"key": other, "endpoint": "two.example:2", "address": "fd00::2"},
            ]
        )
    )
    monkeypatch.setattr(tunnel, "handshakes", lambda: {KEY: 500.0, other: 20.0})
    monkeypatch.setattr(
        tunnel, "resolved", lambda hub: "192.0.2.7:1" if hub["address"] == "fd00::1" else "192.0.2.8:2"
    )
    monkeypatch.setattr(tunnel, "source", lambda _: "198.51.100.1")
    monkeypatch.setattr(tunnel, "present", lambda: True)
    monkeypatch.setattr(tunnel, "relayed", set)

    def run(argv: list[str], text: str = "") -> str:
        ran.append([*argv, text])
        return ""

    monkeypatch.setattr(programs, "run", run)
    sources: dict[str, str] = {}
    assert tunnel.follow(here, state, 0, sources) == 1
    assert ran[0][:7] == ["wg", "set", "onext-edge", "peer", KEY, "endpoint", "192.0.2.7:1"]
    configured = next(words for words in ran if words[1] == "syncconf")
    assert "fd00::2/128, fd00::/64" in configured[-1]
    ran.clear()
    monkeypatch.setattr(tunnel, "handshakes", lambda: {KEY: 5.0, other: 20.0})
    assert tunnel.follow(here, state, 1, sources) == 1
    assert ran == []
    monkeypatch.setattr(tunnel, "source", lambda _: "198.51.100.2")
    tunnel.follow(here, state, 1, sources)
    assert [argv[4] for argv in ran] == [KEY, other], "this machine came to another network"
    ran.clear()
    monkeypatch.setattr(tunnel, "handshakes", lambda: {KEY: 500.0, other: 500.0})
    monkeypatch.setattr(tunnel, "relayed", lambda: {KEY})
    tunnel.follow(here, state, 1, sources)
    assert [argv[4] for argv in ran] == [other], "a hub that is reached over TLS keeps its relay"
    assert "Endpoint = 192.0.2.7:1" not in tunnel.configuration(here, state, 1)
