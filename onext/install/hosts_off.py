"""Hosts that onext has switched off: an uninstall removes what could wake them, so it wakes them first.

The power part's own commands do it, as processes of OpenNebula's account.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onext import process
from onext.account import command_as
from onext.install import registration
from onext.install.front_end import FrontEnd, InstallError
from onext.install.terminal import say
from onext.oned.errors import OnedError
from onext.settings import SettingsError, load

_TIMEOUT = 60.0  # seconds for the list
_WITHIN = 900  # seconds for all hosts to be in service
_OVERRIDE = "--uninstall --leave-hosts-off leaves them off"


@dataclass(frozen=True)
class Host:
    """A host that power switched off, or is switching."""

    id: int
    name: str
    phase: str
    since: str


def listed(front_end: FrontEnd) -> list[Host]:
    """Return the hosts that this zone's power part keeps off; raise InstallError when that is not known.

    None on a server that does not lead: the zone's other servers wake them.
    """
    home = front_end.paths.current
    if not (home / "parts/hooks/power/part.py").is_file():
        return []
    try:
        with front_end.as_service():
            if not registration.connect(front_end).raft().acts:
                return []
        rows = json.loads(_onext(front_end, "power", "asleep", "--json").stdout)
        return [_host(row) for row in rows]
    except (OnedError, process.CommandError, ValueError, KeyError, TypeError) as error:
        raise InstallError(f"which hosts are off because of onext is not known: {error}") from error


def in_use(front_end: FrontEnd) -> bool:
    """Whether the settings let power switch hosts of any cluster."""
    try:
        with front_end.files.at(front_end.paths.settings):
            return bool(load(front_end.paths.settings).power.clusters)
    except SettingsError:
        return True  # nothing is known: rather ask once too often


def require_in_service(front_end: FrontEnd, *, leave: bool) -> list[str]:
    """Wake the hosts that are off and wait, or return what to do for each; raise InstallError.

    Where oned does not answer, an uninstall continues only when power is not in use, or with `leave`.
    """
    try:
        hosts = listed(front_end)
    except InstallError as error:
        if not leave and in_use(front_end):
            raise InstallError(f"nothing was removed: {error}; {_OVERRIDE}") from error
        return [f"{error}; OFFLINE hosts of `onehost list` may be: switch them on, then onehost enable HOST"]
    if not hosts:
        return []
    if leave:
        return [instruction(host) for host in hosts]
    say(f"waking {len(hosts)} hosts that onext has switched off: {_names(hosts)}")
    argv = [str(front_end.paths.bin / "onext"), "power", "wake", "--all", "--within", str(_WITHIN)]
    argv = command_as(front_end.service.uid, argv)
    # Its progress is for the terminal, but the account must not get that as its own: it could type into it.
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[nothing], setsid=True)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise InstallError(f"nothing was removed: not every host is in service; {_OVERRIDE}")
    return []


def instruction(host: Host) -> str:
    """Return what a person does for a host that stays off."""
    return (
        f"host {host.id} {host.name} stays {host.phase} (since {host.since}): switch it on at its BMC or by"
        f" its button, then onehost enable {host.name}"
    )


def summary(front_end: FrontEnd) -> str:
    """Return what an uninstall would do about hosts; empty for nothing."""
    try:
        hosts = listed(front_end)
    except InstallError as error:
        return f"{error}" if in_use(front_end) else ""
    return f"wakes {len(hosts)} hosts first: {_names(hosts)}" if hosts else ""


def _host(row: Mapping[str, object]) -> Host:
    return Host(int(str(row["id"])), str(row["name"]), str(row["phase"]), str(row["since"]))


def _names(hosts: Sequence[Host]) -> str:
    return ", ".join(f"{host.id} {host.name}" for host in hosts)


def _onext(front_end: FrontEnd, *words: str) -> process.Completed:
    argv = [str(front_end.paths.bin / "onext"), *words]
    return process.run(command_as(front_end.service.uid, argv), timeout=_TIMEOUT, max_output=16 << 20)
