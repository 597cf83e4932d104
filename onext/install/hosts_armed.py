"""Hosts whose lease ends when onext stops granting: an uninstall would reset them with all their VMs.

The records are documents of availability (`onext ha arm`); nothing of their content is read here.
"""

from __future__ import annotations

from collections.abc import Mapping

from onext.install import registration
from onext.install.front_end import FrontEnd, InstallError
from onext.oned.documents import Documents, Kind
from onext.oned.errors import OnedError

KEY = "lease.key"  # made when the first host is armed, below the folder of oned's data
_OVERRIDE = "--uninstall --leave-hosts-armed continues, and they reset"
_ARMED: Kind[bool] = Kind("lease", lambda _: {}, lambda _: True)


def require_disarmed(front_end: FrontEnd, *, leave: bool) -> list[str]:
    """Raise InstallError while hosts are armed, or return with `leave` what to do for each.

    Where oned does not answer, an uninstall continues only when no host was ever armed, or with `leave`.
    """
    try:
        hosts = listed(front_end)
    except InstallError as error:
        if not leave and (front_end.paths.var / KEY).exists():
            raise InstallError(f"nothing was removed: {error}; {_OVERRIDE}") from error
        return []
    if not hosts:
        return []
    if leave:
        return [
            f"{_name(*host)} stays armed and resets: root removes its daemon there" for host in hosts.items()
        ]
    raise InstallError(
        f"nothing was removed: hosts are armed, and reset when onext no longer grants: {_names(hosts)};"
        f" `onext ha disarm HOST` for each; {_OVERRIDE}"
    )


def listed(front_end: FrontEnd) -> Mapping[int, str]:
    """Return the names of armed hosts by id, those that are being armed or disarmed included.

    None on a server that does not lead: the leader grants.
    """
    try:
        with front_end.as_service():
            oned = registration.connect(front_end)
            if not oned.raft().acts:
                return {}
            records = Documents(oned, _ARMED).all()
            names = {one.id: one.name for one in oned.hosts()} if records else {}
    except OnedError as error:
        raise InstallError(f"which hosts are armed is not known: {error}") from error
    return {number: names.get(number, "") for number in sorted(records)}


def summary(front_end: FrontEnd) -> str:
    """Return what an uninstall would do about armed hosts; empty for nothing."""
    try:
        hosts = listed(front_end)
    except InstallError as error:
        return str(error) if (front_end.paths.var / KEY).exists() else ""
    return f"refuses while hosts are armed: {_names(hosts)}" if hosts else ""


def _names(hosts: Mapping[int, str]) -> str:
    return ", ".join(_name(*host) for host in hosts.items())


def _name(number: int, name: str) -> str:
    return f"{number} {name}".strip()
