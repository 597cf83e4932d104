"""Lines for the VM's log: standard error, with the levels that OpenNebula's drivers use."""

import sys


def _say(level: str, message: str) -> None:
    json_lines = "".join(f"{level}: migrate: {line}\n" for line in message.splitlines())
    try:
        sys.stderr.write(json_lines)
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens any more (the front-end's ssh is gone): the migration goes on


def info(message: str) -> None:
    """Say what happened."""
    _say("INFO", message)


def warning(message: str) -> None:
    """Say what is not as it should be, where the migration goes on."""
    _say("WARNING", message)


def error(message: str) -> None:
    """Say why the migration failed, or what came to light about it."""
    _say("ERROR", message)
