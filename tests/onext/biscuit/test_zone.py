"""Revoking and comparing on every server of the zone, over an ssh that is played."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from onext import zone
from onext.biscuit import check, front_end, revocation
from onext.oned.errors import Unreachable
from onext.paths import Paths
from onext.settings import Settings

from .front_end import KEY, P256, SERVERS, PlayedOned, place, played, ssh_script, user

ID = "ab" * 64


class Context:
    """What the commands stand on, without an oned.yaml."""

    def __init__(self, paths: Paths, oned: PlayedOned) -> None:
        self.paths, self.oned, self.settings = paths, oned.oned, Settings()


@pytest.fixture
def locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Make three servers, the first of them this one, and an ssh that reaches the others."""
    found = {host: tmp_path / host for host in SERVERS}
    for location in found.values():
        place(location)
    ssh_script(tmp_path / "bin", {host: found[host] for host in SERVERS[1:]})
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return found


def revoked(location: Path) -> str:
    """Return a server's list."""
    return (Paths.self_contained(location).own_etc / revocation.FILE).read_text()


def revoke(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    location: Path,
    oned: PlayedOned,
    **more: bool,
) -> tuple[int, dict[str, list[dict[str, object]]]]:
    """Revoke ID from this server; return the exit code and what was reported."""
    paths = Paths.self_contained(location)
    monkeypatch.setattr("onext.part.Context", lambda paths: Context(paths, oned))
    code = 0
    try:
        front_end._revoke(paths, [ID], "dann1", now=more.get("now", False), as_json=True)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.process
