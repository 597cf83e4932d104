"""Where everything is on a node, and how files are written there: whole or not at all."""

import contextlib
import json
import os
from typing import Any, Dict, Optional

from edge.errors import EdgeError

INTERFACE = "onext-edge"
UNIT = "onext-edge.service"
BEGIN, END = "# onext-edge begin (managed)", "# onext-edge end (managed)"


class Places:
    """The files of a node, below another root for images and tests."""

    def __init__(self, root: str = "/", account: str = "oneadmin") -> None:
        self.root, self.account = root, account
        self.folder = self.below("etc/onext-edge")
        self.state_file = os.path.join(self.folder, "state.json")
        self.identity = os.path.join(self.folder, "identity.key")
        self.wireguard = os.path.join(self.folder, "wireguard.key")
        self.host_key = self.below("etc/ssh/ssh_host_ed25519_key")
        self.certificate = os.path.join(self.folder, "ssh_host_ed25519_key-cert.pub")
        self.user_ca = os.path.join(self.folder, "user_ca.pub")
        self.principals = os.path.join(self.folder, "principals")
        self.revoked = os.path.join(self.folder, "revoked_keys")
        self.sshd_config = self.below("etc/ssh/sshd_config")
        self.sshd_snippet = self.below("etc/ssh/sshd_config.d/00-onext-edge.conf")
        self.known_hosts = self.below("etc/ssh/ssh_known_hosts")
        self.hosts = self.below("etc/hosts")
        self.unit = self.below("etc/systemd/system/" + UNIT)
        self.program = self.below("usr/local/sbin/onext-edge.pyz")

    def below(self, path: str) -> str:
        """Return a path below the root."""
        return os.path.join(self.root, path)

    @property
    def systemd(self) -> bool:
        """Whether systemd runs this machine, and it is this machine that is meant."""
        return self.root == "/" and os.path.isdir("/run/systemd/system")

    def state(self) -> Optional[Dict[str, Any]]:
        """Return what the last answer said, None before the first join."""
        text = read(self.state_file)
        try:
            found = json.loads(text) if text else None
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def keep(self, state: Dict[str, Any]) -> None:
        """Keep the state for the next start."""
        write(self.state_file, json.dumps(state, indent=1, sort_keys=True), 0o600)


def read(path: str) -> str:
    """Return a text file's content, empty where it is missing; raise OSError where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def write(path: str, content: str, mode: int = 0o644) -> bool:
    """Replace a file unless it holds just that; return whether it was written."""
    if os.path.exists(path) and read(path) == content:
        return False
    os.rename(_draft(path, content, mode), path)
    return True


def create(path: str, content: str) -> None:
    """Write a key, unless another process made one meanwhile."""
    draft = _draft(path, content, 0o600)
    try:
        os.link(draft, path)
    except FileExistsError:
        if not read(path).strip():
            os.rename(draft, path)
    finally:
        remove(draft)


def _draft(path: str, content: str, mode: int) -> str:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o755)
    _remove_drafts(path)
    draft = f"{path}.new.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    return draft


def _remove_drafts(path: str) -> None:
    """Remove what killed processes left of this file: one may hold a key."""
    folder, name = os.path.split(path)
    for found in os.listdir(folder):
        begin, _, process = found.rpartition(".new.")
        if begin == name and process.isdigit() and not os.path.exists("/proc/" + process):
            remove(os.path.join(folder, found))


def remove(path: str) -> None:
    """Remove a file, where it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def with_block(text: str, lines: str) -> str:
    """Return a text whose managed block is `lines`, at its end; without it where `lines` is empty.

    Raises EdgeError where the block's end is missing: what follows may be an administrator's.
    """
    before, begin, rest = text.partition(BEGIN + "\n")
    if begin:
        _, end, after = rest.partition(END + "\n")
        if not end:
            raise EdgeError(
                f"a file has the line `{BEGIN}` without `{END}`: add that line behind those of onext-edge,"
                " in /etc/hosts, ssh_known_hosts or sshd_config, and try again"
            )
        text = before + after
    if not lines:
        return text
    gap = "" if not text or text.endswith("\n") else "\n"
    return text + gap + BEGIN + "\n" + lines + END + "\n"
