"""Where OpenNebula's hook manager looks for our hooks: another folder, and none of them ever runs.

A self-contained OpenNebula is installed with the packages' folder in its onehem-server.conf.
"""

from __future__ import annotations

import re
from pathlib import Path

from onext.paths import Paths

FILE = "onehem-server.conf"
_BASE = re.compile(r"""(?m)^:hook_base_path:[ \t]*(['"]?)([^'"\n]+)\1[ \t]*(?:#.*)?$""")


def wrong(paths: Paths) -> str:
    """Return what an administrator has to change; empty where hooks are found, or nothing can be read."""
    try:
        text = (paths.etc / FILE).read_text(errors="replace")
    except OSError:
        return ""
    found, hooks = _BASE.search(text), paths.remotes / "hooks"
    if found is None or Path(found.group(2).strip()).resolve() == hooks.resolve():
        return ""
    return (
        f"{paths.etc / FILE}: onext's hooks are never run: "
        f":hook_base_path: is {found.group(2).strip()}, it has to be '{hooks}'"
    )