def test_on_every_server(
    locations: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A revoked token goes on opening at a follower, which has its own list."""
    code, report = revoke(monkeypatch, capsys, locations["one-a"], played())
    assert code == 0, report
    assert [revoked(location) for location in locations.values()] == [f"{ID}\n"] * 3
    assert [(row["server"], row["result"]) for row in report["servers"]] == [
        ("here", "1 added"), ("one-b", "1 added"), ("one-c", "1 added"),
    ]  # fmt: skip
    code, report = revoke(monkeypatch, capsys, locations["one-a"], played())
    assert {row["result"] for row in report["servers"]} == {"already there"}
    assert [revoked(location) for location in locations.values()] == [f"{ID}\n"] * 3


@pytest.mark.process
def test_a_server_that_is_not_reached_is_named(
    locations: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One server is down, and everybody believes that the token is revoked."""
    oned = played(hosts=(*SERVERS, "one-d", "-oProxyCommand=touch x", "a;b"))
    code, report = revoke(monkeypatch, capsys, locations["one-a"], oned)
    assert code == 1
    by_name = {str(row["server"]): row for row in report["servers"]}
    assert "No route to host" in str(by_name["one-d"]["result"])
    assert "no command is run with it" in str(by_name["-oProxyCommand=touch x"]["result"])
    assert "no command is run with it" in str(by_name["a;b"]["result"])
    assert by_name["one-c"]["done"] is True


@pytest.mark.process
def test_now_ends_the_session_and_says_what_is_left(
    locations: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions live on, and nobody is told which and until when."""
    oned = played()
    _, report = revoke(monkeypatch, capsys, locations["one-a"], oned, now=True)
    assert oned.calls == [("user.enable", 7, False), ("user.enable", 7, True)]
    assert [row["until"] == "ended" for row in report["sessions"]] == [True, False, False, False, False]
    assert [str(row["session"]).partition(" ")[0] for row in report["sessions"]] == [
        "oneuser,", "the", "Sunstone", "services", "OneGate",
    ]  # fmt: skip


@pytest.mark.process
def test_a_session_that_cannot_be_ended(
    locations: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report of what was revoked is lost, or says that the session ended."""
    oned = played()
    oned.failing = frozenset({("user.enable", 7, False)})
    code, report = revoke(monkeypatch, capsys, locations["one-a"], oned, now=True)
    assert code == 1
    assert [row["done"] for row in report["servers"]] == [True, True, True, False]
    assert "no leader" in str(report["servers"][-1]["result"])
    assert "ended" not in [row["until"] for row in report["sessions"]]


@pytest.mark.process
def test_findings_of_a_zone(locations: dict[str, Path]) -> None:
    """A follower with another driver, list or entry lets in whom the others refuse."""
    context = Context(Paths.self_contained(locations["one-a"]), played())
    assert {c.level for c in check.findings(context)} == {"ok"}  # type: ignore[arg-type]
    revocation.add(context.paths.own_etc / revocation.FILE, [ID])
    (locations["one-c"] / "etc/oned.conf").write_text('AUTH_MAD = [ AUTHN = "ssh" ]\n')
    (locations["one-c"] / "var/remotes/auth/biscuit/authenticate").write_text("exit 0\n")
    found = {c.name: c for c in check.findings(context)}  # type: ignore[arg-type]
    assert (found["server one-b"].level, found["server one-b"].message) == (
        "fail",
        "differs from this server: revocation list",
    )
    assert found["server one-c"].message == "differs from this server: driver, revocation list, oned.conf"


@pytest.mark.process
def test_with_oned_down(
    locations: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While oned is down nothing can be revoked, not even here, or nobody says that the others are left."""
    oned = played()
    monkeypatch.setattr(oned, "document", unreachable)
    code, report = revoke(monkeypatch, capsys, locations["one-a"], oned, now=True)
    assert code == 1
    assert revoked(locations["one-a"]) == f"{ID}\n"
    assert [row["server"] for row in report["servers"]] == ["here", "the others"]
    assert report["sessions"] == []


def unreachable(*_words: object) -> None:
    """Be an oned that is down."""
    raise Unreachable("connection refused")


def test_the_order_and_the_paths_of_a_server_do_not_matter(tmp_path: Path) -> None:
    """Servers that are the same are called different, and nobody looks any more."""
    left, right = place(tmp_path / "a"), place(tmp_path / "b")
    (right.remotes / "auth/biscuit/authenticate").write_text(
        '#!/y -IS\nSITE_PACKAGES = "z"\nREVOKED = "w"\nrest\n'
    )
    (left.own_etc / revocation.FILE).write_text(f"{ID}\n{'cd' * 64} lost\n")
    (right.own_etc / revocation.FILE).write_text(f"{'CD' * 64}\n\n{ID} # stolen\n")
    assert check.here(left) == check.here(right)


def test_a_server_alone(tmp_path: Path) -> None:
    """A front-end without a zone of several servers is a failure."""
    oned = played(hosts=())
    assert zone.servers(oned.oned, oned.document("system.config")) == []
    assert {c.level for c in check.findings(Context(place(tmp_path), oned))} == {"ok"}  # type: ignore[arg-type]


def _findings(paths: Paths, oned: PlayedOned) -> dict[str, str]:
    return {c.name: c.level for c in check.findings(Context(paths, oned))}  # type: ignore[arg-type]


def test_users_whom_the_driver_does_not_guard(tmp_path: Path) -> None:
    """A user with an old login token, or with a key that is none, goes unnoticed."""
    users = (
        user("eternal", more="<LOGIN_TOKEN><TOKEN>x</TOKEN></LOGIN_TOKEN>")
        + user("broken", key="no key")
        + user("rotating", key=f"{KEY},{P256}")
        + user("other", driver="core", more="<LOGIN_TOKEN/>", key="x")
    )
    found = _findings(place(tmp_path), played(users, hosts=()))
    assert found["user eternal"] == "fail"
    assert found["user broken"] == "warn"
    assert not {"user rotating", "user other", "user dann1"} & found.keys()


def test_S11_the_check_names_a_line_that_is_no_id(tmp_path: Path) -> None:
    """A list in which ids are wrapped is reported as so many revoked tokens."""
    paths = place(tmp_path)
    listed = paths.own_etc / revocation.FILE

    def found() -> tuple[str, str]:
        context = Context(paths, played(hosts=()))
        (one,) = (c for c in check.findings(context) if c.name == "revocation list")  # type: ignore[arg-type]
        return one.level, one.message

    listed.write_text(f"{ID}\n# remark\n\n{ID} again\n{'cd' * 64}\n")
    assert found() == ("ok", f"{listed}: 2 revoked")
    listed.write_text(f"{ID}\n{ID[:64]}\n{ID[64:]}\n")
    assert found()[0] == "fail"
    assert f"{listed}:2 is not a revocation id" in found()[1]


@pytest.mark.parametrize("form", ["{} 0 1", "{}zz", " {}", "Public key: {}"])
def test_S11_a_stored_key_with_more_beside_it_is_reported(tmp_path: Path, form: str) -> None:
    """The check calls a stored key good that lets nobody in."""
    found = _findings(place(tmp_path), played(user("odd", key=form.format(KEY)), hosts=()))
    assert found["user odd"] == "warn"


@pytest.mark.parametrize(
    "damage", ["driver", "rules", "list", "mode", "oned.conf", "no oned.conf", "in force"]
)
def test_a_server_that_is_not_whole(tmp_path: Path, damage: str) -> None:
    """The door is open or nobody gets in, and the check says that all is well."""
    paths = place(tmp_path)
    listed = paths.own_etc / revocation.FILE
    entry = "-1" if damage == "in force" else "0"
    match damage:
        case "driver":
            (paths.remotes / check.DRIVER).chmod(0o644)
        case "rules":
            (paths.current / check.RULES).unlink()
        case "list":
            listed.unlink()
        case "mode":
            listed.chmod(0o666)
        case "oned.conf":
            (paths.etc / "oned.conf").write_text('AUTH_MAD = [ AUTHN = "ssh" ]')
        case "no oned.conf":
            (paths.etc / "oned.conf").unlink()
    assert "fail" in _findings(paths, played(hosts=(), entry=entry)).values()


def test_without_biscuit_users_nothing_fails(tmp_path: Path) -> None:
    """Whoever wants no tokens would have a failing `install.sh --check` for ever, and could not believe it."""
    paths, oned = place(tmp_path), played(hosts=(), entry="-1")
    oned.answers["userpool.info"] = "<USER_POOL/>"
    (paths.etc / "oned.conf").write_text('AUTH_MAD = [ AUTHN = "ssh" ]')
    levels = _findings(paths, oned)
    assert (levels["oned.conf"], levels["oned"]) == ("warn", "warn")
    assert "fail" not in levels.values()
