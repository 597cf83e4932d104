"""Which parts a front-end has: chosen with `--parts`, kept by upgrades. Standard library only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from onext import atomic
from onext.install.errors import InstallError

FILE = "parts.json"  # in the folder of the installation; without it all parts
ALL = "all"
_FIXED = {"biscuit": "drivers/auth", "tunnel": "drivers/vmm", "exporter": "exporter", "gateway": "gateway"}
_PYTHON = sys.version_info[:2]
_WITHOUT_BISCUIT = (3, 14)  # from this Python on biscuit-python has no wheel


def available(checkout: Path) -> Mapping[str, str]:
    """Return every part of a checkout and the folder that is its own."""
    hooks = {
        path.parent.name: f"hooks/{path.parent.name}" for path in sorted(checkout.glob("hooks/*/part.py"))
    }
    return hooks | {name: folder for name, folder in _FIXED.items() if (checkout / folder).is_dir()}


def chosen(checkout: Path, given: str | None, lib: Path) -> tuple[str, ...]:
    """Return the parts to install: those given, else those that were chosen before, else all.

    A part that this version no longer has is left out. Raises InstallError for a name that is unknown.
    """
    known = available(checkout)
    if given is None:
        before = _stored(lib)
        return tuple(name for name in before if name in known) if before else tuple(sorted(known))
    names = tuple(sorted({name.strip() for name in given.split(",") if name.strip()}))
    if names == (ALL,):
        return tuple(sorted(known))
    if unknown := [name for name in names if name not in known]:
        raise InstallError(f"--parts: {', '.join(unknown)} not known; there are: {', '.join(sorted(known))}")
    if not names:
        raise InstallError(f"--parts: name at least one of {', '.join(sorted(known))}")
    return names


def store(lib: Path, names: Iterable[str], checkout: Path) -> None:
    """Keep the choice for upgrades; all parts are not stored, so that new parts are installed too."""
    names = sorted(names)
    if names == sorted(available(checkout)):
        (lib / FILE).unlink(missing_ok=True)
    else:
        atomic.write(lib / FILE, json.dumps(names).encode() + b"\n", mode=0o644)


def left_out(
    checkout: Path, names: Iterable[str], python: tuple[int, int] = sys.version_info[:2]
) -> list[str]:
    """Return the folders of a checkout that are not installed with this choice and this Python."""
    kept = {name for name in names if not (name == "biscuit" and python >= _WITHOUT_BISCUIT)}
    return [folder for name, folder in available(checkout).items() if name not in kept]


def remark(names: Iterable[str], python: tuple[int, int] = _PYTHON) -> str:
    """Return what a person should know about parts that cannot be had; empty for nothing."""
    if "biscuit" in names and python >= _WITHOUT_BISCUIT:
        return (
            f"biscuit is left out: biscuit-python has no wheel for Python {python[0]}.{python[1]};"
            " PYTHON=python3.13 ./install.sh installs it"
        )
    return ""


def _stored(lib: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((lib / FILE).read_bytes())]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise InstallError(f"{lib / FILE}: invalid: {error}; --parts writes it again") from error
