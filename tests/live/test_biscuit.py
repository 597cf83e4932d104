"""Tokens instead of passwords on a real OpenNebula: its own oneuser, its own log, the installed driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from onext.process import Completed, run
from tests.live.installation import Installation
from tests.live.scene import Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
PAST = "check if time($time), $time <= 2020-01-01T00:00:00Z"
TIMEOUT = 60.0


@dataclass(frozen=True)
class User:
    """A biscuit user of the front-end, with a home folder of their own."""

    name: str
    home: Path
    installation: Installation

    @property
    def one_auth(self) -> Path:
        """The file that login writes."""
        return self.home / ".one/one_auth"

    def onext(self, *words: str, stdin: str = "") -> str:
        """Run `onext biscuit WORDS` as this user and return what it prints."""
        command = self._as_user(str(self.installation.paths.bin / "onext"), "biscuit", *words)
        return run(command, timeout=TIMEOUT, input=stdin.encode()).stdout.decode().strip()

    def oneuser(self, *words: str) -> Completed:
        """Run the real `oneuser` with what login wrote."""
        command = self._as_user(str(self.installation.paths.bin / "oneuser"), *words)
        return run(command, timeout=TIMEOUT, check=False)

    def shown(self, token: str) -> Completed:
        """Log in with a token on oneuser's command line, as `--user` and `--password` do."""
        return self.oneuser("list", "--user", self.name, "--password", token)

    def administrator(self, *words: str) -> None:
        """Run the real `oneuser` as the administrator."""
        run([str(self.installation.paths.bin / "oneuser"), *words], timeout=TIMEOUT)

    def public_key(self) -> str:
        """Return the key that is stored for this user."""
        pool = self.installation.oned.document("userpool.info")
        return next(u.findtext("PASSWORD", "") for u in pool if u.findtext("NAME") == self.name)

    def refusal(self, token: str) -> str:
        """Return what oned.log says about a login that has to be refused."""
        log = self.installation.paths.one_log / "oned.log"
        before = log.stat().st_size
        assert self.shown(token).exit_code != 0
        said = log.read_bytes()[before:].decode(errors="replace")
        assert token[:40] not in said
        return said

    def _as_user(self, *command: str) -> list[str]:
        """Return the command as an account of this machine that is not root runs it, with this home folder."""
        env = ("env", f"HOME={self.home}", f"ONE_AUTH={self.one_auth}")
        return [*self.installation.becoming_owner(), *env, *command]


@pytest.fixture
def user(installed: Installation, scene: Scene) -> Iterator[User]:
    """Return a user with a key, made by the real oneuser as the administrator."""
    installed.front_end.require_biscuit()
    made = User(scene.name("user"), scene.folder(), installed)
    keygen = made.onext("keygen").splitlines()
    key = next(line.split()[-1] for line in keygen if line.startswith("Public key"))
    made.administrator("create", made.name, key, "--driver", "biscuit")
    yield made
    made.administrator("delete", made.name)


def test_login(user: User) -> None:
    """`oneuser` and everything that reads ONE_AUTH does not take the token."""
    user.onext("login", user.name)
    shown = user.oneuser("show")
    assert shown.exit_code == 0, shown
    assert user.name in shown.stdout.decode()
    token = user.onext("token", "--user", user.name)
    listed = user.shown(token)
    assert listed.exit_code == 0, listed
    assert user.name[:8] in listed.stdout.decode()


def test_each_refusal_has_its_reason(user: User) -> None:
    """A bad token opens a real front-end, or its log does not say why it did not."""
    good = user.onext("token", "--user", user.name)
    key = str(user.home / ".one/biscuit.key")
    foreign = str(user.home / "foreign")
    user.onext("keygen", "--out", foreign)
    tokens = {
        "expired: block 1": user.onext("attenuate", "-", "--key", key, "--block", PAST, stdin=good),
        "signature:": user.onext("token", "--user", user.name, "--key", foreign),
        "check:": user.onext("attenuate", "-", "--key", key, "--block", "check if false", stdin=good),
        "user:": user.onext("token", "--user", "oneadmin"),
        "format:": good[:-60],
    }
    for rule, token in tokens.items():
        assert f"biscuit: refused: {rule}" in user.refusal(token)


def test_revoke_now(user: User) -> None:
    """A revoked token goes on working: from the cache, or at all."""
    token = user.onext("token", "--user", user.name)
    assert user.shown(token).exit_code == 0
    command = [str(user.installation.paths.bin / "onext"), "biscuit", "revoke", "-", "--now"]
    said = run(command, timeout=TIMEOUT, input=token.encode()).stdout.decode()
    assert "1 added" in said
    assert "biscuit: refused: revoked: block 0" in user.refusal(token)
    assert user.shown(user.onext("token", "--user", user.name)).exit_code == 0


def test_rotation(user: User) -> None:
    """Two stored keys, joined by a comma, are not taken by oned; or changing keys locks the user out."""
    old = user.onext("token", "--user", user.name)
    new_key = user.home / "new"
    keygen = user.onext("keygen", "--out", str(new_key)).splitlines()
    public = next(line.split()[-1] for line in keygen if line.startswith("Public key"))
    new = user.onext("token", "--user", user.name, "--key", str(new_key))
    both = f"{user.public_key()},{public}"
    user.administrator("passwd", user.name, both)
    assert user.shown(old).exit_code == 0
    assert user.shown(new).exit_code == 0
    user.administrator("passwd", user.name, public)
    assert "biscuit: refused: signature:" in user.refusal(old)


def test_no_login_token_bypasses_the_driver(user: User) -> None:
    """A user mints an eternal token with `oneuser token-create`, which no revocation ends."""
    user.onext("login", user.name)
    minted = user.oneuser("token-create", "--time", "3600", "--force")
    assert minted.exit_code != 0, minted
    shown = user.oneuser("show", "--xml")
    assert shown.exit_code == 0
    assert b"<LOGIN_TOKEN>" not in shown.stdout


def test_check(user: User) -> None:
    """The command that reports who may log in would differ from what the front-end does."""
    command = [str(user.installation.paths.bin / "onext"), "biscuit", "check", "--json"]
    said = run(command, timeout=TIMEOUT, check=False).stdout.decode()
    assert '"fail"' not in said, said
