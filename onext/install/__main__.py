"""`python -m onext.install`: what install.sh starts of an installed version. Nothing for people to type."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from onext.account import NoAccount
from onext.install.front_end import FrontEnd, InstallError
from onext.install.terminal import shown
from onext.process import CommandError


def main() -> None:
    """Run one command; a failure that is understood is one line on stderr and exit code 1."""
    os.umask(0o022)
    options = _options()
    try:
        sys.exit(_COMMANDS[options.command](FrontEnd.find(), options))
    except (InstallError, CommandError, NoAccount) as error:
        sys.exit(shown(f"install.sh: {error}"))
    except OSError as error:
        sys.exit(shown(f"install.sh: {error.filename or 'system'}: {error.strerror}"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m onext.install")
    parser.add_argument("command", choices=sorted(_COMMANDS))
    parser.add_argument(
        "--backup", type=Path, default=Path.home() / f"onext-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz"
    )
    parser.add_argument("--checkout", default="", help="the version that the checkout would install")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--configuring", action="store_true", help="`configure` follows")
    parser.add_argument("--leave-hosts-off", action="store_true")
    parser.add_argument("--leave-hosts-armed", action="store_true")
    return parser.parse_args()


def _install(front_end: FrontEnd, options: argparse.Namespace) -> int:
    from onext.install.installation import install, preview

    home = Path(sys.prefix).parent
    return (
        preview(front_end, home)
        if options.dry_run
        else install(front_end, home, configuring=options.configuring)
    )


def _check(front_end: FrontEnd, options: argparse.Namespace) -> int:
    front_end.become_service()
    from onext.install.check import everything
    from onext.table import show

    found = list(everything(front_end, options.checkout))
    rows = [{"check": c.name, "state": c.level, "message": c.message, "remedy": c.remedy} for c in found]
    show(rows, ("check", "state", "message", "remedy"), as_json=options.json)
    return int(any(check.level == "fail" for check in found))


def _uninstall(front_end: FrontEnd, options: argparse.Namespace) -> int:
    from onext.install.installation import uninstall
    from onext.install.uninstall_preview import print_preview

    if options.dry_run:
        return print_preview(front_end)
    return uninstall(
        front_end,
        options.backup,
        leave_hosts_off=options.leave_hosts_off,
        leave_hosts_armed=options.leave_hosts_armed,
    )


def _configure(front_end: FrontEnd, options: argparse.Namespace) -> int:
    from onext.install.configure import configure

    return configure(front_end, yes=options.yes, dry_run=options.dry_run)


def _start_worker(front_end: FrontEnd, _options: argparse.Namespace) -> int:
    from onext.install.service import start_detached

    start_detached(front_end)
    return 0


def _end_worker(front_end: FrontEnd, _options: argparse.Namespace) -> int:
    from onext.install.service import end

    end(front_end)
    return 0


_COMMANDS: Mapping[str, Callable[[FrontEnd, argparse.Namespace], int]] = {
    "install": _install,
    "check": _check,
    "uninstall": _uninstall,
    "configure": _configure,
    "start-worker": _start_worker,
    "end-worker": _end_worker,
}

if __name__ == "__main__":
    main()
