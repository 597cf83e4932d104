"""The hooks of onext at oned: registered once for the whole zone, by the leader, and known by their names."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from onext import events, process, ssh, zone
from onext.install import hook_template
from onext.install.front_end import FrontEnd, InstallError
from onext.install.hook_template import PREFIX, Hook
from onext.oned.client import Oned
from onext.oned.errors import OnedError
from onext.settings import SettingsError, load

_ALL = (-2, -1, -1)  # of every user, the whole range: 7.0.2 wants the three
_REPLACE = 0


@dataclass
class Outcome:
    """What was done at oned, and what is left to a person, in lines."""

    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Difference:
    """A hook that is not as it should be: `new`, `changed` or `gone` (not part of this version)."""

    how: str
    hook: Hook
    ids: tuple[int, ...] = ()


def register(front_end: FrontEnd, hooks: Path) -> Outcome:
    """Make the hooks at oned what the templates are; with oned down, report what is left.

    New hooks come first and are verified before those of another version are deleted, so that no event is
    without a hook in between. While another server of the zone lacks this version, nothing is replaced.
    """
    outcome = Outcome()
    try:
        oned = connect(front_end)
        if not oned.raft().acts:
            outcome.left.append("hooks: the leader of the zone registers them, once")
            return outcome
        found = differences(oned, wanted(hooks))
        if any(_replaces(difference) for difference in found) and (late := _without_event(oned, front_end)):
            outcome.left.append(
                f"still to do: install this version on {', '.join(late)}, then run ./install.sh here again:"
                " until then the zone keeps the previous version's hooks"
            )
            return outcome
        _replace(oned, found, wanted(hooks), outcome)
    except OnedError as error:
        outcome.left.append(f"still to do: ./install.sh once more to register the hooks ({error})")
    return outcome


def _replaces(difference: Difference) -> bool:
    """Whether a hook is one whose executable the servers of the version before have, and no other."""
    command = difference.hook.stored.get("COMMAND", "")
    return difference.how == "gone" and command != events.COMMAND


def _replace(oned: Oned, found: list[Difference], hooks: list[Hook], outcome: Outcome) -> None:
    names = {hook.name for hook in hooks}
    gone = [difference for difference in found if difference.how == "gone"]
    first = [difference for difference in gone if difference.hook.name in names]  # names are unique
    for difference in (*first, *(other for other in found if other.how != "gone")):
        _apply(oned, difference)
    wrong = [difference.hook.name for difference in differences(oned, hooks) if difference.how != "gone"]
    if wrong:
        outcome.left.append(
            f"still to do: oned did not keep {', '.join(wrong)} as registered (onehook show NAME);"
            " the previous version's hooks stay"
        )
        return
    for difference in gone:
        if difference not in first:
            _apply(oned, difference)
    outcome.done += _told(found)


def _without_event(oned: Oned, front_end: FrontEnd) -> list[str]:
    """Return the names of the zone's other servers on which the executable of the hooks is not there."""
    program = front_end.paths.remotes / "hooks" / events.COMMAND
    return [
        server.name
        for server in zone.others(oned, oned.document("system.config"))
        if not _has(server.host, program, front_end)
    ]


def _has(host: str, program: Path, front_end: FrontEnd) -> bool:
    """Whether a server has the executable; one that cannot be asked has not."""
    try:
        argv = ssh.command(host, ["test", "-x", str(program)], timeout=zone.TIMEOUT)
        if os.geteuid() != front_end.service.uid:
            argv = ["runuser", "-u", pwd.getpwuid(front_end.service.uid).pw_name, "--", *argv]
        return process.run(argv, timeout=zone.TIMEOUT, check=False).exit_code == 0
    except (ValueError, KeyError, process.CommandError):
        return False


def remove(front_end: FrontEnd) -> Outcome:
    """Delete the hooks, on the leader of the zone only; with oned down, report what is left."""
    outcome = Outcome()
    try:
        oned = connect(front_end)
        there = [Difference("gone", hook, (number,)) for number, hook in _registered(oned)]
        if there and not oned.raft().acts:
            outcome.left.append(
                "hooks: the zone's other servers need them; an uninstall on its leader deletes them"
            )
            return outcome
        for difference in there:
            _apply(oned, difference)
    except OnedError as error:
        outcome.left.append(
            f"still to do: onehook delete each hook whose name begins with {PREFIX}"
            f" (onehook list), as soon as oned answers ({error})"
        )
    return outcome


def wanted(hooks: Path) -> list[Hook]:
    """Return the hooks of the templates below `hooks`; raise InstallError."""
    return [hook_template.read(file) for file in hook_template.files(hooks)]


def differences(oned: Oned, hooks: list[Hook]) -> list[Difference]:
    """Compare with what oned has; a type cannot be updated, so such a hook is gone and new."""
    there = list(_registered(oned))
    known = {(hook.name, hook.type) for hook in hooks}
    gone = [
        Difference("gone", hook, (number,)) for number, hook in there if (hook.name, hook.type) not in known
    ]
    kept = [difference for difference in gone if not _optional(difference.hook)]
    return [*kept, *(found for hook in hooks if (found := _compare(hook, there)) is not None)]


def _optional(hook: Hook) -> bool:
    """Whether a person registered it out of hooks/optional: its former command is an alias."""
    former = [f"onext/{name}" for name in events.FORMER]
    return hook.type == "api" and hook.stored.get("COMMAND") in (events.COMMAND, *former)


def connect(front_end: FrontEnd) -> Oned:
    """Return oned by the settings; raise OnedError."""
    try:
        settings = load(front_end.paths.settings).oned
    except SettingsError as error:
        raise InstallError(str(error)) from error
    return Oned.connect(front_end.paths, settings.endpoint, settings.timeout)


def _registered(oned: Oned) -> Iterator[tuple[int, Hook]]:
    for element in oned.document("hookpool.info", *_ALL):
        hook = hook_template.of(element)
        if hook.name.startswith(PREFIX) and hook.stored.get("COMMAND", "").startswith("onext/"):
            yield int(element.findtext("ID", "-1")), hook


def _compare(hook: Hook, there: list[tuple[int, Hook]]) -> Difference | None:
    same = [(number, other) for number, other in there if (other.name, other.type) == (hook.name, hook.type)]
    if not same:
        return Difference("new", hook)
    wrong = tuple(number for number, other in same if other.stored != hook.stored)
    return Difference("changed", hook, wrong) if wrong else None


def _told(found: list[Difference]) -> list[str]:
    """Report what was done, by name where there are few."""
    lines = []
    for how, done in _DONE.items():
        names = [difference.hook.name for difference in found if difference.how == how]
        if names:
            lines.append(f"hooks {done}: {', '.join(names) if len(names) <= _NAMED else len(names)}")
    return lines


def _apply(oned: Oned, difference: Difference) -> None:
    if difference.how == "new":
        oned.call("hook.allocate", difference.hook.text)
    for number in difference.ids:
        if difference.how == "gone":
            oned.call("hook.delete", number)
        else:
            oned.call("hook.update", number, difference.hook.update(), _REPLACE)


_NAMED = 4
_DONE = {"new": "registered", "changed": "brought up to date", "gone": "deleted, not part of this version"}
