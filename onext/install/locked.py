"""The packages of a version: the locked set that it was made with, and what is there now.

Run as a program by a version's interpreter it prints what that one has. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

STAMP = "packages.json"  # in the folder of a version


def installed() -> dict[str, str]:
    """Return the distributions of this interpreter and their versions; not pip, which comes with Python."""
    found = {_plain(str(one.metadata["Name"])): one.version for one in metadata.distributions()}
    return {name: found[name] for name in sorted(found) if name not in ("pip", "onext")}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def digest(packages: Mapping[str, str]) -> str:
    """Return what tells one set of packages from another."""
    return hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()[:12]


def stamped(home: Path) -> dict[str, str] | None:
    """Return the set that a version was made with; None for one that was made before sets were locked."""
    try:
        found = json.loads((home / STAMP).read_bytes())
        return {str(name): str(version) for name, version in found.items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def summary(home: Path) -> str:
    """Return the set of a version in words that two servers can compare; empty where it is not known."""
    made = stamped(home)
    return f"{len(made)} as locked, set {digest(made)}" if made is not None else ""


def differences(home: Path) -> Iterator[str]:
    """Return each package that is not as it was made, in words."""
    before, now = stamped(home) or {}, installed()
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} is {now.get(name, 'missing')} instead of {before.get(name, 'absent')}"


def requirement(lock: str, name: str) -> str:
    """Return the lines of one package of a lock; raise KeyError."""
    blocks: list[list[str]] = []
    for line in lock.splitlines():
        if line[:1].isspace() and blocks:
            blocks[-1].append(line)
        elif line and not line.startswith("#"):
            blocks.append([line])
    for block in blocks:
        if block[0].startswith(f"{name}=="):
            return "\n".join(block) + "\n"
    raise KeyError(name)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(installed(), indent=1, sort_keys=True) + "\n")
