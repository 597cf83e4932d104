"""A quiet cloud for each test of acting."""

import pytest

from tests.hooks.power.act.scene import Scene


@pytest.fixture
def scene() -> Scene:
    """Give a quiet cloud."""
    return Scene()
