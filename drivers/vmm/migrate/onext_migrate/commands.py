"""Run other programs: an argument list, a timeout, an error that states what was run."""

import os
import subprocess
from typing import Dict, List, NamedTuple, Optional, Sequence

from .errors import CommandError


class Completed(NamedTuple):
    """What a command left: its exit code and both of its outputs."""

    exit_code: int
    stdout: str
    stderr: str


def environment() -> Dict[str, str]:
    """Return the environment for commands whose output is read: English, and with the folders of `ip`."""
    return dict(
        os.environ, LANG="C", LC_ALL="C", PATH=os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    )


def run(
    argv: Sequence[str], timeout: float = 10.0, check: bool = True, text: Optional[str] = None
) -> Completed:
    """Run a command for at most `timeout` seconds; raise CommandError when it fails and `check` is set."""
    return _finish(argv, _start(argv, text), timeout, check, text)


def as_root(
    argv: Sequence[str], timeout: float = 10.0, check: bool = True, text: Optional[str] = None
) -> Completed:
    """Run a command as root, with the sudo rules that OpenNebula gives oneadmin on a node."""
    return run(_sudo(argv), timeout, check, text)


def as_root_together(commands: Sequence[Sequence[str]], timeout: float = 10.0) -> None:
    """Run commands that do not need each other at once; raise CommandError for the first that fails."""
    argvs = [_sudo(argv) for argv in commands]
    running = [_start(argv) for argv in argvs]
    done = [_finish(argv, process, timeout, False) for argv, process in zip(argvs, running)]
    for argv, one in zip(argvs, done):
        if one.exit_code:
            raise CommandError(argv, one.exit_code, one.stderr or one.stdout)


def _sudo(argv: Sequence[str]) -> List[str]:
    return list(argv) if os.geteuid() == 0 else ["sudo", "-n", *list(argv)]


def _start(argv: Sequence[str], text: Optional[str] = None) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    except OSError as error:
        raise CommandError(argv, 127, str(error)) from error


def _finish(
    argv: Sequence[str],
    process: "subprocess.Popen[bytes]",
    timeout: float,
    check: bool,
    text: Optional[str] = None,
) -> Completed:
    try:
        stdout, stderr = process.communicate(None if text is None else text.encode(), timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise CommandError(argv, None, f"killed after {timeout:g} s") from None
    done = Completed(process.returncode, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))
    if check and done.exit_code:
        raise CommandError(argv, done.exit_code, done.stderr or done.stdout)
    return done
