"""Prometheus's own check of a configuration, before it is written."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from onext import process
from onext.account import command_as
from onext.install.front_end import FrontEnd, InstallError, Owner

_TIMEOUT = 60.0


def check(text: str, file: Path, front_end: FrontEnd) -> None:
    """Raise InstallError where promtool refuses `text` as the content of `file`; nothing without promtool.

    It reads a copy beside the file, because names of other files are relative, as the account that
    controls the folder: promtool opens every file that the configuration names.
    """
    if shutil.which("promtool") is None:
        return
    files, copy = front_end.files, file.with_name(f".onext-{secrets.token_hex(4)}.yml")
    controller = files.controller(file) or Owner(os.geteuid(), os.getegid())
    files.write(copy, text.encode("utf-8", "surrogateescape"), 0o600, controller)
    try:
        argv = command_as(controller.uid, ["promtool", "check", "config", str(copy)])
        process.run(argv, timeout=_TIMEOUT)
    except process.CommandError as error:
        raise InstallError(f"{file} is not changed: {error}") from error
    finally:
        files.remove(copy)
