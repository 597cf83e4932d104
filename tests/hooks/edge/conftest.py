"""Fixtures: a front-end in a sandbox, before and after `onext edge init`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import word
from tests.fixtures_sandbox import Sandbox
from tests.hooks.edge.front_end import FrontEnd
from tests.hooks.edge.running_endpoint import Endpoint


@pytest.fixture
def bare(sandboxes: Callable[..., Sandbox]) -> FrontEnd:
    """Return a front-end before `onext edge init`."""
    return FrontEnd(sandboxes("--hosts", "1", "--step", "0.02", "--monitor", "1"))


@pytest.fixture
def front_end(bare: FrontEnd) -> FrontEnd:
    """Return a front-end that is initialised."""
    bare.onext("init", "--pool", "fd0e:d6e0:1::/64")
    return bare


@pytest.fixture
def key(front_end: FrontEnd) -> str:
    """Return the key of the front-end's answers."""
    return word.read(front_end.token()).key


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """Return an endpoint."""
    made = Endpoint(tmp_path)
    yield made
    made.stop()
    made.worker.close()
