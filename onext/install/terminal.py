"""What the installer prints: names and texts that oneadmin chose cannot steer root's terminal."""

from __future__ import annotations

import sys

from onext.log import escape


def say(text: object) -> None:
    """Print lines; control characters in them are shown as escapes."""
    sys.stdout.write(shown(text) + "\n")
    sys.stdout.flush()


def shown(text: object) -> str:
    """Return a text of several lines, each without control characters but its tabs."""
    return "\n".join("\t".join(map(escape, line.split("\t"))) for line in str(text).split("\n"))
