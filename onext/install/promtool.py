"""Prometheus's own word on a configuration, before it is written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from onext import process
from onext.install.front_end import InstallError

_TIMEOUT = 60.0


def check(text: str, file: Path) -> None:
    """Raise InstallError where promtool refuses `text` as the content of `file`; without it nothing is said.

    It looks at a copy beside the file, from where names of other files are relative.
    """
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".onext-", suffix=".yml") as copy:
        copy.write(text.encode("utf-8", "surrogateescape"))
        copy.flush()
        try:
            process.run(["promtool", "check", "config", copy.name], timeout=_TIMEOUT)
        except process.CommandError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return
            raise InstallError(f"{file} is left as it is: {error}") from error
