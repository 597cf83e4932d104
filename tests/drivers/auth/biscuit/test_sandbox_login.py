"""From a key to a call of the API and back out again, with oned's part played by the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from onext.install import oned_conf
from tests.fixtures_sandbox import Sandbox

from .conftest import install, recorded_document

pytestmark = pytest.mark.process
WHO = """
import pathlib, pyone
session = pathlib.Path("~/.one/one_auth").expanduser().read_text()
print(pyone.OneServer("{}", session=session).user.info(-1).NAME)
"""
COMMAND = [sys.executable, "-m", "onext.biscuit"]


@dataclass(frozen=True)
class Workstation:
    """A user's machine: a home folder, the commands, and pyone."""

    home: Path
    sandbox: Sandbox

    def onext(self, *words: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
        """Run `onext biscuit WORDS` and return what it prints."""
        env = env or {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [*COMMAND, *words], input=stdin, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def login(self, *words: str) -> str:
        """Log in and return the token."""
        self.onext("login", *words, "--force")
        return (self.home / ".one/one_auth").read_text().partition(":")[2]

    def whoami(self) -> str:
        """Ask oned through pyone, as scripts do; empty when refused."""
        program = WHO.format(self.sandbox.endpoint)
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def administrator(self, *words: str, stdin: str = "") -> str:
        """Run a command as oneadmin on the front-end."""
        return self.onext(*words, stdin=stdin, env=self.sandbox.env)


@pytest.fixture
def workstation(tmp_path: Path, recordings: Path) -> Iterator[Workstation]:
    """Return a user's machine beside a front-end with the driver, its list, and oned.conf as --configure makes it."""
    location = tmp_path / "one"
    Sandbox(location).stop()  # makes the tree
    conf = location / "etc/oned.conf"
    conf.write_text(oned_conf.add(conf.read_text()))
    install(
        location / "var/remotes/auth/biscuit",
        location / "etc/onext/biscuit-revoked",
        recorded_document(recordings),
    )
    running = Sandbox(location)
    home = tmp_path / "home"
    home.mkdir()
    yield Workstation(home, running)
    running.stop()


def public_key(workstation: Workstation) -> str:
    """Make the user's key and return what the administrator needs of it."""
    said = workstation.onext("keygen")
    return next(line.split()[-1] for line in said.splitlines() if line.startswith("Public key"))


def refused(workstation: Workstation, token: str, rule: str, name: str = "dann1") -> None:
    """Assert that oned refuses a token and that its log says why, without the token."""
    before = len(workstation.sandbox.oned_log)
    answer = workstation.sandbox.answer("one.user.info", -1, session=f"{name}:{token}")
    log = workstation.sandbox.oned_log[before:]
    assert answer[0] is False
    assert f"biscuit: refused: {rule}" in log
    assert token[:40] not in log


def test_from_key_to_api(workstation: Workstation) -> None:
    """Logging in with a token does not work on a whole front-end."""
    key = public_key(workstation)
    workstation.sandbox.call("user.allocate", "dann1", key, "biscuit", [])
    token = workstation.login("dann1")
    assert workstation.whoami() == "dann1"
    assert token not in workstation.sandbox.oned_log
    workstation.onext("login", "--renew", "--ttl", "2h")
    assert workstation.whoami() == "dann1"


def test_each_refusal_has_its_reason(workstation: Workstation) -> None:
    """A bad token opens, or the administrator cannot tell from the log why one did not."""
    key = public_key(workstation)
    workstation.sandbox.call("user.allocate", "dann1", key, "biscuit", [])
    good = workstation.login("dann1")
    signature = len(good) - 60
    foreign = workstation.home / "foreign"
    workstation.onext("keygen", "--out", str(foreign))
    refused(workstation, _expired(workstation), "expired: block 1")
    refused(workstation, workstation.login("dann1", "--key", str(foreign)), "signature:")
    refused(
        workstation,
        workstation.onext("token", "--user", "dann1", "--block", "check if false").strip(),
        "check:",
    )
    refused(workstation, good[:signature], "format:")
    refused(workstation, good[:20] + ("A" if good[20] != "A" else "B") + good[21:], "")
    refused(workstation, workstation.onext("token", "--user", "other").strip(), "user:")
    workstation.administrator("revoke", "-", stdin=good)
    refused(workstation, good, "revoked: block 0")


def test_revoke_now(workstation: Workstation) -> None:
    """A revoked token works on from oned's cache, without a warning."""
    key = public_key(workstation)
    workstation.sandbox.call("user.allocate", "dann1", key, "biscuit", [])
    token = workstation.login("dann1")
    assert workstation.whoami() == "dann1"
    said = workstation.administrator("revoke", "-", stdin=token)
    assert "oneuser disable" in said
    assert workstation.whoami() == "dann1"  # cached: why --now is there
    said = workstation.administrator("revoke", "-", "--now", stdin=token)
    assert "already there" in said
    assert "Sunstone" in said
    assert workstation.whoami() == ""
    workstation.login("dann1")
    assert workstation.whoami() == "dann1"


def _expired(workstation: Workstation) -> str:
    long = workstation.onext("token", "--user", "dann1")
    past = "check if time($time), $time <= 2020-01-01T00:00:00Z"
    key = str(workstation.home / ".one/biscuit.key")
    return workstation.onext("attenuate", "-", "--key", key, "--block", past, stdin=long).strip()
