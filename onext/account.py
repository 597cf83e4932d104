"""Who a process is: root gives its rights up for the owner of what it is about to touch."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def become(uid: int, gid: int) -> None:
    """Be that user for good where this process is root and the user is not; HOME and USER follow."""
    if os.geteuid() != 0 or uid == 0:
        return
    account = pwd.getpwuid(uid)
    os.initgroups(account.pw_name, gid)
    os.setgid(gid)
    os.setuid(uid)
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name)


def become_owner(folder: Path) -> None:
    """Be the owner of a folder; without the folder nothing changes."""
    try:
        found = folder.stat()
    except OSError:
        return
    become(found.st_uid, found.st_gid)
