"""`onext edge init` and the part around it: keys are made once, doctor reports what is missing."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge import build, word
from hooks.edge import endpoint, part, public_certificate, secrets
from hooks.edge.records import Book, Zone
from hooks.edge.secrets import Secrets, SecretsError
from onext import unix_service
from tests.hooks.edge.front_end import SETTINGS, FrontEnd, Machine

pytestmark = pytest.mark.process


def test_init_makes_keys_once_and_for_oneadmin_only(bare: FrontEnd) -> None:
    """A key that is overwritten locks every node out; one that others read lets anybody in."""
    kept = Secrets.of(bare.paths)
    assert "would create key token.key" in bare.onext("init", "--dry-run")
    assert kept.present() == []
    bare.onext("init", "--pool", "fd0e:d6e0:1::/64")
    before = {name: kept.read(name) for name in (*secrets.ZONE, secrets.HUB)}
    assert all(stat.S_IMODE(kept.file(name).stat().st_mode) == 0o600 for name in before)
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert "nothing to do" in bare.onext("init")
    assert {name: kept.read(name) for name in before} == before
    with pytest.raises(SecretsError, match="never overwritten"):
        kept.create(secrets.TOKEN)
    assert "cannot be changed" in bare.onext("init", "--pool", "fd00::/64", check=False)
    kept.file(secrets.USER_CA).unlink()
    assert "restore the backup" in bare.onext("init", check=False), "other nodes trust the old one"
    kept.write(secrets.USER_CA, before[secrets.USER_CA])
    kept.file(secrets.TOKEN).unlink()
    kept.create(secrets.TOKEN)
    assert "other keys than the zone's record" in bare.onext("init", check=False)
    text = (bare.paths.one_var / ".ssh/config").read_text()
    assert text.count("Include ") == 1


@pytest.mark.parametrize(
    "pool", ["0.0.0.0/0", "8.8.8.0/24", "127.0.0.0/8", "10.77.0.0/25", "fe80::/64", "2001:db8::/64", "x"]
)
def test_a_pool_that_is_not_private_is_refused(bare: FrontEnd, pool: str) -> None:
    """Every node would send traffic for somebody else's addresses into the tunnel."""
    assert "--pool" in bare.onext("init", "--pool", pool, check=False)
    assert Secrets.of(bare.paths).present() == []


