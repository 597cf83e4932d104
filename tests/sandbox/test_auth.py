"""The auth manager's protocol with an installed driver, its caches, and oned's own tokens."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process
ENTRY = """
AUTH_MAD_CONF = [ NAME = "biscuit", PASSWORD_CHANGE = "NO", DRIVER_MANAGED_GROUPS = "{managed}",
    DRIVER_MANAGED_GROUP_ADMIN = "NO", MAX_TOKEN_TIME = "0" ]
"""


def configured(location: Path, *, entry: str = "", default: str = "", session: int = 900) -> None:
    """Write an oned.conf that knows the driver `biscuit` before the sandbox makes its own."""
    (location / "etc").mkdir(parents=True)
    (location / "etc/oned.conf").write_text(
        'AUTH_MAD = [ EXECUTABLE = "one_auth_mad", AUTHN = "ssh,biscuit" ]\n'
        f"SESSION_EXPIRATION_TIME = {session}\n{entry}\n"
        + (f'DEFAULT_AUTH = "{default}"\n' if default else "")
    )


@pytest.fixture
def front(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Start a sandbox with the driver enabled; a test gives `configured`'s arguments as parameter."""
    location = tmp_path / "one"
    configured(location, **getattr(request, "param", {}))
    running = Sandbox(location, "--step", "0.02", "--monitor", "3600")
    yield running
    running.stop()


def driver(sandbox: Sandbox, script: str) -> None:
    """Install a driver."""
    sandbox.remote("auth/biscuit/authenticate", f"#!/bin/sh\n{script}\n")


def alice(sandbox: Sandbox) -> int:
    """Create a user with a key as password."""
    return int(sandbox.call("user.allocate", "alice", "ed25519/" + "ab" * 32, "biscuit", []))


def enters(sandbox: Sandbox, token: str, user: str = "alice") -> bool:
    """Tell whether a session opens."""
    answered = sandbox.answer("one.zonepool.info", session=f"{user}:{token}")
    if not answered[0]:
        assert answered[1:3] == ["[one.zonepool.info] User couldn't be authenticated, aborting call.", 0x0100]
    return bool(answered[0])


def test_only_the_exit_code_counts(front: Sandbox, tmp_path: Path) -> None:
    """A driver that prints rubbish and exits 0 lets in: the bundle's driver must never do so by accident."""
    driver(front, f"cat > {tmp_path}/stdin; echo rubbish of the driver; echo second line")
    alice(front)
    assert enters(front, "token<&>\"'")
    assert (tmp_path / "stdin").read_text() == (
        "<AUTHN>\n  <USERNAME>alice</USERNAME>\n  <PASSWORD>ed25519/" + "ab" * 32 + "</PASSWORD>\n"
        "  <SECRET>token&lt;&amp;&gt;\"'</SECRET>\n</AUTHN>"
    )
    assert "[AuM][D]: _authenticate: rubbish of the driver\n" in front.oned_log
    assert "second line" not in front.oned_log


def test_a_refusal_is_logged_with_its_reason(front: Sandbox) -> None:
    """An administrator finds out from oned.log why somebody could not log in."""
    driver(front, "echo token expired an hour ago >&2; exit 1")
    alice(front)
    assert not enters(front, "x")
    assert "[AuM][I]: Command execution failed (exit code: 1): " in front.oned_log
    assert "[AuM][E]: Auth Error: token expired an hour ago\n" in front.oned_log


def test_a_driver_is_asked_once_in_a_session(front: Sandbox, tmp_path: Path) -> None:
    """A revoked token works until the cache forgets it; disable and enable make it forget."""
    driver(front, f"echo x >> {tmp_path}/asked; grep -q good {tmp_path}/mood")
    (tmp_path / "mood").write_text("good")
    user = alice(front)

    def asked() -> int:
        return len((tmp_path / "asked").read_text().split())

    assert enters(front, "one")
    (tmp_path / "mood").write_text("bad")
    assert enters(front, "one")
    assert asked() == 1
    assert not enters(front, "two")
    front.call("user.enable", user, False)
    assert not enters(front, "one")
    front.call("user.enable", user, True)
    assert not enters(front, "one")
    assert asked() == 3


@pytest.mark.parametrize("front", [{"session": 0}], indirect=True)
def test_without_a_cache_every_call_asks(front: Sandbox, tmp_path: Path) -> None:
    """SESSION_EXPIRATION_TIME = 0 calls the driver on every request."""
    driver(front, f"echo x >> {tmp_path}/asked")
    alice(front)
    assert all(enters(front, "one") for _ in range(3))
    assert len((tmp_path / "asked").read_text().split()) == 3


def test_two_tokens_evict_each_other(front: Sandbox, tmp_path: Path) -> None:
    """Oned caches one token per user."""
    driver(front, f"echo x >> {tmp_path}/asked")
    alice(front)
    for token in ("one", "two", "one"):
        assert enters(front, token)
    assert len((tmp_path / "asked").read_text().split()) == 3


