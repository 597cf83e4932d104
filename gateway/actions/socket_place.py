"""Where the worker takes orders, and from whom."""

from __future__ import annotations

import os
from pathlib import Path

from onext.paths import Paths

_SOCKET = "actions.sock"


def place(paths: Paths) -> Path:
    """Return where the worker listens for orders."""
    return paths.run / "gateway" / _SOCKET


def is_gateway(paths: Paths, user: int) -> bool:
    """Return whether a user id is the gateway's.

    On a packaged front-end it is the owner of the unit's runtime folder, which only root can make; elsewhere
    everything runs as one user.
    """
    if paths.location is not None:
        return user == os.geteuid()
    try:
        owner = (paths.run.parent / "onext-gateway").lstat().st_uid
    except OSError:
        return False
    return user == owner