def test_a_pool_that_this_server_reaches_otherwise_is_refused(
    bare: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own network would be lost, or its nodes never be reached."""
    shown = SimpleNamespace(stdout=b"10.77.3.0/24 dev eth7 proto kernel scope link src 10.77.3.1\n")
    monkeypatch.setattr("hooks.edge.setup.process.run", lambda *_, **__: shown)
    refused = bare.onext("init", "--pool", "10.77.0.0/16", check=False)
    assert "this server reaches 10.77.3.0/24 by eth7" in refused
    assert Secrets.of(bare.paths).present() == []
    assert "create key" in bare.onext("init", "--pool", "10.78.0.0/16")
    shown.stdout = b"10.78.3.0/24 dev tun0 scope link\n"
    assert "nothing to do" in bare.onext("init"), (
        "a VPN that came later does not stop a new endpoint's record"
    )


@pytest.mark.parametrize("key", ["endpoint", "hub"])
@pytest.mark.parametrize("where", ["", "front.example", "https://front.example:8443", "front.example:84433"])
def test_a_place_that_nodes_cannot_reach_is_refused(bare: FrontEnd, key: str, where: str) -> None:
    """Nodes would be told that their token is cut."""
    bare.configure(SETTINGS.replace(f"{key}: ", f"{key}: '{where}'  # "))
    assert f"set `edge: {key}:`" in bare.onext("init", check=False)


def test_init_names_what_is_missing(bare: FrontEnd) -> None:
    """A newcomer starts the commands in another order than they are written."""
    bare.configure(SETTINGS.replace("enabled: true", "enabled: false"))
    assert "answers no node" in bare.onext("init")
    certificate = public_certificate.place(bare.paths)
    certificate.write_text("x")
    assert f"{certificate} is not a certificate; restart the endpoint" in bare.onext("init", check=False)
    certificate.unlink()
    assert f"{certificate}: No such file or directory; start" in bare.onext("init", check=False)


def test_dry_runs_print_json_for_scripts(front_end: FrontEnd) -> None:
    """A script that asks for JSON got a sentence."""
    shown = json.loads(front_end.onext("token", "--cluster", "100", "--uses", "3", "--dry-run", "--json"))
    assert (shown["cluster"], shown["uses"]) == (100, 3)
    assert front_end.onext("list", "--tokens", "--json").strip() == "[]"


def test_a_place_where_the_program_cannot_be_written(
    bare: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root, in its own folder, acts as oneadmin, who may not write there."""
    assert "gone/x.pyz: No such file or directory" in bare.onext(
        "program", str(tmp_path / "gone/x.pyz"), check=False
    )

    def denied(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(build, "write", denied)
    assert "where oneadmin may write" in bare.onext("program", check=False)


def test_an_interrupted_init_continues(bare: FrontEnd) -> None:
    """Killed between two keys, it must neither stop nor make the first ones again."""
    kept = Secrets.of(bare.paths)
    kept.create(secrets.TOKEN)
    kept.create(secrets.HOST_CA)
    first = kept.read(secrets.TOKEN)
    bare.onext("init")
    zone = Book.of(bare.context.oned).zones.all()[0].value
    assert isinstance(zone, Zone)
    assert kept.read(secrets.TOKEN) == first
    assert zone.token_key == kept.public(secrets.TOKEN)


def test_a_token_names_the_endpoint_and_its_certificate(front_end: FrontEnd) -> None:
    """Without the hash a node would talk to whoever answers."""
    assert "would make a token" in front_end.onext("token", "--cluster", "default", "--dry-run")
    given = word.read(front_end.token("--ttl", "10m"))
    digest = public_certificate.digest(front_end.paths)
    assert given.servers == (word.Server("front.example", 8443, digest),)
    assert "not found" in front_end.onext("token", "--cluster", "nowhere", check=False)
    assert "--name" in front_end.onext("token", "--cluster", "0", "--name", "a;b", check=False)


def test_doctor_reports_each_missing_piece(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that does not run shows otherwise only when the first node cannot join."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    found = {check.name: check.level for check in part.checks(front_end.context)}
    wanted = {"keys": "ok", "endpoint": "warn", "hub": "fail", "ssh agent": "warn"}
    assert found == {**wanted, "forwarding": found["forwarding"]}
    public_certificate.place(front_end.paths).unlink()
    assert {c.name: c.level for c in part.checks(front_end.context)}["endpoint"] == "fail"
    Secrets.of(front_end.paths).file(secrets.ANSWER).unlink()
    assert [(c.name, c.level) for c in part.checks(front_end.context)] == [("keys", "fail")]


def test_doctor_reports_what_nodes_are_told_otherwise(front_end: FrontEnd) -> None:
    """Another name in onext.yaml, or a certificate made anew, kept new nodes out without a message."""

    def found() -> str:
        return next(check.message for check in part.checks(front_end.context) if check.name == "endpoint")

    front_end.configure(SETTINGS.replace("hub: front.example", "hub: other.example"))
    assert "nodes are told front.example:8443 and front.example:51820" in found()
    front_end.onext("init")
    assert "does not listen yet" in found()
    certificate = public_certificate.place(front_end.paths)
    (certificate.parent / "endpoint.key").unlink()
    endpoint.make_certificate(certificate.parent)[1].replace(certificate)
    assert "another certificate" in found()
    certificate.write_text("x")
    assert "is not a certificate" in found()


def test_a_place_that_nodes_cannot_look_up_is_not_recorded(front_end: FrontEnd) -> None:
    """The service of every node in the zone ended with a traceback, again and again."""
    front_end.configure(SETTINGS.replace("hub: front.example", "hub: front..example"))
    assert "set `edge: hub:`" in front_end.onext("init", check=False)


def test_the_worker_takes_requests_at_its_socket(front_end: FrontEnd) -> None:
    """The endpoint has no other way to the worker."""
    key = front_end.token()
    try:
        assert part.reconcile(front_end.context, []) == "0 nodes"
        answers = []
        for data in (b"", b"x" * 70_000, Machine("edge-1").join(key).data):
            place = front_end.bundle.var / "run/edge/join.sock"
            with socket.socket(socket.AF_UNIX) as stream, unix_service.address(place) as name:
                stream.connect(name)
                stream.sendall(data)
                stream.shutdown(socket.SHUT_WR)
                answer = b""
                while chunk := stream.recv(65_536):
                    answer += chunk
            answers.append(answer.split(b"\n")[0])
        assert answers == [b"400", b"413", b"200"]
    finally:
        part._close()
    assert not (front_end.bundle.var / "run/edge/join.sock").exists()


def test_certificates_are_what_ssh_keygen_reads(front_end: FrontEnd) -> None:
    """Sshd refuses a certificate without a plain reason: principals, times and options must be right."""
    machine = Machine("edge-1")
    got = front_end.join(machine, front_end.token())
    file = front_end.bundle.var / "host-cert.pub"
    file.write_text(got["certificate"] + "\n")
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert "host certificate" in shown
    assert [line.strip() for line in shown.split("Principals:")[1].splitlines()[1:3]] == [
        "edge-1",
        "fd0e:d6e0:1::1:0",
    ]
    user = Secrets.of(front_end.paths).file(f"{secrets.USER}-cert.pub")
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", str(user)], capture_output=True, text=True, check=True
    ).stdout
    assert "source-address fd0e:d6e0:1::/64" in shown
    assert "permit-agent-forwarding" in shown
