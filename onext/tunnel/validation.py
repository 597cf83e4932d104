"""Whether onext-migrate.conf is valid, judged by the driver's own reader."""

from __future__ import annotations

import json
from pathlib import Path

from onext import process
from onext.settings import SettingsError

CONF = "etc/vmm/kvm/onext-migrate.conf"  # below remotes/
_TIMEOUT = 15.0  # seconds


class InvalidSettingsError(SettingsError):
    """onext-migrate.conf is invalid: it must not go to the nodes."""


def problem(remotes: Path, driver: Path | None = None) -> str:
    """Return what is wrong with the settings below `remotes`, "" where they are valid or not there.

    `driver` is the folder onext_migrate whose code reads them, that of `remotes` by default. Root passes one
    that only root can write to.
    """
    folder = driver or remotes / "vmm/kvm/onext_migrate"
    conf = remotes / CONF
    if not (folder / "run").is_file() or not conf.exists():
        return ""
    try:
        done = process.run(["sh", str(folder / "run"), "validate", str(conf)], timeout=_TIMEOUT, check=False)
        answer = json.loads(done.stdout)
        return str(answer["problem"])
    except process.CommandError as error:
        return f"{conf} cannot be checked: {error}"
    except (ValueError, KeyError, TypeError):
        said = done.stderr.decode("utf-8", "replace").strip()[-300:]
        return f"{conf} cannot be checked: {said or f'exit code {done.exit_code}'}"


def require(remotes: Path) -> None:
    """Raise InvalidSettingsError when the settings below `remotes` are invalid."""
    if found := problem(remotes):
        raise InvalidSettingsError(f"{found}: correct {remotes / CONF}; nothing was sent to the nodes")
