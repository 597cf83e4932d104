"""The commands: `migrate` for OpenNebula, `virsh` for its script, `hold` for the far end, others for people.

Each command's module is imported when it is asked for: the far end waits for every millisecond of a start.
"""

import os
import pwd
from importlib import import_module
from typing import List

from . import log
from .errors import MigrateError

_COMMANDS = {
    "migrate": "migrate_command",
    "virsh": "virsh_wrapper",
    "hold": "endpoint_server",
    "list": "node_commands",
    "reap": "node_commands",
    "check": "node_commands",
    "validate": "node_commands",
    "off": "node_commands",
    "on": "node_commands",
}


def main(arguments: List[str]) -> int:
    """Run one command; return its exit code."""
    command = arguments[0] if arguments else ""
    if command not in _COMMANDS:
        log.error(f"{command!r}: one of {', '.join(sorted(_COMMANDS))} is expected")
        return 2
    try:
        _become_owner()
        module = import_module("." + _COMMANDS[command], __package__)
        name = "virsh_command" if command == "virsh" else command
        return int(getattr(module, name)(arguments[1:]))
    except ImportError as error:
        if command != "migrate":
            raise
        return _without_driver(f"the driver cannot be loaded ({error})", arguments[1:])
    except (MigrateError, OSError, KeyError) as error:
        log.error(str(error))
        return 1


def _without_driver(why: str, arguments: List[str]) -> int:
    """Leave the migration to the shell wrapper, which checks whether a tunnel is required."""
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "migrate")
    os.execv("/bin/sh", ["sh", script, "--without-driver", why, *arguments])  # noqa: S606
    return 1


def _become_owner() -> None:
    """Work as the owner of this folder where root calls: root's locks and keys would be in oneadmin's way."""
    owner = os.stat(os.path.dirname(os.path.abspath(__file__))).st_uid
    if os.geteuid() != 0 or owner == 0:
        return
    account = pwd.getpwuid(owner)
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(owner)
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
