"""Our hooks at oned: registered once for the whole zone, by the leader, and found by their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

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
    """What was done at oned, and what could not be; lines for people."""

    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Difference:
    """A hook that is not as it should be: `new`, `changed` or `gone` (not part of this version)."""

    how: str
    hook: Hook
    ids: tuple[int, ...] = ()


def register(front_end: FrontEnd, hooks: Path) -> Outcome:
    """Make the hooks at oned what the templates say; with oned down, say what is left."""
    outcome = Outcome()
    try:
        oned = connect(front_end)
        if not oned.raft().acts:
            outcome.left.append("hooks: left to the leader of the zone, they are registered once")
            return outcome
        found = differences(oned, wanted(hooks))
        for difference in found:
            _mend(oned, difference)
        outcome.done += _told(found)
    except OnedError as error:
        outcome.left.append(f"left to you: ./install.sh once more to register the hooks ({error})")
    return outcome


def remove(front_end: FrontEnd) -> Outcome:
    """Delete our hooks, on the leader of the zone alone; with oned down, say what is left."""
    outcome = Outcome()
    try:
        oned = connect(front_end)
        ours = differences(oned, [])
        if ours and not oned.raft().acts:
            outcome.left.append(
                "hooks: the zone's other servers need them; an uninstall on its leader deletes them"
            )
            return outcome
        for difference in ours:
            _mend(oned, difference)
    except OnedError as error:
        outcome.left.append(
            f"left to you: onehook delete each hook whose name begins with {PREFIX}"
            f" (onehook list), as soon as oned answers ({error})"
        )
    return outcome


def wanted(hooks: Path) -> list[Hook]:
    """Return what the templates below `hooks` say; raise InstallError."""
    return [hook_template.read(file) for file in hook_template.files(hooks)]


def differences(oned: Oned, hooks: list[Hook]) -> list[Difference]:
    """Compare with what oned has; a type cannot be updated, so such a hook is gone and new."""
    there = list(_registered(oned))
    known = {(hook.name, hook.type) for hook in hooks}
    gone = [
        Difference("gone", hook, (number,)) for number, hook in there if (hook.name, hook.type) not in known
    ]
    return [*gone, *(found for hook in hooks if (found := _compare(hook, there)) is not None)]


def connect(front_end: FrontEnd) -> Oned:
    """Return oned as the settings say; raise OnedError."""
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
    """Say what was done, by name where there are few."""
    lines = []
    for how, done in _DONE.items():
        names = [difference.hook.name for difference in found if difference.how == how]
        if names:
            lines.append(f"hooks {done}: {', '.join(names) if len(names) <= _NAMED else len(names)}")
    return lines


def _mend(oned: Oned, difference: Difference) -> None:
    if difference.how == "new":
        oned.call("hook.allocate", difference.hook.text)
    for number in difference.ids:
        if difference.how == "gone":
            oned.call("hook.delete", number)
        else:
            oned.call("hook.update", number, difference.hook.update(), _REPLACE)


_NAMED = 4
_DONE = {"new": "registered", "changed": "brought up to date", "gone": "deleted, not part of this version"}
