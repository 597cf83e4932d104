"""What is recorded about leases, as documents of oneadmin: who may grant now, and which hosts are armed.

The record of grants is written before each grant is sent. Its epoch only grows; a node refuses a lower one.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onext import bounds
from onext.oned.documents import Kind

ZONE = 0  # the number of the one record of grants
MOST_HOSTS = 2_000
_CHUNK, _LARGEST = 12_000, 1 << 19
_LATEST = 1e12


@dataclass(frozen=True, slots=True)
class Granted:
    """A host in the record: its boot id, whether its watchdog was held, and when it answered (Unix time)."""

    boot: str
    held: bool
    at: float


@dataclass(frozen=True, slots=True)
class Grants:
    """The right to grant. `writer` is one start of one worker; `longest` counts for all grants until now."""

    epoch: int
    server: int
    term: int
    writer: str
    longest: float
    at: float
    hosts: Mapping[int, Granted] = field(default_factory=dict)


def _encode(grants: Grants) -> Mapping[str, str]:
    rows = {host: [one.boot, int(one.held), round(one.at)] for host, one in grants.hosts.items()}
    packed = base64.b64encode(zlib.compress(json.dumps(rows, separators=(",", ":")).encode())).decode()
    chunks = [packed[start : start + _CHUNK] for start in range(0, len(packed), _CHUNK)]
    return {
        "EPOCH": str(grants.epoch), "SERVER": str(grants.server), "TERM": str(grants.term),
        "WRITER": grants.writer, "LONGEST": f"{grants.longest:.3f}", "AT": f"{grants.at:.3f}",
        **{f"BODY{number}": chunk for number, chunk in enumerate(chunks)},
    }  # fmt: skip


def _decode(values: Mapping[str, str]) -> Grants:
    return Grants(
        _whole(values, "EPOCH", 1 << 60), _whole(values, "SERVER", 10**9), _whole(values, "TERM", 10**15),
        bounds.words(values["WRITER"], 64), _number(values, "LONGEST", 86_400.0),
        _number(values, "AT", _LATEST), _hosts(values),
    )  # fmt: skip


def _hosts(values: Mapping[str, str]) -> Mapping[int, Granted]:
    count = next(number for number in range(len(values) + 1) if f"BODY{number}" not in values)
    packed = "".join(values[f"BODY{number}"] for number in range(count))
    try:
        text = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), _LARGEST)
        rows = json.loads(text)
        found = {int(host): Granted(*_row(row)) for host, row in rows.items()}
    except (binascii.Error, zlib.error, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"its body cannot be read: {error}") from error
    if len(found) > MOST_HOSTS:
        raise ValueError(f"more than {MOST_HOSTS} hosts")
    return found


def _row(row: object) -> tuple[str, bool, float]:
    match row:
        case [str() as boot, 0 | 1 as held, int() as at] if len(boot) <= 64 and 0 <= at <= _LATEST:
            return boot, bool(held), float(at)
        case _:
            raise ValueError("a host's row is invalid")


def _whole(values: Mapping[str, str], name: str, most: int) -> int:
    number = bounds.whole(values[name], -1, most)
    if number is None:
        raise ValueError(f"{name} is not a number within range")
    return number


def _number(values: Mapping[str, str], name: str, most: float) -> float:
    number = bounds.number(values[name], 0, most)
    if number is None:
        raise ValueError(f"{name} is not a number within range")
    return number


GRANTS: Kind[Grants] = Kind("grants", _encode, _decode)


class Arming(str, Enum):
    """How far arming a host is."""

    ARMING = "arming"  # an installer was made; the node has not answered with its watchdog held
    ARMED = "armed"  # the node acknowledged: its lease is a proof
    DISARMING = "disarming"  # its lease no longer proves anything; the node has not acknowledged yet


@dataclass(frozen=True, slots=True)
class Armed:
    """A host with a lease. `salt` makes its key, `key` names the secret that the salt was used with."""

    state: Arming
    name: str
    salt: str
    key: str
    port: int
    at: float


def _encode_armed(one: Armed) -> Mapping[str, str]:
    return {
        "STATE": one.state.value, "HOST": bounds.words(one.name, 128), "SALT": one.salt, "KEY": one.key,
        "PORT": str(one.port), "AT": f"{one.at:.3f}",
    }  # fmt: skip


def _decode_armed(values: Mapping[str, str]) -> Armed:
    return Armed(
        Arming(values["STATE"]), bounds.words(values["HOST"], 128), bounds.words(values["SALT"], 64),
        bounds.words(values["KEY"], 64), _whole(values, "PORT", 65_535), _number(values, "AT", _LATEST),
    )  # fmt: skip


ARMED: Kind[Armed] = Kind("lease", _encode_armed, _decode_armed)  # by host