def test_a_login_token_bypasses_the_driver_without_an_entry(front: Sandbox) -> None:
    """What the missing AUTH_MAD_CONF entry opens has to show, since `onext biscuit doctor` warns of it."""
    driver(front, "grep -q first")
    user = alice(front)
    minted = front.call("user.login", "alice", "", -1, session="alice:first")
    front.call("user.enable", user, False)
    front.call("user.enable", user, True)
    assert enters(front, minted)
    assert "<LOGIN_TOKEN>" in front.call("user.info", user)


@pytest.mark.parametrize("front", [{"entry": ENTRY.format(managed="NO")}], indirect=True)
def test_no_login_token_with_the_entry(front: Sandbox) -> None:
    """MAX_TOKEN_TIME = 0 closes it, and a user cannot change the stored key."""
    driver(front, "exit 0")
    user = alice(front)
    answered = front.answer("one.user.login", "alice", "", -1, session="alice:t")
    assert answered[1:3] == ["[one.user.login] Login tokens are disabled for driver biscuit", 0x0800]
    answered = front.answer("one.user.passwd", user, "other", session="alice:t")
    assert answered[1:3] == ["[one.user.passwd] Password for driver biscuit cannot be changed.", 0x0800]


def test_a_driver_that_is_not_enabled(sandbox: Sandbox) -> None:
    """Without `biscuit` in AUTHN nothing is started."""
    driver(sandbox, "exit 0")
    alice(sandbox)
    assert not enters(sandbox, "x")
    assert "Auth Error: Authentication driver 'biscuit' not available" in sandbox.oned_log


def test_unknown_users_reach_only_the_default_driver(front: Sandbox) -> None:
    """Without DEFAULT_AUTH nobody is created by logging in."""
    driver(front, "echo biscuit eve key 0")
    assert not enters(front, "x", user="eve")
    assert "eve" not in front.call("userpool.info")


@pytest.mark.parametrize("front", [{"default": "biscuit"}], indirect=True)
def test_the_default_driver_is_believed_blindly(front: Sandbox, tmp_path: Path) -> None:
    """With DEFAULT_AUTH the first line makes a user, of any group: why ours refuses unknown users."""
    driver(front, f"cat > {tmp_path}/stdin; echo biscuit eve key 0")
    assert enters(front, "x", user="eve")
    assert "<PASSWORD/>" in (tmp_path / "stdin").read_text()
    assert front.answer("one.system.config", session="eve:x")[0]


@pytest.mark.parametrize("front", [{"entry": ENTRY.format(managed="YES"), "session": 0}], indirect=True)
def test_managed_groups_follow_the_driver(front: Sandbox) -> None:
    """DRIVER_MANAGED_GROUPS=YES: the line's groups replace the user's at every real authentication."""
    group = front.call("group.allocate", "edge")
    driver(front, f"echo biscuit alice key {group}")
    user = alice(front)
    assert enters(front, "x")
    assert f"<GROUPS><ID>{group}</ID></GROUPS><GNAME>edge</GNAME>" in front.call("user.info", user)


def test_a_long_token_arrives(front: Sandbox) -> None:
    """Tokens up to a megabyte reach the driver."""
    driver(front, "test $(wc -c) -gt 1000000")
    alice(front)
    assert enters(front, "x" * 1_000_000)


def test_a_slow_driver_holds_up_nobody_else(front: Sandbox, tmp_path: Path) -> None:
    """A login that takes long would stop the tests' own calls."""
    began, gate = tmp_path / "began", tmp_path / "gate"
    driver(front, f"touch {began}; while [ ! -e {gate} ]; do sleep 0.02; done")
    alice(front)
    slow = threading.Thread(target=front.answer, args=("one.zonepool.info",), kwargs={"session": "alice:x"})
    slow.start()
    front.until(began.exists)
    assert front.call("system.version") == "7.4.0"
    assert slow.is_alive()
    gate.touch()
    slow.join()


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("a b", "x", "Invalid NAME, char ' ' is not allowed"),
        ("", "x", "Invalid NAME, it cannot be empty"),
        ("bob", "two words", "Invalid password, character ' ' is not allowed."),
        ("bob", "", "Invalid password, it cannot be empty."),
        ("oneadmin", "x", "NAME is already taken by USER 0."),
    ],
)
def test_users_that_oned_refuses(quiet: Sandbox, name: str, password: str, reason: str) -> None:
    """Keys and names that a real front-end refuses would pass here."""
    answered = quiet.answer("one.user.allocate", name, password, "biscuit", [])
    assert (answered[0], answered[1]) == (False, f"[one.user.allocate] {reason}")


def test_core_passwords(sandbox: Sandbox) -> None:
    """Ordinary users of the tests log in as on any front-end."""
    user = sandbox.call("user.allocate", "bob", "secret", "", [])
    assert enters(sandbox, "secret", user="bob")
    assert not enters(sandbox, "wrong", user="bob")
    sandbox.call("user.passwd", user, "fresh", session="bob:secret")
    assert enters(sandbox, "fresh", user="bob")
    assert not enters(sandbox, "secret", user="bob")
    for session in ("oneadmin", "", ":", "oneadmin:", "nobody:x"):
        assert sandbox.answer("one.system.version", session=session)[2] == 0x0100
