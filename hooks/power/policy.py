"""The policy of a cluster: what its template (ONEXT_POWER) chooses inside the administrator's envelope.

A template is written by delegated managers: what goes beyond the envelope is brought back to its edge, and
what cannot be understood holds the cluster back instead of guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import Any

from hooks.power.window import Window
from onext import bounds
from onext.hosts.placement.problem import ZERO, Size
from onext.settings.power import Power

TEMPLATE_KEY = "ONEXT_POWER"
SHORTEST_WINDOW = 10  # minutes


class Mode(str, Enum):
    """How much is done by itself."""

    OFF = "off"
    ADVISE = "advise"
    AUTO = "auto"


class Parked(str, Enum):
    """What to do with POWEROFF and SUSPENDED VMs of a host that could be emptied."""

    BLOCK = "block"
    MIGRATE = "migrate"


class Method(str, Enum):
    """How a host is switched off."""

    POWEROFF = "poweroff"
    SUSPEND = "suspend"


@dataclass(frozen=True, slots=True)
class Policy:
    """All that a decision asks of the people who run the cluster."""

    mode: Mode = Mode.OFF
    pack: bool = False
    min_hosts: int = 2
    spare_host: bool = True
    buffer_vms: int = 1
    buffer_size: Size = ZERO  # free beyond the flavours, summed up over hosts
    group_buffers: tuple[tuple[int, int], ...] = ()  # (group id, so many of its largest flavour)
    idle_seconds: float = 1800.0
    wake_timeout: float = 600.0
    max_parallel_off: int = 1
    max_parallel_on: int = 5
    max_migrations: int = 30
    target_utilisation: float = 0.8
    window: Window | None = None
    max_down_hosts: int = 1
    min_on_seconds: float = 1800.0
    cycles_per_day: int = 3
    method: Method = Method.POWEROFF
    parked: Parked = Parked.BLOCK
    vm_wait_timeout: float = 900.0
    wakes_per_vm: int = 3
    wake_failures: int = 2
    stale_after: float = 600.0
    proven_seconds: float = 30 * 86_400.0
    complaints: tuple[str, ...] = ()


def read(chosen: Mapping[str, str], envelope: Power) -> Policy:
    """Return the policy for a template's ONEXT_POWER; errors are in its `complaints`."""
    chosen = {**envelope.defaults, **{key.upper(): value for key, value in chosen.items()}}
    policy = replace(Policy(), **_from_envelope(envelope))
    complaints = []
    for key, value in chosen.items():
        try:
            name, convert = KEYS[key]
            change: dict[str, Any] = {name: convert(value)}
            policy = replace(policy, **change)
        except KeyError:
            complaints.append(f"{key} is not a key of {TEMPLATE_KEY}: {', '.join(sorted(KEYS))}")
        except ValueError as error:
            complaints.append(f"{key} = {value!r}: {error}")
    if policy.method is Method.SUSPEND and not envelope.suspend:
        complaints.append("METHOD = suspend is not allowed by `power: suspend:` of the settings")
    size = Size(*(_amount(chosen, key, complaints) for key in ("BUFFER_CPU", "BUFFER_MEMORY")))
    policy = replace(policy, buffer_size=Size(size.cpu * 100, size.memory))
    return replace(_within(policy, envelope), complaints=tuple(complaints))


def check(chosen: Mapping[str, str], envelope: Power) -> tuple[str, ...]:
    """Return what is wrong with a template, and what the envelope would cut off."""
    policy = read(chosen, envelope)
    unbound = envelope.model_copy(update=_UNBOUND)
    asked = read(chosen, unbound)
    cut = [
        f"{key} = {value}: the settings allow {_shown(getattr(policy, KEYS[key.upper()][0]))}"
        for key, value in chosen.items()
        if key.upper() in KEYS
        and getattr(policy, KEYS[key.upper()][0]) != getattr(asked, KEYS[key.upper()][0])
    ]
    return (*policy.complaints, *cut, *_too_short(policy.window))


def _too_short(window: Window | None) -> Iterator[str]:
    """Yield what is wrong with a window that is a moment: people write cron's times for when to begin."""
    if window and 0 < (minutes := window.longest(0.0)) < SHORTEST_WINDOW:
        yield (
            f"WINDOW = {window.text!r} is open for {minutes} minutes at a time: it names the minutes in "
            "which hosts may be switched off, such as '* 20-23,0-5 * * 1-5' for nights of working days"
        )


