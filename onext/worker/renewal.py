"""Settings and credentials that change are taken without a restart; invalid settings change nothing."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from onext import atomic
from onext.oned import credentials
from onext.part import Context
from onext.settings import SettingsError, load

_log = logging.getLogger("onext.worker")
FILE = "settings-problem"  # in the state folder
_Stamp = tuple[int, int, int]
_NEVER = (-1, -1, -1)


class Renewal:
    """Holds the context whose settings were last found valid, None until there were any."""

    def __init__(self, context: Context) -> None:
        self._first = context
        self._settings = _NEVER
        self._session = _NEVER
        self._context: Context | None = context if context.given else None

    def current(self) -> Context | None:
        """Return the context to work with, after reading settings and credentials that changed."""
        settings, session = _stamp(self._first.paths.settings), self._credentials()
        if settings != self._settings and (self._context is None or self._settings != _NEVER):
            self._read()
        elif session != self._session and self._context is not None and self._session != _NEVER:
            self._context = replace(self._context)  # it logs in anew
            _log.info("credentials: read again, their file changed")
        self._settings, self._session = settings, session
        return self._context

    def _credentials(self) -> _Stamp:
        return next((s for s in map(_stamp, credentials.files(self._first.paths)) if s != _ABSENT), _ABSENT)

    def _read(self) -> None:
        file = self._first.paths.settings
        try:
            self._context = replace(self._first, given=load(file))
        except SettingsError as error:
            rest = (
                "the old settings stay in use" if self._context else "nothing is done until this is corrected"
            )
            for line in str(error).splitlines():
                _log.error("settings: %s", line)
            _log.error("settings: %s", rest)
            _keep(self._first, f"{error}; {rest}")
        else:
            _log.info("settings: %s was read", file)
            _keep(self._first, "")


_ABSENT = (0, 0, 0)


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except OSError:
        return _ABSENT
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _keep(context: Context, problem: str) -> None:
    """Keep for `onext status` why the worker does not use the settings as they are."""
    with suppress(OSError):
        context.paths.state.mkdir(parents=True, exist_ok=True)
        atomic.write(context.paths.state / FILE, problem.encode())


def problem(context: Context) -> str:
    """Return why the worker does not use the settings as they are, "" where it does."""
    try:
        return (context.paths.state / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
