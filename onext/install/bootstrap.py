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
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from onext.install import manifest, parts, sandbox_trial, sources, versions
from onext.install.front_end import FrontEnd, InstallError
from onext.install.terminal import shown

_PATIENCE = 10.0  # seconds for an installation that is about to end
_NOT_INSTALLED = "onext is not installed here: ./install.sh installs it"


def main() -> None:
    """Carry out the command line; exit with 0, 1 for a failure or a finding, 2 for a wrong option."""
    checkout = Path(__file__).parents[2]
    os.umask(0o022)
    options = _options()
    try:
        sys.exit(sandbox_trial.run(checkout, options) if options.sandbox else _command(checkout, options))
    except InstallError as error:
        sys.exit(shown(f"install.sh: {error}"))
    except OSError as error:
        sys.exit(shown(f"install.sh: {error.filename or ''}: {error.strerror}"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("install.sh", description="Install onext on this OpenNebula front-end.")
    action = parser.add_mutually_exclusive_group()
    for name, meaning in (
        ("check", "report what differs from a complete installation; exit 1 for a failure"),
        ("configure", "install, then add onext's lines to oned.conf and prometheus.yml, after a diff"),
        ("rollback", "go back to the version before"),
        ("uninstall", "remove everything and restore the front-end"),
        ("sandbox", "try everything on a machine without OpenNebula"),
    ):
        action.add_argument(f"--{name}", action="store_true", help=meaning)
    parser.add_argument(
        "--offline", type=_folder, metavar="DIR", help="install all packages from this folder"
    )
    parser.add_argument(
        "--sync", action="store_true", help="afterwards run `onehost sync --force` for the nodes"
    )
    parser.add_argument("--yes", action="store_true", help="with --configure: do not ask")
    parser.add_argument(
        "--parts",
        metavar="NAME,…",
        help="install these parts only, and keep that choice (all: every part, also future ones)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be done; nothing on the front-end changes"
    )
    parser.add_argument(
        "--leave-hosts-off",
        action="store_true",
        help="with --uninstall: do not wake the hosts that onext has switched off, but list what to do",
    )
    parser.add_argument(
        "--leave-hosts-armed",
        action="store_true",
        help="with --uninstall: continue though armed hosts reset when onext no longer grants their lease",
    )
    parser.add_argument(
        "--backup", type=Path, metavar="FILE", help="with --uninstall: where your settings go"
    )
    parser.add_argument("--keep", action="store_true", help="with --sandbox: keep it running")
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
    if options.dry_run:
        return _dry_run(front_end, checkout, options)
    if options.uninstall:
        return _uninstall(front_end, options)
    manifest.make_folder(front_end.paths.lib)
    with _alone(front_end.paths.lib):
        if options.rollback:
            return _rollback(front_end)
        code = _install(front_end, checkout, options)
    return code or (_sync(front_end) if options.sync else 0)


def _install(front_end: FrontEnd, checkout: Path, options: argparse.Namespace) -> int:
    lib = front_end.paths.lib
    names = parts.chosen(checkout, options.parts, lib)
    if told := parts.remark(names):
        print(told)  # noqa: T201
    home = versions.build(lib, checkout, options.offline, names)
    code = _upgrade(front_end, home, *(["--configuring"] if options.configure else []))
    if not code:
        parts.store(lib, names, checkout)
    return code or (_configure(home, yes=options.yes) if options.configure else 0)


def _dry_run(front_end: FrontEnd, checkout: Path, options: argparse.Namespace) -> int:
    """Let the version that would be used print its plan; it is made in a separate folder, then removed."""
    lib, words = front_end.paths.lib, ["--dry-run"]
    if options.uninstall or options.rollback:
        home = versions.resolve(lib, versions.PREVIOUS) if options.rollback else versions.whole(lib)
        if home is None:
            raise InstallError("no previous version is installed" if options.rollback else _NOT_INSTALLED)
        return _installer(home, "uninstall" if options.uninstall else "install", *words)
    names = parts.chosen(checkout, options.parts, lib)
    with tempfile.TemporaryDirectory(prefix="onext-dry-run-") as scratch:
        Path(scratch).chmod(0o755)
        home = versions.build(Path(scratch), checkout, options.offline, names)
        code = _installer(home, "install", *words)
        return code or (_installer(home, "configure", *words) if options.configure else 0)


def _require_readable(checkout: Path) -> None:
    """Raise InstallError where root's checkout lies in a folder that the owner cannot enter."""
    if not os.access(checkout / "pyproject.toml", os.R_OK):
        owner = pwd.getpwuid(os.geteuid()).pw_name
        raise InstallError(f"{checkout}: {owner}, who installs here, cannot read it: put it elsewhere")


def _upgrade(front_end: FrontEnd, home: Path, *words: str) -> int:
    """Let a version install itself; when it fails, let the one before do so again."""
    lib = front_end.paths.lib
    before, older = versions.resolve(lib, versions.CURRENT), versions.resolve(lib, versions.PREVIOUS)
    code = _installer(home, "install", *words)
    if code and before is not None and before != home:
        print(f"install.sh: {home.name} failed; back to {before.name}", file=sys.stderr)  # noqa: T201
        _installer(before, "install")
        versions.forget(lib, home, older)
    return code


def _rollback(front_end: FrontEnd) -> int:
    previous = versions.resolve(front_end.paths.lib, versions.PREVIOUS)
    if previous is None:
        raise InstallError("no previous version is installed")
    return _upgrade(front_end, previous)


def _configure(home: Path, *, yes: bool) -> int:
    return _installer(home, "configure", *(["--yes"] if yes else []))


def _sync(front_end: FrontEnd) -> int:
    """Let OpenNebula take the migrate driver to the nodes; the command runs as its own user."""
    return _here([str(front_end.paths.bin / "onext"), "tunnel", "drivers", "--sync"])


def _check(checkout: Path, front_end: FrontEnd, *, as_json: bool) -> int:
    lib = front_end.paths.lib
    home = versions.resolve(lib, versions.CURRENT)
    if home is None:
        raise InstallError(_NOT_INSTALLED)
    version = sources.version(checkout, parts.chosen(checkout, None, lib))
    return _installer(home, "check", "--checkout", version, *(["--json"] if as_json else []))


def _uninstall(front_end: FrontEnd, options: argparse.Namespace) -> int:
    """Uninstall with the code of a version that works: it needs packages that only a version has."""
    lib = front_end.paths.lib
    if not lib.is_dir():
        raise InstallError(_NOT_INSTALLED)
    home = versions.whole(lib)
    if home is not None and front_end.system is not None and not versions.follows_no_links(home):
        raise InstallError(
            f"{home.name} would follow links as root: ./install.sh first, then --uninstall again"
        )
    if home is not None:
        words = ["--backup", str(options.backup.absolute())] if options.backup else []
        words += ["--leave-hosts-off"] if options.leave_hosts_off else []
        words += ["--leave-hosts-armed"] if options.leave_hosts_armed else []
        return _installer(home, "uninstall", *words)
    if manifest.Manifest.load(lib).files:
        raise InstallError("no installed version works: run ./install.sh, then --uninstall again")
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
    """Hold the lock of installations; raise InstallError where another one runs for long.

    The lock is in a folder that no other user enters: every user who may open a file may lock it.
    """
    folder = lib / "locked"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    descriptor = os.open(folder / "install", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w"):
        deadline = time.monotonic() + _PATIENCE
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise InstallError(f"another install.sh runs on this front-end (fuser -v {folder}/install)")
            time.sleep(0.2)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
