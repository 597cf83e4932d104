"""One log in oned's format, with every name from outside escaped.

`Sat Nov 21 04:47:44 2026 [Z0][ONEXT][I]: geolocation: host 3: ...`
"""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

_LEVELS = {
    logging.DEBUG: "D",
    logging.INFO: "I",
    logging.WARNING: "W",
    logging.ERROR: "E",
    logging.CRITICAL: "E",
}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape(text: object) -> str:
    """Return `text` on one line: control, line-breaking and direction characters as escapes."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), str(text))


def line(part: str, level: str, message: str, *, zone: int = 0) -> str:
    """Return one line of the log, without its end."""
    return f"{time.strftime('%a %b %e %H:%M:%S %Y')} [Z{zone}][ONEXT][{level}]: {part}: {escape(message)}"


class _Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return line(record.name.removeprefix("onext."), _LEVELS.get(record.levelno, "I"), message)


def get(part: str) -> logging.Logger:
    """Return the logger of a part."""
    return logging.getLogger(f"onext.{part}")


def open_log(path: Path, *, level: int = logging.INFO, stderr: bool = False) -> None:
    """Send everything below `onext` to `path`, and to stderr where a person or systemd looks.

    WatchedFileHandler: logrotate may move the file away at any time.
    """
    from logging.handlers import WatchedFileHandler

    root = logging.getLogger("onext")
    root.setLevel(level)
    root.propagate = False
    handlers: list[logging.Handler] = [WatchedFileHandler(path, encoding="utf-8")]
    if stderr:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(_Format())
        root.addHandler(handler)
