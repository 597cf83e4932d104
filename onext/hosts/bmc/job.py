"""What the child does in one session with a BMC, whatever it speaks. Runs in the child only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from onext.hosts.bmc.errors import WrongMachine
from onext.hosts.bmc.protocol import Identity

_SERIAL = 64  # characters of a serial number that are told on

Order = Literal["on", "soft", "hard"]
Wish = Literal["power", "identity", "watts", "on", "soft", "hard"]


@dataclass(frozen=True)
class Job:
    """One session: with whom, as whom, what for, and by what the machine is known. Never printed."""

    id: int
    wish: Wish
    kind: str
    address: str
    port: int
    user: str = ""
    password: str = ""
    pin: str | None = None
    system: str | None = None
    uuid: str | None = None
    serial: str | None = None

    def __repr__(self) -> str:
        return f"Job({self.id}, {self.wish}, {self.kind}, {self.address})"


class Session(Protocol):
    """A BMC that we are logged in to."""

    def __init__(self, job: Job) -> None: ...

    def power(self) -> str:
        """Return `on` or `off`; raise BmcError for anything else."""

    def identity(self) -> Identity:
        """Return what it says of its machine."""

    def order(self, order: Order) -> None:
        """Give an order, without waiting until it is done."""

    def watts(self) -> float | None:
        """Return what the machine draws, None where that is not measured."""

    def close(self) -> None:
        """Log out."""


def fulfil(job: Job, session: Session) -> dict[str, object]:
    """Do what the job is for, with the machine that it means and no other."""
    said = session.identity()
    uuid = _verified(job, said)
    if job.wish == "identity":
        return {"uuid": uuid, "serial": said.serial[:_SERIAL]}
    if job.wish == "watts":
        return {"watts": session.watts()}
    power = session.power()
    if job.wish in ("on", "soft", "hard") and power != ("on" if job.wish == "on" else "off"):
        session.order(job.wish)
    return {"power": power}


def _verified(job: Job, said: Identity) -> str:
    """Return the UUID in the order of bytes that bmc.yaml has; raise WrongMachine."""
    orders = set(_byte_orders(said.uuid))
    if job.uuid and job.uuid not in orders:
        raise WrongMachine(_another("UUID", said.uuid, job.uuid))
    if job.serial and job.serial.casefold() != said.serial.strip().casefold():
        raise WrongMachine(_another("serial number", said.serial, job.serial))
    return job.uuid or said.uuid


def _another(what: str, said: str, wanted: str) -> str:
    if not said:
        return f"it tells no {what}: bmc.yaml has to name another mark of this machine"
    return (
        f"it belongs to {what} {said[:_SERIAL]!r}, bmc.yaml names {wanted!r}: mend the entry or the cabling"
    )


def _byte_orders(uuid: str) -> Iterator[str]:
    """Yield the UUIDs that the same 16 bytes may mean: vendors send them in three orders.

    RFC 4122, SMBIOS (first three fields reversed; what dmidecode reads), IPMI 2.0 20.8 (all reversed).
    """
    if uuid:
        raw = UUID(uuid).bytes
        for order in (UUID(bytes=raw), UUID(bytes_le=raw), UUID(bytes=raw[::-1])):
            yield str(order)
