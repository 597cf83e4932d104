"""The settings that count: onext-migrate.conf, or what it last was when it was valid.

A typing error on the front-end must neither stop all migrations nor loosen a rule.
"""

import contextlib
import hashlib
import os
from typing import Optional

from . import log, refcount, settings
from .errors import BadInputError, TunnelError
from .settings import Settings


def load(etc: str, folder: str = refcount.FOLDER) -> Settings:
    """Return the settings of the folder etc/vmm/kvm; raise BadInputError when none were ever valid here."""
    try:
        text = settings.text(etc)
        found = settings.parse(text)
    except BadInputError as error:
        last = _last(_path(etc, folder))
        if last is None:
            raise
        log.error(f"{error}: the last valid settings are used (correct the file, then onehost sync --force)")
        return last
    _keep(text, _path(etc, folder))
    return found


def _path(etc: str, folder: str) -> str:
    return os.path.join(folder, f"settings-{hashlib.sha256(etc.encode()).hexdigest()[:8]}.conf")


def _last(path: str) -> Optional[Settings]:
    try:
        refcount.ensure_folder(os.path.dirname(path))
        with open(path, encoding="utf-8") as file:
            return settings.parse(file.read(settings.LONGEST), path)
    except (OSError, ValueError, BadInputError, TunnelError):
        return None


def _keep(text: str, path: str) -> None:
    """Remember valid settings; what cannot be written is not needed for this migration."""
    with contextlib.suppress(OSError, TunnelError, ValueError):
        refcount.ensure_folder(os.path.dirname(path))
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                if file.read(settings.LONGEST) == text:
                    return
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(temporary, path)
