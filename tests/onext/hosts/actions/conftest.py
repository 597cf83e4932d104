"""A quiet cloud for each test of acting."""

import pytest

from tests.onext.hosts.actions.scene import Scene


@pytest.fixture
def scene() -> Scene:
    """Give a quiet cloud."""
    return Scene()
