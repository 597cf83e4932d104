"""One log in oned's format, with every name from outside escaped and every line bounded.

`Sat Nov 21 04:47:44 2026 [Z0][ONEXT][I]: geolocation: host 3: ...`
"""

from __future__ import annotations

import logging
import re
import sys
import time
from logging.handlers import WatchedFileHandler
from pathlib import Path

_LEVELS = {
    logging.DEBUG: "D",
    logging.INFO: "I",
    logging.WARNING: "W",
    logging.ERROR: "E",
    logging.CRITICAL: "E",
}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 2000  # characters of a message
_LONGEST_TRACE = 8000


def escape(text: object) -> str:
    """Return `text` on one line: control, line-breaking and direction characters as escapes."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), str(text))


def line(part: str, level: str, message: str, *, zone: int = 0, longest: int = _LONGEST) -> str:
    """Return one line of the log, without its end; the message is cut at `longest` characters."""
    cut = message if len(message) <= longest else f"{message[:longest]}… ({len(message)} characters)"
    return f"{time.strftime('%a %b %e %H:%M:%S %Y')} [Z{zone}][ONEXT][{level}]: {part}: {escape(cut)}"


class _Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message, longest = record.getMessage(), _LONGEST
        if record.exc_info:
            trace = self.formatException(record.exc_info)[-_LONGEST_TRACE:]  # its end names the error
            message, longest = f"{message[:_LONGEST]}\n{trace}", _LONGEST + _LONGEST_TRACE
        part = record.name.removeprefix("onext.")
        return line(part, _LEVELS.get(record.levelno, "I"), message, longest=longest)


class _File(WatchedFileHandler):
    """A file that logrotate may move away; a full or read-only disk costs lines, never the process."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # it could not be opened again
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Print the line where systemd or a person sees it, instead of a traceback for each."""
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError):
            return


def get(part: str) -> logging.Logger:
    """Return the logger of a part."""
    return logging.getLogger(f"onext.{part}")


def open_log(path: Path, *, level: int = logging.INFO, stderr: bool = False) -> None:
    """Send everything below `onext` to `path`, and to stderr where a person or systemd reads it.

    Where the file cannot be opened, stderr is all there is.
    """
    root = logging.getLogger("onext")
    root.setLevel(level)
    root.propagate = False
    handlers: list[logging.Handler] = []
    try:
        handlers.append(_File(path, encoding="utf-8", errors="backslashreplace"))
    except OSError as error:
        sys.stderr.write(f"onext: {path}: {error.strerror}; the log goes to standard error\n")
        stderr = True
    if stderr:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(_Format())
        root.addHandler(handler)
