"""Claims and records as they stand in a host's template: ONEXT_POWER_STATE and ONEXT_POWER_RECORD.

Each is one vector that is replaced whole and written by us alone. What cannot be read counts as a claim of a
phase that nobody touches: a person has to look.
"""

from __future__ import annotations

from collections.abc import Mapping

from onext.hosts.model import Claim, Phase, Record

STATE_KEY = "ONEXT_POWER_STATE"
RECORD_KEY = "ONEXT_POWER_RECORD"
CAPACITY = ("TOTAL_CPU", "TOTAL_MEM", "MAX_CPU", "MAX_MEM", "RESERVED_CPU", "RESERVED_MEM", "NUMA", "PCI")
DAY = 86_400.0


def claim_of(vector: Mapping[str, str] | str | None) -> Claim | None:
    """Read a claim; None where there is none."""
    if not vector:
        return None
    try:
        vector = {} if isinstance(vector, str) else vector
        return Claim(
            Phase(vector["PHASE"]),
            float(vector["SINCE"]),
            int(vector.get("SERVER", "-1")),
            int(vector.get("TERM", "0")),
            float(vector.get("LEASE", "0")),
            vector.get("REASON", ""),
            {key: vector[key] for key in CAPACITY if key in vector},
            int(vector.get("FAILURES", "0")),
            float(vector.get("ASKED", "0")),
            float(vector.get("UNTIL", "0")),
            vector.get("HARD") == "YES",
            vector.get("BY_HAND") == "YES",
            vector.get("SLEPT") == "YES",
            vector.get("OPENED") == "YES",
        )
    except (KeyError, ValueError):
        return Claim(Phase.QUARANTINED, 0.0, reason=f"{STATE_KEY} cannot be read")


def claim_vector(claim: Claim) -> dict[str, str]:
    """Write a claim."""
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
        **claim.capacity,
    }


def record_of(vector: Mapping[str, str] | str | None) -> Record:
    """Read a record; an unreadable one proves nothing."""
    if not vector or isinstance(vector, str):
        return Record()
    try:
        return Record(
            float(vector.get("PROVEN", "0")),
            float(vector.get("BOOT_SECONDS", "180")),
            vector.get("IDENTITY", ""),
            float(vector.get("ON_SINCE", "0")),
            tuple(float(when) for when in vector.get("OFFS", "").split()),
            float(vector.get("OFF_SECONDS", "0")),
            float(vector.get("JOULES", "0")),
            int(vector.get("WAKES", "0")),
            int(vector.get("FAILED_WAKES", "0")),
        )
    except ValueError:
        return Record()


def record_vector(record: Record, now: float) -> dict[str, str]:
    """Write a record; of the times off only those of the last day."""
    return {
        "PROVEN": f"{record.proven:.0f}",
        "BOOT_SECONDS": f"{record.boot_seconds:.0f}",
        "IDENTITY": record.identity,
        "ON_SINCE": f"{record.on_since:.0f}",
        "OFFS": " ".join(f"{when:.0f}" for when in record.offs if now - when < DAY),
        "OFF_SECONDS": f"{record.off_seconds:.0f}",
        "JOULES": f"{record.joules:.0f}",
        "WAKES": str(record.wakes),
        "FAILED_WAKES": str(record.failed_wakes),
    }


def plain(text: str) -> str:
    """Return text that every template can hold: names from outside may have anything in them."""
    return "".join(char if char.isprintable() and char not in '"\\]' else "?" for char in text)[:200]
