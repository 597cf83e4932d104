"""`onext tunnel off` and `on`: a mark in oneadmin's home, where neither a sync nor a reboot loses it."""

import os
import pwd


def path() -> str:
    """Return the mark's path."""
    return os.path.join(pwd.getpwuid(os.geteuid()).pw_dir, ".onext-tunnel-off")


def is_off() -> bool:
    """Tell whether tunnels are switched off on this node."""
    return os.path.exists(path())


def turn(off: bool) -> None:
    """Set or remove the mark; it takes effect with the next migration."""
    if off:
        os.close(os.open(path(), os.O_WRONLY | os.O_CREAT, 0o644))
    elif is_off():
        os.unlink(path())
