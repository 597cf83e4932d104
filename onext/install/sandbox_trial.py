"""`install.sh --sandbox`: everything on a machine without OpenNebula, in the checkout's .cache/ and /tmp.

Standard library only. The packages are fetched once, as wheels; the sandbox and the front-end that is
installed into it both take them from there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from onext.install import sources, versions

_CACHE = ".cache"


def run(checkout: Path, options: argparse.Namespace) -> int:
    """Make what the sandbox needs, unless it is there, and run the tour; return its exit code."""
    wheels = options.offline or fetched(checkout)
    home = _once(
        checkout / _CACHE / f"sandbox-{_name(checkout)}",
        "making the sandbox's venv",
        lambda stage: _make(checkout, stage, wheels),
    )
    os.chdir(checkout)
    arguments = ["--offline", str(wheels), *(["--keep"] if options.keep else [])]
    python = versions.python(home)
    sys.stdout.flush()
    child = os.posix_spawn(python, [python, "-B", "-E", "-s", "-m", "sandbox.tour", *arguments], os.environ)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fetched(checkout: Path) -> Path:
    """Return the folder of all locked packages, fetched once for each lock."""
    target = checkout / _CACHE / f"wheels-{_name(checkout)}"
    return _once(target, "fetching packages", lambda stage: _fetch(checkout, stage))


def _name(checkout: Path) -> str:
    """Name what depends on the packages and on the interpreter alone: sources run from the checkout."""
    content = (checkout / "locks/sandbox.txt").read_bytes() + sys.version.encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _once(target: Path, what: str, make: Callable[[Path], None]) -> Path:
    """Make a folder aside and rename it, unless it is there; others of its kind are out of date."""
    if target.is_dir():
        return target
    print(f"{what} ({target}) …", flush=True)  # noqa: T201
    kind = target.name.partition("-")[0]
    for old in target.parent.glob(f"{kind}-*"):
        if "." not in old.name:  # with one, another run makes it just now
            shutil.rmtree(old)
    stage = target.with_name(f"{target.name}.{os.getpid()}")
    stage.mkdir(parents=True)
    try:
        make(stage)
        stage.replace(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return target


def _fetch(checkout: Path, stage: Path) -> None:
    """Fetch every package of the extra `sandbox`, and what builds onext itself."""
    versions.download(stage / "venv", checkout, "sandbox", stage)
    shutil.rmtree(stage / "venv")


def _make(checkout: Path, stage: Path, wheels: Path) -> None:
    source = stage / "source"
    sources.copy(checkout, source)
    versions.venv(stage / "venv", source, "sandbox", wheels)
    shutil.rmtree(source)
