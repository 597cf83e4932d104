"""Lines for the VM's log: standard error, with the levels that OpenNebula's drivers use."""

import sys


def _say(level: str, message: str) -> None:
    json_lines = "".join(f"{level}: migrate: {line}\n" for line in message.splitlines())
    try:
        sys.stderr.write(json_lines)
        sys.stderr.flush()
    except OSError:
        pass  # the reader is gone (the front-end's ssh): the migration continues


def info(message: str) -> None:
    """Log what happened."""
    _say("INFO", message)


def warning(message: str) -> None:
    """Log a problem in spite of which the migration continues."""
    _say("WARNING", message)


def error(message: str) -> None:
    """Log why the migration failed, or what went wrong with it."""
    _say("ERROR", message)
