"""Local time is UTC in these tests, and small clusters are made in one line."""

import time

import pytest

from tests.onext.hosts.actions.scene import Scene


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are in local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def scene() -> Scene:
    """Give a quiet cloud."""
    return Scene()
