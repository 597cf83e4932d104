"""Settings that an administrator changes are taken without a restart; wrong ones change nothing."""

from __future__ import annotations

import logging
from dataclasses import replace

from onext.part import Context
from onext.settings import SettingsError, load

_log = logging.getLogger("onext.worker")
_NEVER = (-1, -1)


class Renewal:
    """Holds the context whose settings were last found good; None until there were any."""

    def __init__(self, context: Context) -> None:
        self._first = context
        self._stamp = _NEVER
        self.context: Context | None = context if context.given else None

    def look(self) -> Context | None:
        """Return the context to work with, after reading the settings again where their file changed."""
        stamp = self._find()
        if stamp != self._stamp and (self.context is None or self._stamp != _NEVER):
            self._read()
        self._stamp = stamp
        return self.context

    def _read(self) -> None:
        file = self._first.paths.settings
        try:
            self.context = replace(self._first, given=load(file))
        except SettingsError as error:
            rest = "the old ones stay" if self.context else "nothing is begun until they are mended"
            _log.error("settings: %s; %s", error, rest)
        else:
            _log.info("settings: %s was read", file)

    def _find(self) -> tuple[int, int]:
        try:
            found = self._first.paths.settings.stat()
        except OSError:
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns)
