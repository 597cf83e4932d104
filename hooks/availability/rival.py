"""OpenNebula's own fault tolerance hook: two parts that restart VMs act against each other."""

from __future__ import annotations

from onext.cloud.snapshot import Cloud

HOOK = "host_error.rb"


def registered(cloud: Cloud) -> str:
    """Return the name of OpenNebula's hook where it is registered, else an empty text; raise an OnedError."""
    pool = cloud.document("hookpool.info", -2, -1, -1)
    commands = (
        word
        for item in pool.iterfind("HOOK")
        for path in ("COMMAND", "ARGUMENTS")
        for word in item.findtext(f"TEMPLATE/{path}", "").split()
    )
    return HOOK if any(word == HOOK or word.endswith(f"/{HOOK}") for word in commands) else ""
