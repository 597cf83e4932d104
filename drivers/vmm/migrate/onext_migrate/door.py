"""The one door to other programs: an argument list, a time-out, an error that says what was run."""

import os
import subprocess
from typing import Dict, NamedTuple, Optional, Sequence

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
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    except OSError as error:
        raise CommandError(argv, 127, str(error)) from error
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


def as_root(argv: Sequence[str], timeout: float = 10.0, check: bool = True) -> Completed:
    """Run a command as root, with the sudo rules that OpenNebula gives oneadmin on a node."""
    return run(list(argv) if os.geteuid() == 0 else ["sudo", "-n", *list(argv)], timeout, check)
