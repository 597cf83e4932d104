"""Run programs of this machine: an argument list, a timeout, an error that names the program."""

import os
import shlex
import subprocess
from typing import Optional, Sequence

from edge.errors import CommandFailed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment() -> "dict[str, str]":
    """Return the environment of programs: English, with the folders of administrators' programs."""
    found = dict(os.environ, PATH=PATH, LC_ALL="C")
    found.pop("LOG_LEVEL", None)  # with it wireguard-go keeps our pipes open
    return found


def run(argv: Sequence[str], text: Optional[str] = None, timeout: float = 30.0) -> str:
    """Return what a program printed; raise CommandFailed."""
    shown = " ".join(shlex.quote(word) for word in argv)
    try:
        done = subprocess.run(
            list(argv),
            input=None if text is None else text.encode(),
            stdin=subprocess.DEVNULL if text is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            env=environment(),
            check=False,
        )
    except OSError as error:
        raise CommandFailed(f"{shown}: cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{shown}: still running after {timeout:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-300:]
        raise CommandFailed(f"{shown}: exit code {done.returncode}: {said}")
    return done.stdout.decode("utf-8", "replace")


def there(name: str) -> bool:
    """Whether a program is installed."""
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in PATH.split(":"))
