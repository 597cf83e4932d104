"""Which part works on a host, and what its past proves: one document of oneadmin for each host.

The document authorises actions (onext/oned/documents.py). The host's template holds a copy for people and
for an earlier version of this software: ONEXT_POWER_STATE and ONEXT_POWER_RECORD, each one vector that is
replaced whole. Managers of the host can edit that copy, so a claim that is only there, or that
contradicts the document, permits to bring a host back into service and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from onext import bounds
from onext.hosts.model import GOING, Claim, Phase, Record
from onext.oned.documents import Kind, Stored
from onext.oned.objects import Attribute

STATE_KEY = "ONEXT_POWER_STATE"
RECORD_KEY = "ONEXT_POWER_RECORD"
CAPACITY = ("TOTAL_CPU", "TOTAL_MEM", "MAX_CPU", "MAX_MEM", "RESERVED_CPU", "RESERVED_MEM", "NUMA", "PCI")
DAY = 86_400.0
LATEST = 1e11  # Unix time: what is beyond is not a time
LONGEST = 1e12  # seconds, joules
MOST_CYCLES = 96  # times of switching off that are kept
_PAST = "PAST_"


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host's document: the name that it was written for, the claim on it, and its past."""

    name: str
    claim: Claim | None = None
    record: Record = field(default_factory=Record)


def effective(
    stored: Stored[HostRecord] | None, copy: Attribute | None, name: str
) -> tuple[Claim | None, Record]:
    """Return the claim and the past of a host named `name`, given its document and its template's copy.

    A claim is `verified` where the document holds it, for a host of this name, and for a host that is being
    switched off where the copy agrees: after a return to an earlier version only the copy is up to date.
    """
    if stored is None:
        return claim_of(copy), Record()
    if stored.value is None:
        return Claim(Phase.QUARANTINED, 0.0, reason=stored.problem), Record()
    found = stored.value
    if found.name != plain(name):
        claim = replace(found.claim, verified=False) if found.claim else claim_of(copy)
        return claim, replace(found.record, proven=0.0)
    if found.claim is None:
        return claim_of(copy), found.record
    agrees = found.claim.phase not in GOING or same(claim_of(copy), found.claim)
    return replace(found.claim, verified=agrees), found.record


def expects(known: HostRecord | None, before: Claim | None) -> bool:
    """Return whether a document still holds the claim that a writer has seen, before it writes another."""
    if known is None or (known.claim is None and (before is None or not before.verified)):
        return True
    return same(known.claim, before)


def same(one: Claim | None, other: Claim | None) -> bool:
    """Return whether two claims are the same step of the same writer."""
    return _identity(one) == _identity(other)


def _identity(claim: Claim | None) -> tuple[object, ...] | None:
    if claim is None:
        return None
    return claim.phase, round(claim.since), claim.server, claim.term, claim.holder, claim.asked > 0


def claim_of(vector: Attribute | None) -> Claim | None:
    """Return the claim in a template, which is never verified; None without one."""
    if not vector:
        return None
    try:
        claim = _claim({} if isinstance(vector, str) else vector)
    except (KeyError, ValueError):
        return Claim(Phase.QUARANTINED, 0.0, reason=f"{STATE_KEY} is invalid", verified=False)
    return replace(claim, verified=False)


def _claim(vector: Mapping[str, str]) -> Claim:
    return Claim(
        Phase(vector["PHASE"]),
        _number(vector, "SINCE", 0.0, LATEST, required=True),
        int(_number(vector, "SERVER", -1.0, 1e9, default=-1.0)),
        int(_number(vector, "TERM", -1.0, 1e15)),
        _number(vector, "LEASE", 0.0, DAY),
        bounds.words(vector.get("REASON"), 300),
        {key: bounds.words(vector[key], 400) for key in CAPACITY if key in vector},
        int(_number(vector, "FAILURES", 0.0, 1e6)),
        _number(vector, "ASKED", 0.0, LATEST),
        _number(vector, "UNTIL", 0.0, LATEST),
        vector.get("HARD") == "YES",
        vector.get("BY_HAND") == "YES",
        vector.get("SLEPT") == "YES",
        vector.get("OPENED") == "YES",
        bounds.words(vector.get("HOLDER", "power"), 32),
    )


