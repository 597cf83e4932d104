"""What to write into a host's template: a pure function of what it holds and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hooks.geolocation.discovery import Discovered
from hooks.geolocation.location import Coordinates, Place, Unplaced
from onext import bounds
from onext.cloud.model import Host as CloudHost
from onext.oned.objects import Host
from onext.oned.template import Value

VALUE = "GEOLOCATION"
MARK = "ONEXT_GEOLOCATION"  # [SOURCE, TIME, VALUE]: which value onext wrote
LOCK = "GEOLOCATION_LOCK"
OVERRIDE = "GEOLOCATION_IP"
_MOST_PLACES = 16
_LONGEST_REASON = 300  # characters


@dataclass(frozen=True)
class Decision:
    """Attributes to merge (None removes), empty for nothing to do; why; whether the host was examined."""

    changes: dict[str, Value]
    reason: str
    looked: bool = True


def hands_off(host: Host | CloudHost) -> str:
    """Return why a host's value must stay as it is, empty where onext may write it."""
    value, mark = host.text(VALUE), host.template.get(MARK)
    if host.text(LOCK).upper() == "YES":
        return f"{LOCK} is set"
    written = mark.get("VALUE") if isinstance(mark, dict) else None
    if value and value != written:
        return f"{VALUE}={bounds.words(value, 100)!r} was not written by onext"
    return ""


def has_value(host: Host) -> bool:
    """Whether a host has a location."""
    return bool(host.text(VALUE))


def decide(host: Host, found: Discovered, places: Sequence[Place], now: float) -> Decision:
    """Return what to write; `places` are the locations of `found.addresses`.

    Addresses without a location do not change an existing value: unknown never erases a known value.
    """
    if reason := hands_off(host):
        return Decision({}, f"not changed: {reason}")
    if not found.addresses:
        return _without_address(host)
    known = dict.fromkeys(str(place) for place in places if isinstance(place, Coordinates))
    left_out = "; ".join(
        f"{address}: {place.reason}"
        for address, place in zip(found.addresses, places, strict=True)
        if isinstance(place, Unplaced)
    )
    if not known:
        return Decision({}, f"no location found, nothing changed: {bounds.words(left_out, _LONGEST_REASON)}")
    value = " ".join(list(known)[:_MOST_PLACES])
    also = f" (left out {bounds.words(left_out, _LONGEST_REASON)})" if left_out else ""
    if value == host.text(VALUE):
        return Decision({}, f"{value}: unchanged{also}")
    mark: dict[str, str | int | float] = {"SOURCE": found.source, "TIME": int(now), "VALUE": value}
    return Decision({VALUE: value, MARK: mark}, f"{value} ({found.source}){also}")


def _without_address(host: Host) -> Decision:
    if not has_value(host):
        return Decision({}, "no public address")
    return Decision(
        {VALUE: None, MARK: None}, "removed: ssh and DNS answered, and neither reported a public address"
    )
