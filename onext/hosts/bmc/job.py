"""One job for the child process: what is asked of which BMC, and what every driver has to offer.

Runs in the child and in its parent; the standard library only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from onext.hosts.bmc import identity
from onext.hosts.bmc.errors import BmcError, MissingPrivilege, TimedOut
from onext.hosts.bmc.identity import Reported
from onext.hosts.bmc.watts import HIGHEST, HIGHEST_OFF, LOWEST, Bounds, Draw

Order = Literal["on", "soft", "hard"]
Wish = Literal["power", "identity", "watts", "check", "on", "soft", "hard"]
_AFTER: Mapping[str, str] = {"on": "on", "soft": "off", "hard": "off"}
_MOST_IMPLAUSIBLE = 6


@dataclass(frozen=True)
class Job:
    """One session: with whom, as whom, what for, and how the machine is recognised. Never printed.

    `ends` is the time of CLOCK_MONOTONIC at which the session ends. An order is not sent after `not_after` of
    CLOCK_BOOTTIME: a front-end that was paused acts late, when another one may lead.
    """

    id: int
    wish: Wish
    kind: str
    address: str
    port: int
    user: str = ""
    password: str = ""
    pin: str | None = None
    certificate_name: str | None = None
    ca_file: str | None = None
    legacy_tls: bool = False
    system: str | None = None
    uuid: str | None = None
    serial: str | None = None
    button: bool = False  # a shutdown presses the power button
    watts: tuple[float, float, float] = (LOWEST, HIGHEST, HIGHEST_OFF)
    agent: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    ends: float = float("inf")
    not_after: float = float("inf")

    def __repr__(self) -> str:
        return f"Job({self.id}, {self.wish}, {self.kind}, {self.address})"

    @property
    def bounds(self) -> Bounds:
        """Which readings of power are plausible."""
        return Bounds(*self.watts)


class Session(Protocol):
    """A BMC that accepted our login."""

    def __init__(self, job: Job) -> None: ...

    def power(self) -> str:
        """Return `on` or `off`; raise BmcError for anything else."""

    def identity(self) -> Reported:
        """Return what it reports of its machine."""

    def order(self, order: Order) -> None:
        """Give an order, without waiting until it is done."""

    def watts(self, *, on: bool) -> Draw:
        """Return what the machine draws, which is on or off."""

    def privilege(self) -> bool | None:
        """Return whether the account may switch the machine, None where the BMC does not tell."""

    def close(self) -> None:
        """Log out."""


def fulfil(job: Job, session: Session) -> dict[str, object]:
    """Do what the job is for, with the machine that it means and no other."""
    if job.wish == "check":
        return _checked(job, session)
    known = identity.verified(job.uuid, job.serial, session.identity())
    if job.wish == "identity":
        return {"uuid": known.uuid, "serial": known.serial}
    power = session.power()
    if job.wish == "watts":
        return {"power": power, **_drawn(session, power)}
    if job.wish != "power" and power != _AFTER[job.wish]:
        if time.clock_gettime(time.CLOCK_BOOTTIME) > job.not_after:
            raise TimedOut("the intent for this order has ended: nothing was ordered")
        session.order(job.wish)
    return {"power": power}


def _drawn(session: Session, power: str) -> dict[str, object]:
    draw = session.watts(on=power == "on")
    return {
        "watts": draw.watts,
        "source": draw.source,
        "implausible": list(draw.implausible[:_MOST_IMPLAUSIBLE]),
    }


def _checked(job: Job, session: Session) -> dict[str, object]:
    """Try all but an order; `step` is the first thing that failed, with its `error` and `reason`."""
    found: dict[str, object] = {"step": "identity"}
    try:
        known = identity.verified(job.uuid, job.serial, session.identity())
        found |= {"uuid": known.uuid, "serial": known.serial, "step": "privilege"}
        found["privilege"] = session.privilege()
        if found["privilege"] is False:
            raise MissingPrivilege("the account may not switch this machine: give it the role of an operator")
        found["step"] = "power"
        power = session.power()
        found["power"] = power
        found |= _drawn(session, power)
    except BmcError as error:
        return {**found, "error": type(error).__name__, "reason": str(error)}
    del found["step"]
    return found
