"""What an installation means for live migrations: stated in one line, and the map that one setting needs."""

from __future__ import annotations

import re

from onext import process
from onext.account import command_as
from onext.install.front_end import FrontEnd

_TUNNEL = re.compile(r"""(?m)^\s*TUNNEL=["']?([a-z-]+)""")
_TIMEOUT = 60.0


def statement(front_end: FrontEnd) -> str:
    """Return which live migrations use a tunnel after the next sync, and what decides; "" without driver."""
    paths = front_end.paths
    conf = paths.remotes / "etc/vmm/kvm/onext-migrate.conf"
    if front_end.files.inspect(paths.remotes / "vmm/kvm/onext_migrate/run") is None:
        return ""
    which = {
        "never": "no live migration uses a tunnel",
        "between-clusters": "live migrations between clusters use a tunnel",
    }.get(setting(front_end), "every live migration uses a tunnel")
    return (
        f'after the next onehost sync, {which}; TUNNEL="always", "between-clusters" or "never" in {conf}'
        " decides that"
    )


def setting(front_end: FrontEnd) -> str:
    """Return what TUNNEL is in onext-migrate.conf; "always" where it is not set."""
    try:
        text = front_end.files.read(front_end.paths.remotes / "etc/vmm/kvm/onext-migrate.conf")
    except OSError:
        return "always"
    found = _TUNNEL.findall(text.decode("utf-8", "replace"))
    return str(found[-1]) if found else "always"


def write_map(front_end: FrontEnd) -> str:
    """Write the map of hosts to clusters where the setting needs it; return what is left to do, or ""."""
    if setting(front_end) != "between-clusters":
        return ""
    argv = [str(front_end.paths.bin / "onext"), "tunnel", "sync"]
    try:
        process.run(command_as(front_end.service.uid, argv), timeout=_TIMEOUT)
    except process.CommandError as error:
        return f"still to do: onext tunnel sync, for the map of hosts to clusters ({error})"
    return ""
