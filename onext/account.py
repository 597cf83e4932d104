"""Which account a process acts as: root gives up its rights before it touches what oneadmin controls.

Standard library only.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from onext.paths import Paths

ACCOUNT = "oneadmin"  # the account of OpenNebula's packages


class NoAccount(Exception):
    """This front-end has no account to switch to; the message names it."""


def become(uid: int, gid: int) -> None:
    """Switch to an account for good where this process is root and the account is not.

    HOME, USER and LOGNAME follow. Raises NoAccount for an unknown user id.
    """
    if os.geteuid() != 0 or uid == 0:
        return
    found = _account(uid)
    os.initgroups(found.pw_name, gid)
    os.setgid(gid)
    os.setuid(uid)
    os.environ.update(_variables(found))


def become_service(paths: Paths) -> None:
    """Switch root to the account that OpenNebula runs as: oneadmin, or the owner of ONE_LOCATION.

    On a packaged front-end the account decides, never the owner of a path: oneadmin may change those.
    Nothing changes for another user, or on a machine that is not a front-end. Raises NoAccount.
    """
    if os.geteuid() != 0:
        return
    if paths.location is not None:
        if paths.location.is_dir():
            found = paths.location.stat()
            become(found.st_uid, found.st_gid)
        return
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        if not (paths.etc / "oned.conf").exists():
            return
        raise NoAccount(
            f"this front-end has no account {ACCOUNT}: is OpenNebula completely installed?"
        ) from None
    become(account.pw_uid, account.pw_gid)


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Let the kernel see another account than root inside the block; no process may be started there.

    A child could take root's rights back, so this is for calls on files and sockets only.
    """
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    before, group = os.getgroups(), os.getegid()
    os.setgroups([gid])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(before)


def command_as(uid: int, argv: list[str]) -> list[str]:
    """Return the command that runs `argv` as an account; `argv` itself where this process is that account."""
    if os.geteuid() != 0 or uid == 0:
        return argv
    found = _account(uid)
    variables = [f"{name}={value}" for name, value in _variables(found).items()]
    return ["runuser", "-u", found.pw_name, "--", "env", *variables, *argv]


def name_of(uid: int) -> str:
    """Return the name of a user id, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _account(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise NoAccount(f"user id {uid} has no account on this machine") from None


def _variables(found: pwd.struct_passwd) -> dict[str, str]:
    return {"HOME": found.pw_dir, "USER": found.pw_name, "LOGNAME": found.pw_name}