def _number(
    vector: Mapping[str, str],
    key: str,
    low: float,
    high: float,
    *,
    default: float = 0.0,
    required: bool = False,
) -> float:
    if key not in vector and not required:
        return default
    value = bounds.number(vector.get(key), low, high)
    if value is None:
        raise ValueError(f"{key} is not a number from {low:.0f} to {high:.0f}")
    return value


def claim_vector(claim: Claim) -> dict[str, str]:
    """Return a claim as a vector of a template."""
    return {
        "PHASE": claim.phase.value,
        "SINCE": f"{claim.since:.0f}",
        "SERVER": str(claim.server),
        "TERM": str(claim.term),
        "LEASE": f"{claim.lease:.0f}",
        "REASON": plain(claim.reason),
        "FAILURES": str(claim.failures),
        "ASKED": f"{claim.asked:.0f}",
        "UNTIL": f"{claim.until:.0f}",
        "HARD": "YES" if claim.hard else "NO",
        "BY_HAND": "YES" if claim.by_hand else "NO",
        "SLEPT": "YES" if claim.slept else "NO",
        "OPENED": "YES" if claim.opened else "NO",
        "HOLDER": plain(claim.holder),
        **{key: plain(value, 400) for key, value in claim.capacity.items()},
    }


def _record(vector: Mapping[str, str]) -> Record:
    offs = vector.get("OFFS", "").split()[-MOST_CYCLES:]
    return Record(
        _number(vector, "PROVEN", 0.0, LATEST),
        _number(vector, "BOOT_SECONDS", 0.0, DAY, default=180.0),
        bounds.words(vector.get("IDENTITY"), 200),
        _number(vector, "ON_SINCE", 0.0, LATEST),
        tuple(_number({"OFFS": when}, "OFFS", 0.0, LATEST) for when in offs),
        _number(vector, "OFF_SECONDS", 0.0, LONGEST),
        _number(vector, "JOULES", 0.0, LONGEST * 1e4),
        int(_number(vector, "WAKES", 0.0, 1e9)),
        int(_number(vector, "FAILED_WAKES", 0.0, 1e9)),
    )


def record_vector(record: Record) -> dict[str, str]:
    """Return a record as a vector of a template; of the times off only those of the last day."""
    newest = max(record.offs, default=0.0)
    return {
        "PROVEN": f"{record.proven:.0f}",
        "BOOT_SECONDS": f"{record.boot_seconds:.0f}",
        "IDENTITY": plain(record.identity),
        "ON_SINCE": f"{record.on_since:.0f}",
        "OFFS": " ".join(f"{when:.0f}" for when in record.offs if newest - when < DAY),
        "OFF_SECONDS": f"{record.off_seconds:.0f}",
        "JOULES": f"{record.joules:.0f}",
        "WAKES": str(record.wakes),
        "FAILED_WAKES": str(record.failed_wakes),
    }


def plain(text: str, longest: int = 200) -> str:
    """Return text that every template can hold: names from outside may have anything in them."""
    return "".join(char if char.isprintable() and char not in '"\\]' else "?" for char in text)[:longest]


def _encode(host: HostRecord) -> dict[str, str]:
    past = {f"{_PAST}{key}": value for key, value in record_vector(host.record).items()}
    return {"HOST": plain(host.name), **(claim_vector(host.claim) if host.claim else {}), **past}


def _decode(values: Mapping[str, str]) -> HostRecord:
    past = {key.removeprefix(_PAST): text for key, text in values.items() if key.startswith(_PAST)}
    return HostRecord(values["HOST"], _claim(values) if "PHASE" in values else None, _record(past))


HOST_RECORDS: Kind[HostRecord] = Kind("host", _encode, _decode)
