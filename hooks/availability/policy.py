"""What a cluster's template chooses (ONEXT_HA) inside the administrator's envelope (`availability:`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from hooks.availability.model import Action
from onext import bounds
from onext.settings.availability import Availability

TEMPLATE_KEY = "ONEXT_HA"
_MOST_DENIED = 2_000
_LIMITS = ("DENY", "ACTION", "MAX_DOWN_HOSTS")


class Mode(str, Enum):
    """How much is done by itself."""

    OFF = "off"
    ADVISE = "advise"  # record what `auto` would have done
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one cluster; times in seconds. `complaints` name values that were not accepted."""

    mode: Mode = Mode.OFF
    confirm: float = 90.0
    max_down: int = 1
    action: Action = Action.MIGRATE
    group_pause: float = 60.0
    retries: int = 2
    spares: int = 0
    deny: frozenset[int] = frozenset()
    fence_isolated: bool = False
    failback: bool = False
    max_parallel: int = 5
    quiet: float = 180.0
    services: bool = False
    complaints: tuple[str, ...] = ()


def read(chosen: Mapping[str, str], envelope: Availability) -> Policy:
    """Return the policy of a template.

    For an invalid value the default is used, and `complaints` names it. An invalid limit lowers the mode to
    `advise`, because the default may allow what the limit was to forbid.
    """
    policy = Policy(quiet=float(envelope.quiet_seconds), services=envelope.services)
    complaints, highest = [], Mode(envelope.highest_mode)
    for key, text in chosen.items():
        reader = _KEYS.get(key.upper())
        change = reader(text) if reader else None
        if change is None:
            highest = _lower(highest, Mode.ADVISE) if key.upper() in _LIMITS else highest
            complaints.append(
                f"{TEMPLATE_KEY}/{bounds.words(key, 40)} = {bounds.words(text, 60)!r} is invalid"
            )
        else:
            policy = replace(policy, **change)  # type: ignore[arg-type]
    return replace(_within(policy, envelope), mode=_lower(policy.mode, highest), complaints=tuple(complaints))


def _lower(one: Mode, other: Mode) -> Mode:
    """Return the more cautious of two modes."""
    return min(one, other, key=list(Mode).index)


def _within(policy: Policy, envelope: Availability) -> Policy:
    return replace(
        policy,
        confirm=max(policy.confirm, float(envelope.lowest_confirm_seconds)),
        max_down=min(policy.max_down, envelope.highest_down_hosts),
    )


_Reader = Callable[[str], "dict[str, object] | None"]


def _whole(name: str, low: int, high: int) -> _Reader:
    def convert(text: str) -> dict[str, object] | None:
        value = bounds.whole(text, low, high)
        return None if value is None else {name: value}

    return convert


def _seconds(name: str, low: int, high: int) -> _Reader:
    def convert(text: str) -> dict[str, object] | None:
        value = bounds.whole(text, low, high)
        return None if value is None else {name: float(value)}

    return convert


def _choice(name: str, kind: type[Enum]) -> _Reader:
    values = {item.value: item for item in kind}

    def convert(text: str) -> dict[str, object] | None:
        found = values.get(text.strip().lower())
        return None if found is None else {name: found}

    return convert


def _flag(name: str, yes: str, no: str) -> _Reader:
    def convert(text: str) -> dict[str, object] | None:
        word = text.strip().lower()
        return {name: word == yes} if word in (yes, no) else None

    return convert


def _hosts(text: str) -> dict[str, object] | None:
    items = text.replace(",", " ").split()
    numbers = [bounds.whole(item, 0, 2**31) for item in items]
    if len(items) > _MOST_DENIED or None in numbers:
        return None
    return {"deny": frozenset(number for number in numbers if number is not None)}


_KEYS: Mapping[str, _Reader] = {
    "MODE": _choice("mode", Mode),
    "CONFIRM_SECONDS": _seconds("confirm", 20, 3600),
    "MAX_DOWN_HOSTS": _whole("max_down", 0, 1000),
    "ACTION": _choice("action", Action),
    "GROUP_PAUSE": _seconds("group_pause", 0, 3600),
    "RETRIES": _whole("retries", 0, 10),
    "SPARE_HOSTS": _whole("spares", 0, 100),
    "DENY": _hosts,
    "ISOLATION": _flag("fence_isolated", "fence", "hold"),
    "FAILBACK": _flag("failback", "yes", "no"),
    "MAX_PARALLEL": _whole("max_parallel", 1, 100),
}
