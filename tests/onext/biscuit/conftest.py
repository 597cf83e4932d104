"""A user's workstation: a home folder of its own, a key in it, and the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from biscuit_auth import PrivateKey
from click.testing import CliRunner, Result

from onext.biscuit import keys
from onext.biscuit.commands import biscuit

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder; nothing of the real one is read or written."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ONE_AUTH", "ONE_XMLRPC", "ONE_LOCATION", "ONEXT_BISCUIT_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def private(home: Path) -> PrivateKey:
    """Return the private key in the home folder."""
    key = keys.generate()
    keys.write_private(home / ".one/biscuit.key", str(key))
    return key


@pytest.fixture
def run(home: Path) -> Run:
    """Return a function that runs `onext biscuit WORDS` in the home folder."""

    def run(*words: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(biscuit, [str(word) for word in words], input=stdin)

    return run
