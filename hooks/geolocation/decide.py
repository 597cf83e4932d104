"""What to write into a host's template: a pure function of what it holds and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hooks.geolocation.database import Coordinates
from hooks.geolocation.discovery import Found
from onext.cloud.model import Host as CloudHost
from onext.oned.objects import Host
from onext.oned.template import Value

VALUE = "GEOLOCATION"
MARK = "ONEXT_GEOLOCATION"  # [SOURCE, TIME, VALUE]: says which value is ours
LOCK = "GEOLOCATION_LOCK"
OVERRIDE = "GEOLOCATION_IP"


@dataclass(frozen=True)
class Decision:
    """Attributes to merge (None removes), empty for nothing to do; why; whether the host was looked at."""

    changes: dict[str, Value]
    reason: str
    looked: bool = True


def hands_off(host: Host | CloudHost) -> str:
    """Return why a host's value is not ours to touch, empty where it is."""
    value, mark = host.text(VALUE), host.template.get(MARK)
    if host.text(LOCK).upper() == "YES":
        return f"{LOCK} is set"
    ours = mark.get("VALUE") if isinstance(mark, dict) else None
    return f"{VALUE}={value!r} is not ours" if value and value != ours else ""


def has_value(host: Host) -> bool:
    """Whether a host has a location."""
    return bool(host.text(VALUE))


def decide(host: Host, found: Found, places: Sequence[Coordinates | None], now: float) -> Decision:
    """Return what to write; `places` are the coordinates of `found.addresses`, None where unknown.

    Found addresses without coordinates leave a value that stands: unknown never erases what was known.
    """
    if reason := hands_off(host):
        return Decision({}, f"left alone: {reason}")
    if not found.addresses:
        return _without_address(host)
    known = [str(place) for place in places if place is not None]
    if not known:
        listed = ", ".join(map(str, found.addresses))
        return Decision({}, f"no coordinates for {listed}; nothing changed")
    value = " ".join(dict.fromkeys(known))
    if value == host.text(VALUE):
        return Decision({}, f"{value} already")
    mark: dict[str, str | int | float] = {"SOURCE": found.source, "TIME": int(now), "VALUE": value}
    return Decision({VALUE: value, MARK: mark}, f"{value} ({found.source})")


def _without_address(host: Host) -> Decision:
    if not has_value(host):
        return Decision({}, "no public address")
    return Decision(
        {VALUE: None, MARK: None}, "removed: ssh and DNS answered, and neither has a public address"
    )
