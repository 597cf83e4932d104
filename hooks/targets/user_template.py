"""PROMETHEUS_EXPORTER and PROMETHEUS_LABELS of a VM's user template, which tenants write.

`9100`, `[2001:db8::7]:9100`, `10.0.0.7:9100/metrics`, several separated by commas or spaces; and
`app=web,tier=front`. It is untrusted: hooks.targets.policy decides what may be scraped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from onext import bounds

EXPORTER = "PROMETHEUS_EXPORTER"
LABELS = "PROMETHEUS_LABELS"
Address = IPv4Address | IPv6Address

LONGEST = 1024  # characters of either attribute
_MOST_WISHES = 64  # targets that one attribute may name
_REMEMBERED = 4096  # texts: a pass reads the same ones each minute
_MOST_LABELS = 10
_LONGEST_VALUE = 128
_SHOWN = 100  # characters of a tenant's text in a message
_TARGET = re.compile(
    r"(?:(?P<address>\[[0-9A-Fa-f:.]+\]|[0-9.]+):)?(?P<port>[0-9]{1,5})(?P<path>/[A-Za-z0-9._~/-]{0,127})?"
)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)
# Used by Prometheus, alerts, histograms (`le`, `quantile`), and onext.
_RESERVED = re.compile(r"job|instance|geolocation|alertname|severity|le|quantile|exported_.*|one_.*|__.*")


class Refused(ValueError):
    """A target or an attribute was refused; the message is the reason."""


@dataclass(frozen=True)
class Wish:
    """One target as a tenant wrote it; `address` None means the VM's own."""

    text: str
    port: int
    address: Address | None = None
    path: str = ""


def shown(word: str) -> str:
    """Return a tenant's word in quotes, short enough for a log."""
    return repr(bounds.words(word, _SHOWN))


@lru_cache(_REMEMBERED)
def wishes(text: str) -> tuple[Wish | Refused, ...]:
    """Return each target of a PROMETHEUS_EXPORTER, or the reason why it was refused."""
    if len(text) > LONGEST:
        return (Refused(f"{EXPORTER} is longer than {LONGEST} characters"),)
    words = [word for word in re.split(r"[\s,]+", text.strip()) if word]
    found = [_wish(word) for word in words[:_MOST_WISHES]]
    more = [Refused(f"{EXPORTER} names more than {_MOST_WISHES} targets")] if words[_MOST_WISHES:] else []
    return (*found, *more)


def _wish(word: str) -> Wish | Refused:
    found = _TARGET.fullmatch(word)
    if found is None:
        return Refused(f"{shown(word)} is not port, address:port or [address]:port, with an optional /path")
    port = int(found["port"])
    if not 0 < port <= 65_535:
        return Refused(f"{shown(word)}: not a port (1 to 65535)")
    try:
        address = ip_address(found["address"].strip("[]")) if found["address"] else None
    except ValueError:
        return Refused(f"{shown(word)}: not an IP address")
    return Wish(word, port, address, found["path"] or "")


@lru_cache(_REMEMBERED)
def labels(text: str) -> Mapping[str, str]:
    """Return the labels of a PROMETHEUS_LABELS; raise Refused for one that cannot or may not be set."""
    if len(text) > LONGEST:
        raise Refused(f"{LABELS} is longer than {LONGEST} characters")
    found = dict(_label(part.strip()) for part in text.split(",") if part.strip())
    if len(found) > _MOST_LABELS:
        raise Refused(f"{LABELS} has more than {_MOST_LABELS} labels")
    return found


def _label(part: str) -> tuple[str, str]:
    name, equals, value = (word.strip() for word in part.partition("="))
    if not equals or not _NAME.fullmatch(name):
        raise Refused(f"{LABELS}: {shown(part)} is not name=value")
    if _RESERVED.fullmatch(name.lower()):
        raise Refused(f"{LABELS}: {shown(name)} is reserved")
    if len(value) > _LONGEST_VALUE or not value.isprintable():
        raise Refused(f"{LABELS}: the value of {shown(name)} is too long or not printable")
    return name, value
