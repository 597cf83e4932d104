"""The driver as install.sh places it, and tokens to try it with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from xml.sax.saxutils import escape

import biscuit_auth
import pytest

from drivers.auth.biscuit import decision

DRIVER = Path(__file__).parents[4] / "drivers/auth/biscuit/authenticate"
SITE_PACKAGES = str(Path(biscuit_auth.__file__).parents[1])


@dataclass(frozen=True)
class Answer:
    """What oned would see of one run."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Driver:
    """An installed driver: its executable, its revocation list, and oned's recorded document."""

    executable: Path
    revoked: Path
    recorded: str

    def document(self, name: str, stored: str, secret: str) -> bytes:
        """Return the recorded document with other values in it."""
        start, end = self.recorded.index("<SECRET>") + 8, self.recorded.index("</SECRET>")
        text = self.recorded[:start] + escape(secret) + self.recorded[end:]
        start, end = text.index("<PASSWORD>") + 10, text.index("</PASSWORD>")
        text = text[:start] + escape(stored) + text[end:]
        return text.replace("alice", escape(name)).encode()

    def run(self, document: bytes) -> Answer:
        """Run the driver as the auth manager does."""
        done = subprocess.run(
            [self.executable], input=document, capture_output=True, timeout=280, check=False
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def login(self, name: str, stored: object, secret: object) -> Answer:
        """Ask the driver for one login; a token and a key may be the library's objects."""
        secret = secret.to_base64() if isinstance(secret, biscuit_auth.Biscuit) else str(secret)
        return self.run(self.document(name, str(stored), secret))


def install(folder: Path, revoked: Path, recorded: str) -> Driver:
    """Place the driver in `folder` as install.sh does: three lines replaced, and an empty list."""
    executable = folder / "authenticate"
    for parent in (folder, revoked.parent):
        parent.mkdir(parents=True, exist_ok=True)
    lines = DRIVER.read_text().splitlines(keepends=True)
    lines[0] = f"#!{sys.executable} -IS\n"
    lines[lines.index('SITE_PACKAGES = ""\n')] = f"SITE_PACKAGES = {SITE_PACKAGES!r}\n"
    lines[lines.index('REVOKED = "/etc/one/onext/biscuit-revoked"\n')] = f"REVOKED = {str(revoked)!r}\n"
    executable.write_text("".join(lines))
    executable.chmod(0o755)
    shutil.copy(DRIVER.with_name("decision.py"), folder)
    revoked.touch(mode=0o640)
    return Driver(executable, revoked, recorded)


@pytest.fixture
def driver(tmp_path: Path, recordings: Path) -> Driver:
    """Return an installed driver with an empty revocation list."""
    folder = tmp_path / "biscuit"
    return install(folder, folder / "biscuit-revoked", recorded_document(recordings))


def recorded_document(recordings: Path) -> str:
    """Return what a real oned gave to its driver."""
    return (recordings / "auth/authn.known-user.1500-byte-secret.xml").read_text()


@pytest.fixture(scope="session")
def rules() -> ModuleType:
    """Return the module behind the driver, for what a process does not show."""
    return decision


@pytest.fixture(scope="session")
def root() -> biscuit_auth.KeyPair:
    """Return the key pair whose public half is stored for the user."""
    return biscuit_auth.KeyPair()


def in_an_hour(hours: int = 1) -> datetime:
    """Return a moment from now."""
    return datetime.now(timezone.utc) + timedelta(hours=hours)
