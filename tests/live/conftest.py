"""What the live tests stand on: a front-end that the environment names, and a scene that is cleaned up."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live.front_end import FrontEnd
from tests.live.scene import Scene


@pytest.fixture
def front_end() -> FrontEnd:
    """Return the real OpenNebula; skip, saying what is missing, without one."""
    return FrontEnd.find_or_skip()


@pytest.fixture
def scene(front_end: FrontEnd) -> Iterator[Scene]:
    """Return the place where a test makes hosts, guests and hooks; they are gone afterwards."""
    with ExitStack() as stack:
        yield Scene(front_end, stack)
