"""From evidence about one host to a verdict, with reasons. A pure function; each row of its table is a test.

Silence is never a proof of death. A proof together with a sign of life is a contradiction, which proves
nothing: the BMC may be another machine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

FRESH = 30.0  # seconds for which an item of evidence counts


class Source(str, Enum):
    """Where an item of evidence comes from."""

    MONITORING = "monitoring"  # oned received the host's monitoring
    SSH = "ssh"  # the host's sshd answers the front-end
    PEER = "peer"  # the host's sshd answers another host of its cluster
    LIBVIRT = "libvirt"  # its libvirt answers over the network
    STORAGE = "storage"  # the counter that it writes to shared storage changes
    BMC = "bmc"  # power state read from its BMC
    AGENT = "fence agent"  # power state read by a fence agent
    LEASE = "lease"  # its daemon answers, or the time for which the front-end let it run VMs is over
    PERSON = "person"  # `onext ha confirm`
    BOOT = "boot id"  # it runs, but is not the instance that failed


class Finding(str, Enum):
    """What an item of evidence shows."""

    ALIVE = "alive"
    DEAD = "dead"  # powered off, lease expired, confirmed
    POWERED = "powered"  # its controller reports power, which is neither life nor death
    SILENT = "silent"  # it was asked and did not answer
    UNKNOWN = "unknown"  # it could not be asked


@dataclass(frozen=True, slots=True)
class Evidence:
    """One item. `age` are seconds since it was found; `readings` counts equal readings in a row.

    `verified` tells that the source is surely this host's: a BMC whose identity was compared since the host
    was last up.
    """

    source: Source
    finding: Finding
    age: float = 0.0
    detail: str = ""
    readings: int = 1
    verified: bool = True


class Verdict(str, Enum):
    """What the evidence amounts to."""

    ALIVE = "alive"  # it answers the front-end and is monitored again
    DEGRADED = "degraded"  # something shows life, but not all is well
    ISOLATED = "isolated"  # only its storage heartbeat shows life
    DEAD = "dead"  # proven
    UNKNOWN = "unknown"  # silent, and no proof


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons.

    `proofs` are the sources that prove death, whether or not they are enough. `powered`: a controller that is
    surely this host's reports power, so that an order to it can be judged by what it reports afterwards.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    proofs: tuple[Source, ...] = ()
    powered: bool = False


_NETWORK = (Source.SSH, Source.PEER, Source.LIBVIRT, Source.LEASE)
_POWER = (Source.BMC, Source.AGENT)


def judge(items: Iterable[Evidence], proofs_needed: int = 1) -> Judgement:
    """Return the verdict on a host; `proofs_needed` independent proofs make it DEAD."""
    fresh = [item for item in items if 0 <= item.age <= FRESH]
    fresh.sort(key=lambda item: item.finding is not Finding.ALIVE)
    reasons = tuple(_reason(item) for item in fresh)
    alive = [item.source for item in fresh if item.finding is Finding.ALIVE]
    proofs = tuple(dict.fromkeys(item.source for item in fresh if _proves(item)))
    powered = any(item.finding is Finding.POWERED and item.verified for item in fresh)
    if any(source in alive for source in _NETWORK) or Source.MONITORING in alive:
        return Judgement(_living(alive, proofs), _contradiction(alive, proofs) + reasons, proofs, powered)
    if Source.STORAGE in alive:
        return Judgement(Verdict.ISOLATED, _contradiction(alive, proofs) + reasons, proofs, powered)
    if powered and proofs and set(proofs) <= {Source.PERSON}:
        reason = "a person confirmed that it is off, but its BMC or fence agent reports power"
        return Judgement(Verdict.UNKNOWN, (reason, *reasons), proofs, powered)
    if len(_independent(proofs)) >= proofs_needed:
        return Judgement(Verdict.DEAD, reasons, proofs, powered)
    return Judgement(Verdict.UNKNOWN, _missing(proofs, proofs_needed) + reasons, proofs, powered)


def _living(alive: Sequence[Source], proofs: Sequence[Source]) -> Verdict:
    well = Source.MONITORING in alive and Source.SSH in alive and not proofs
    return Verdict.ALIVE if well else Verdict.DEGRADED


def _proves(item: Evidence) -> bool:
    """Return whether an item alone proves death."""
    if item.finding is not Finding.DEAD or not item.verified:
        return False
    if item.source in _POWER:
        return item.readings >= 2
    return item.source in (Source.LEASE, Source.PERSON)


def _independent(proofs: Sequence[Source]) -> set[str]:
    """Count a BMC and a fence agent as one: both may read the same controller."""
    return {"power" if source in _POWER else source.value for source in proofs}


def _contradiction(alive: Sequence[Source], proofs: Sequence[Source]) -> tuple[str, ...]:
    if not proofs:
        return ()
    names = ", ".join(source.value for source in proofs)
    return (f"{names} reports it dead, but {alive[0].value} shows life: check which machine that is",)


def _missing(proofs: Sequence[Source], needed: int) -> tuple[str, ...]:
    if not proofs:
        return ("no proof of death",)
    return (f"{len(_independent(proofs))} of {needed} independent proofs of death",)


def _reason(item: Evidence) -> str:
    detail = f" ({item.detail})" if item.detail else ""
    doubt = "" if item.verified else ", identity not verified"
    return f"{item.source.value}: {item.finding.value}{detail}{doubt}, {item.age:.0f} s ago"
