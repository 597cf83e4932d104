"""Waiting with an end."""

import time
from typing import Callable


def until(true: Callable[[], bool], seconds: float, pause: float = 0.005) -> bool:
    """Ask again and again until the answer is yes or the time is over; return the last answer."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
    return True
