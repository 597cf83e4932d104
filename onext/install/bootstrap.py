"""What install.sh runs: makes a version of the checkout, then lets that version install itself.

Standard library only, with whatever Python install.sh found.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pwd
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from onext.install import manifest, sources, trial, versions
from onext.install.front_end import FrontEnd, InstallError


def main() -> None:
    """Do what the command line says; exit with 0, 1 for a failure or a finding, 2 for a wrong option."""
    checkout = Path(__file__).parents[2]
    os.umask(0o022)
    options = _options()
    try:
        sys.exit(trial.run(checkout, options) if options.sandbox else _command(checkout, options))
    except InstallError as error:
        sys.exit(f"install.sh: {error}")
    except OSError as error:
        sys.exit(f"install.sh: {error.filename or ''}: {error.strerror}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("install.sh", description="Install onext on this OpenNebula front-end.")
    action = parser.add_mutually_exclusive_group()
    for name, meaning in (
        ("check", "say what differs from a whole installation; exit 1 when something does"),
        ("configure", "install, then put our lines into oned.conf and prometheus.yml, after a diff"),
        ("rollback", "go back to the version before"),
        ("uninstall", "take everything back and leave the front-end as it was"),
        ("sandbox", "try everything on a machine without OpenNebula"),
    ):
        action.add_argument(f"--{name}", action="store_true", help=meaning)
    parser.add_argument("--offline", type=_folder, metavar="DIR", help="take all packages from this folder")
    parser.add_argument(
        "--sync", action="store_true", help="afterwards run `onehost sync --force` for the nodes"
    )
    parser.add_argument("--yes", action="store_true", help="with --configure: do not ask")
    parser.add_argument(
        "--backup", type=Path, metavar="FILE", help="with --uninstall: where your settings go"
    )
    parser.add_argument("--keep", action="store_true", help="with --sandbox: leave it running")
    parser.add_argument("--json", action="store_true", help="with --check: print JSON")
    return parser.parse_args()


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return Path(text).absolute()


def _command(checkout: Path, options: argparse.Namespace) -> int:
    front_end = FrontEnd.find()
    front_end.become_owner()
    _require_readable(checkout)
    if options.check:
        return _check(checkout, front_end, as_json=options.json)
    front_end.require_rights()
    if options.uninstall:
        return _uninstall(front_end, options.backup)
    manifest.make_folder(front_end.paths.lib)
    with _alone(front_end.paths.lib):
        if options.rollback:
            return _rollback(front_end)
        home = versions.build(front_end.paths.lib, checkout, options.offline)
        code = _upgrade(front_end, home)
        code = code or (_configure(home, yes=options.yes) if options.configure else 0)
    return code or (_sync(front_end) if options.sync else 0)


def _require_readable(checkout: Path) -> None:
    """Raise InstallError where root's checkout lies in a folder that the owner cannot enter."""
    if not os.access(checkout / "pyproject.toml", os.R_OK):
        owner = pwd.getpwuid(os.geteuid()).pw_name
        raise InstallError(f"{checkout}: {owner}, who installs here, cannot read it: put it elsewhere")


def _upgrade(front_end: FrontEnd, home: Path) -> int:
    """Let a version install itself; when it fails, let the one before do so again."""
    lib = front_end.paths.lib
    before, older = versions.resolve(lib, versions.CURRENT), versions.resolve(lib, versions.PREVIOUS)
    code = _installer(home, "install")
    if code and before is not None and before != home:
        print(f"install.sh: {home.name} failed; back to {before.name}", file=sys.stderr)  # noqa: T201
        _installer(before, "install")
        versions.forget(lib, home, older)
    return code


def _rollback(front_end: FrontEnd) -> int:
    previous = versions.resolve(front_end.paths.lib, versions.PREVIOUS)
    if previous is None:
        raise InstallError("there is no version before this one")
    return _upgrade(front_end, previous)


def _configure(home: Path, *, yes: bool) -> int:
    return _installer(home, "configure", *(["--yes"] if yes else []))


def _sync(front_end: FrontEnd) -> int:
    """Let OpenNebula take the migrate driver to the nodes; the command runs as its own user."""
    return _here([str(front_end.paths.bin / "onext"), "tunnel", "drivers", "--sync"])


def _check(checkout: Path, front_end: FrontEnd, *, as_json: bool) -> int:
    home = versions.resolve(front_end.paths.lib, versions.CURRENT)
    if home is None:
        raise InstallError("onext is not installed here: ./install.sh installs it")
    return _installer(
        home, "check", "--checkout", sources.version(checkout), *(["--json"] if as_json else [])
    )


def _uninstall(front_end: FrontEnd, backup: Path | None) -> int:
    """Uninstall with the code of a version that works: it needs packages that only a version has."""
    lib = front_end.paths.lib
    if not lib.is_dir():
        raise InstallError("onext is not installed here")
    home = versions.whole(lib)
    if home is not None:
        return _installer(home, "uninstall", *(["--backup", str(backup.absolute())] if backup else []))
    if manifest.Manifest.load(lib).files:
        raise InstallError(
            "no installed version works any more: ./install.sh makes one that does, then --uninstall again"
        )
    shutil.rmtree(lib)  # a first installation ended before anything was placed
    print("onext is uninstalled: nothing had been placed")  # noqa: T201
    return 0


def _installer(home: Path, *arguments: str) -> int:
    return _here([versions.python(home), "-I", "-m", "onext.install", *arguments])


def _here(argv: Sequence[str]) -> int:
    """Run a command on our own terminal and return its exit code: it may ask a person."""
    sys.stdout.flush()
    child = os.posix_spawn(argv[0], list(argv), os.environ)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def _alone(lib: Path) -> Iterator[None]:
    """Hold the lock of installations; raise InstallError where another one runs."""
    with (lib / "lock").open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InstallError("another install.sh runs on this front-end") from None
        yield
