"""Versions side by side: each is built aside, checked, renamed, and only then made the current one.

Standard library only: the checkout's own Python runs it, before there is a venv.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from onext import process
from onext.install import locked, sources
from onext.install.front_end import InstallError

CURRENT, PREVIOUS, FOLDER = "current", "previous", "versions"
_MINUTES = 60.0
_OUTPUT = 16 << 20
_MANUAL = "import sys; sys.path.insert(0, sys.argv.pop(1)); from onext.cli.manual import main; main()"
_TRIAL = "import onext.install.__main__, onext.settings, onext.oned.client, pyone, ruamel.yaml"


def build(lib: Path, checkout: Path, offline: Path | None, parts: Sequence[str] | None = None) -> Path:
    """Make the version of this checkout, unless it is there and works; return its folder."""
    home = lib / FOLDER / sources.version(checkout, parts)
    if works(home):
        return home
    _say(f"making {home.name} with Python {sys.version.split()[0]}")
    with _stage(home) as stage:
        sources.copy(checkout, stage / "source", parts)
        venv(stage / "venv", stage / "source", "frontend", offline)
        for part in sources.PARTS:
            (stage / "parts").mkdir(exist_ok=True)
            if (stage / "source" / part).is_dir():
                (stage / "source" / part).replace(stage / "parts" / part)
        shutil.rmtree(stage / "source")
        _finish(stage, home)
    return home


def venv(target: Path, source: Path, extra: str, offline: Path | None) -> None:
    """Make a venv with the locked packages of an extra, and the project; raise InstallError.

    Every package is compared with the hashes in locks/. Only the project itself is built, without a
    network, by the locked setuptools; pip knows no hash of a folder.
    """
    where = ["--no-index", "--find-links", str(offline)] if offline else []
    locks, install = source / "locks", [*_pip(target), "install", "--no-compile", "--no-deps"]
    _say("  venv")
    _run([sys.executable, "-I", "-m", "venv", str(target)], "the venv cannot be made")
    _say(f"  locked packages, from {offline or 'the package index'}")
    hashed = [*where, "--require-hashes", "--no-build-isolation", "-r"]
    _run([*install, "--only-binary", ":all:", *hashed, str(locks / "frontend.txt")], "pip failed")
    if extra != "frontend":  # its builds from source need the setuptools that is there now
        _run([*install, *hashed, str(locks / f"{extra}.txt")], "pip failed")
    _say("  onext itself")
    _run([*install, "--no-index", "--no-build-isolation", str(source)], "onext cannot be built")


def download(target: Path, source: Path, extra: str, folder: Path) -> None:
    """Make a bare venv and let its pip put the locked packages of an extra into a folder, hashes compared."""
    lock = source / "locks" / f"{extra}.txt"
    _run([sys.executable, "-I", "-m", "venv", str(target)], "the venv cannot be made")
    build = target / "build.txt"
    build.write_text(locked.requirement(lock.read_text(), "setuptools"))
    _run([*_pip(target), "install", "--no-deps", "--require-hashes", "-r", str(build)], "pip failed")
    hashed = ["--no-deps", "--require-hashes", "--no-build-isolation", "-r", str(lock)]
    _run([*_pip(target), "download", "--dest", str(folder), *hashed], "pip failed")


def _pip(target: Path) -> list[str]:
    return [python(target.parent), "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]


def works(home: Path) -> bool:
    """Whether a version is there and its interpreter, its packages and its own code load."""
    if not (home / "onext.yaml").is_file():
        return False
    try:
        process.run([str(home / "venv/bin/python3"), "-I", "-c", _TRIAL], timeout=_MINUTES)
    except process.CommandError:
        return False
    return True


def follows_no_links(home: Path) -> bool:
    """Whether the installer of a version guards root against links of oneadmin's; the first ones did not."""
    installer = home / "site/onext/install"
    return any((installer / name).is_file() for name in ("safe_files.py", "guarded.py"))  # its older name


def whole(lib: Path) -> Path | None:
    """Return a version that works, the current one where it does; None without any."""
    there = [resolve(lib, CURRENT), *sorted((lib / FOLDER).glob("[!.]*"))]
    return next((home for home in there if home is not None and works(home)), None)


def switch(lib: Path, home: Path) -> Path | None:
    """Make `home` the current version, in one step; return the one that was it."""
    before = resolve(lib, CURRENT)
    if before == home:
        return before
    if before is not None:
        _point(lib / PREVIOUS, before)
    _point(lib / CURRENT, home)
    return before


def resolve(lib: Path, name: str) -> Path | None:
    """Return the folder that `current` or `previous` names, None when that is not a version."""
    try:
        home = lib / (lib / name).readlink()
    except OSError:
        return None
    return home if home.is_dir() else None


def prune(lib: Path) -> None:
    """Remove every version but the current and the previous one, and what interrupted installs left.

    A pip that outlived its killed install.sh may still write there: the next install takes the rest.
    """
    keep = {resolve(lib, CURRENT), resolve(lib, PREVIOUS)}
    for folder in (lib / FOLDER).iterdir():
        if folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def forget(lib: Path, failed: Path, older: Path | None) -> None:
    """Remove a version that failed; `previous` is again what it was before the try."""
    if older is not None:
        _point(lib / PREVIOUS, older)
    else:
        (lib / PREVIOUS).unlink(missing_ok=True)
    if resolve(lib, CURRENT) != failed:
        shutil.rmtree(failed)


def python(home: Path) -> str:
    """Return the interpreter of a version."""
    return str(home / "venv/bin/python3")


@contextmanager
def _stage(home: Path) -> Iterator[Path]:
    """Give a folder to build in; its name is the version's when all went well, and else it is gone."""
    home.parent.mkdir(parents=True, exist_ok=True)
    stage = home.with_name(f".{home.name}.{os.getpid()}")
    try:
        stage.mkdir(mode=0o755)
        yield stage
        shutil.rmtree(home, ignore_errors=True)  # one that does not work any more
        stage.replace(home)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _finish(stage: Path, home: Path) -> None:
    """Add what is made of the sources: the link to the packages, byte code, the settings file."""
    interpreter = python(stage)
    packages = next((stage / "venv/lib").glob("python3.*/site-packages"))
    (stage / "site").symlink_to(packages.relative_to(stage))
    compiled = ["-q", "-s", str(stage), "-p", str(home), str(packages), str(stage / "parts")]
    _run([interpreter, "-I", "-m", "compileall", *compiled], "byte code cannot be made", fatal=False)
    present = _run([interpreter, "-I", "-m", "onext.install.locked"], "this version is broken")
    (stage / locked.STAMP).write_bytes(present.stdout)
    document = _run([interpreter, "-I", "-m", "onext.settings.document"], "this version is broken")
    (stage / "onext.yaml").write_bytes(document.stdout)
    manual = [interpreter, "-I", "-c", _MANUAL, str(stage / "parts"), str(stage / "manual")]
    _run(manual, "man pages cannot be made", fatal=False)
    _run([interpreter, "-I", "-c", _TRIAL], "this version is broken")


def _point(link: Path, home: Path) -> None:
    """Let a link name a version, relative to its folder, by a rename: it is never absent."""
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(Path(FOLDER) / home.name)
    draft.replace(link)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _run(argv: Sequence[str], failure: str, *, fatal: bool = True) -> process.Completed:
    try:
        return process.run(argv, timeout=30 * _MINUTES, max_output=_OUTPUT, check=fatal)
    except process.CommandError as error:
        raise InstallError(f"{failure}, nothing was changed: {error}") from error
