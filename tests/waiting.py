"""Wait for what has to happen: looked at often and given up late, so that a busy machine fails no test."""

import time
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE = 90.0  # seconds: a bound on hanging, no measure of anything


def until(holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return the first true value of `holds`; fail with `what` did not happen after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            pytest.fail(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)
    return found