def _shown(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _from_envelope(envelope: Power) -> dict[str, Any]:
    return {
        "min_hosts": envelope.lowest_min_hosts,
        "spare_host": envelope.spare_host,
        "vm_wait_timeout": envelope.vm_wait_timeout,
        "wakes_per_vm": envelope.wakes_per_vm,
        "wake_failures": envelope.wake_failures,
        "stale_after": envelope.stale_after,
        "proven_seconds": envelope.proven_days * 86_400,
    }


def _within(policy: Policy, envelope: Power) -> Policy:
    modes = list(Mode)
    highest = Mode(envelope.highest_mode)
    return replace(
        policy,
        mode=modes[min(modes.index(policy.mode), modes.index(highest))],
        min_hosts=max(policy.min_hosts, envelope.lowest_min_hosts),
        max_parallel_off=min(policy.max_parallel_off, envelope.highest_parallel_off),
        max_parallel_on=min(policy.max_parallel_on, envelope.highest_parallel_on),
        max_migrations=min(policy.max_migrations, envelope.highest_migrations),
        max_down_hosts=min(policy.max_down_hosts, envelope.highest_down_hosts),
        cycles_per_day=min(policy.cycles_per_day, envelope.highest_cycles_per_day),
    )


_UNBOUND: Mapping[str, object] = {
    "highest_mode": "auto",
    "lowest_min_hosts": 0,
    "highest_parallel_off": inf,
    "highest_parallel_on": inf,
    "highest_migrations": inf,
    "highest_down_hosts": inf,
    "highest_cycles_per_day": inf,
}


def _whole(low: int, high: int = 1_000_000) -> Callable[[str], int]:
    def convert(text: str) -> int:
        found = bounds.whole(text, low, high)
        if found is None:
            raise ValueError(f"not an integer from {low} to {high}")
        return found

    return convert


def _amount(chosen: Mapping[str, str], key: str, complaints: list[str]) -> int:
    try:
        return _whole(0)(chosen.get(key, "0"))
    except ValueError as error:
        complaints.append(f"{key} = {chosen[key]!r}: {error}")
        return 0


def _minutes(low: int, high: int) -> Callable[[str], float]:
    return lambda text: 60.0 * _whole(low, high)(text)


def _percent(text: str) -> float:
    return _whole(10, 100)(text.strip().removesuffix("%")) / 100


def _yes(text: str) -> bool:
    if text.strip().lower() not in ("yes", "no"):
        raise ValueError("yes or no is needed")
    return text.strip().lower() == "yes"


def _window(text: str) -> Window | None:
    return Window.parse(text) if text.strip() else None


def _choice(kind: type[Enum]) -> Callable[[str], Enum]:
    def convert(text: str) -> Enum:
        try:
            return kind(text.strip().lower())
        except ValueError:
            raise ValueError(f"one of {', '.join(item.value for item in kind)} is needed") from None

    return convert


def _groups(text: str) -> tuple[tuple[int, int], ...]:
    pairs = (item.partition(":") for item in text.split(",") if item.strip())
    try:
        return tuple((_whole(0)(group), _whole(0, 1000)(count)) for group, _, count in pairs)
    except ValueError:
        raise ValueError("pairs such as 105:2,106:1 (group id:VMs) are needed") from None


KEYS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "MODE": ("mode", _choice(Mode)),
    "PACK": ("pack", _yes),
    "MIN_HOSTS": ("min_hosts", _whole(0)),
    "BUFFER_VMS": ("buffer_vms", _whole(0, 1000)),
    "BUFFER_CPU": ("buffer_size", lambda _: ZERO),  # both together, in read()
    "BUFFER_MEMORY": ("buffer_size", lambda _: ZERO),
    "BUFFER_GROUPS": ("group_buffers", _groups),
    "IDLE_MINUTES": ("idle_seconds", _minutes(1, 10_080)),
    "WAKE_TIMEOUT": ("wake_timeout", _whole(60, 7200)),
    "MAX_PARALLEL_OFF": ("max_parallel_off", _whole(1)),
    "MAX_PARALLEL_ON": ("max_parallel_on", _whole(1)),
    "MAX_MIGRATIONS": ("max_migrations", _whole(0)),
    "TARGET_UTILISATION": ("target_utilisation", _percent),
    "WINDOW": ("window", _window),
    "MAX_DOWN_HOSTS": ("max_down_hosts", _whole(0)),
    "MIN_ON_MINUTES": ("min_on_seconds", _minutes(0, 10_080)),
    "CYCLES_PER_DAY": ("cycles_per_day", _whole(1, 48)),
    "METHOD": ("method", _choice(Method)),
    "PARKED_VMS": ("parked", _choice(Parked)),
}
