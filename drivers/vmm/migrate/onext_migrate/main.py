"""The commands: `migrate` for OpenNebula, `hold` for the other end, the rest for `onext tunnel` over ssh.

Each command's room is imported when it is asked for: the far end waits for every millisecond of a start.
"""

from importlib import import_module
from typing import List

from . import log
from .errors import MigrateError

_COMMANDS = {
    "migrate": "opennebula",
    "hold": "hold",
    "list": "node_commands",
    "reap": "node_commands",
    "check": "node_commands",
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
        room = import_module("." + _COMMANDS[command], __package__)
        return int(getattr(room, command)(arguments[1:]))
    except (MigrateError, OSError) as error:
        log.error(str(error))
        return 1
