"""oneadmin's certificate in the ssh agent that OpenNebula's drivers forward to nodes.

A migration connects from one node to another by ssh, and oneadmin logs in there with the agent's keys.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hooks.edge import secrets
from hooks.edge.secrets import Secrets
from onext import log, process
from onext.paths import Paths
from onext.process import CommandError

_OPENNEBULA = Path("/run/one/ssh-agent.sock")  # of opennebula-ssh-agent.service
_VARIABLE = "SSH_AUTH_SOCK"
_PATH = "/usr/bin:/bin"
_TIMEOUT = 10.0  # seconds
_DAY = 86_400
_log = log.get("edge")


class AgentError(Exception):
    """The agent cannot be asked, or does not take the certificate; the message states why."""


def place(paths: Paths) -> Path | None:
    """Return the socket of OpenNebula's agent, else of the one in the environment; None without."""
    own = os.environ.get(_VARIABLE)
    candidates = [*([_OPENNEBULA] if paths.location is None else []), *([Path(own)] if own else [])]
    return next((socket for socket in candidates if _is_socket(socket)), None)


def keep(kept: Secrets, socket: Path, days: float) -> bool:
    """Give the agent oneadmin's key with its certificate, for so many days; return whether it lacked it.

    Raises AgentError.
    """
    if holds(kept, socket):
        return False
    _ssh_add(socket, "-q", "-t", str(int(days * _DAY)), str(kept.file(secrets.USER)))
    _log.info("the ssh agent has oneadmin's certificate")
    return True


def holds(kept: Secrets, socket: Path) -> bool:
    """Whether the agent has the certificate as it is now; raise AgentError."""
    try:
        wanted = kept.file(f"{secrets.USER}-cert.pub").read_text().split()[:2]
    except OSError as error:
        raise AgentError(f"{kept.file(secrets.USER)}-cert.pub: {error.strerror}") from None
    return wanted in [line.split()[:2] for line in _ssh_add(socket, "-L", empty=1).splitlines()]


def _ssh_add(socket: Path, *words: str, empty: int = 0) -> str:
    """Return what `ssh-add` prints; an exit code `empty` means: nothing is there."""
    environment = {"PATH": _PATH, _VARIABLE: str(socket)}
    try:
        done = process.run(["ssh-add", *words], timeout=_TIMEOUT, env=environment, check=False)
    except CommandError as error:
        raise AgentError(str(error)) from None
    if done.exit_code not in (0, empty):
        raise AgentError(f"{socket}: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout.decode("ascii", "replace")


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
