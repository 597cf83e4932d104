"""Which oned, and as whom: the files and variables that OpenNebula's own commands read."""

from __future__ import annotations

import os
import re
from pathlib import Path

from onext.oned.errors import Unauthenticated
from onext.paths import Paths

_PORT = re.compile(r'^\s*PORT\s*=\s*"?(\d+)"?', re.MULTILINE)


def endpoint(paths: Paths) -> str:
    """Return ONE_XMLRPC, else the address of this machine with the port of oned.conf."""
    if given := os.environ.get("ONE_XMLRPC"):
        return given
    try:
        found = _PORT.search((paths.etc / "oned.conf").read_text(errors="replace"))
    except OSError:
        found = None
    return f"http://localhost:{found.group(1) if found else '2633'}/RPC2"


def files(paths: Paths) -> list[Path]:
    """Return where the credentials may be: ONE_AUTH, else oneadmin's folder, then the user's."""
    given = os.environ.get("ONE_AUTH")
    return [Path(given)] if given else [paths.one_var / ".one/one_auth", Path.home() / ".one/one_auth"]


def session(paths: Paths) -> str:
    """Return `user:password` out of the first of those files; raise Unauthenticated."""
    candidates = files(paths)
    for candidate in candidates:
        try:
            return candidate.read_text().strip()
        except (OSError, ValueError):
            continue
    raise Unauthenticated(
        f"no credentials: none of {', '.join(map(str, candidates))} can be read;"
        " run this as oneadmin, or set ONE_AUTH to a file that holds user:password"
    )
