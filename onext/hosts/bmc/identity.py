"""Whether a BMC belongs to the machine that bmc.yaml names, however its vendor writes that.

UUIDs come in four orders of bytes: as text (RFC 4122), with the first three fields reversed (SMBIOS 3,
7.2.1), all reversed (IPMI 2.0, 20.8), and both. For serial numbers see redfish.py and ipmi.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from onext import bounds
from onext.hosts.bmc.errors import WrongMachine

_LONGEST = 128  # characters of a serial number, as bmc.yaml allows


@dataclass(frozen=True)
class Reported:
    """What a BMC reports of its machine: a UUID, and every serial number that may be the one on its label."""

    uuid: str = ""
    serials: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """The UUID and serial number of a verified machine, as bmc.yaml writes them where it does."""

    uuid: str
    serial: str


def verified(uuid: str | None, serial: str | None, reported: Reported) -> Known:
    """Return who the machine is; raise WrongMachine unless all that bmc.yaml names of it is reported."""
    if uuid and uuid not in byte_orders(reported.uuid):
        raise WrongMachine(_mismatch("UUID", uuid, (reported.uuid,)))
    serials = tuple(text for one in reported.serials if (text := one.strip()))
    if serial and serial.strip().casefold() not in {one.casefold() for one in serials}:
        raise WrongMachine(_mismatch("serial number", serial, serials))
    found = next((one for one in serials if serial and one.casefold() == serial.strip().casefold()), "")
    return Known(
        uuid or bounds.words(reported.uuid, _LONGEST),
        bounds.words(found or next(iter(serials), ""), _LONGEST),
    )


def byte_orders(uuid: str) -> Iterator[str]:
    """Yield the UUIDs that the same 16 bytes may mean; none for what is not a UUID."""
    try:
        raw = UUID(uuid).bytes
    except (ValueError, AttributeError):
        return
    for one in (raw, raw[::-1]):
        yield str(UUID(bytes=one))
        yield str(UUID(bytes_le=one))


def _mismatch(what: str, wanted: str, reported: tuple[str, ...]) -> str:
    seen = bounds.words(" or ".join(map(repr, filter(None, reported))), 300)
    if not seen:
        return (
            f"it reports no {what}, bmc.yaml names {wanted!r}: "
            f"name the machine's {'serial number' if what == 'UUID' else 'UUID'} instead"
        )
    return (
        f"it reports the {what} {seen}, bmc.yaml names {wanted!r}: "
        "correct the entry, or connect the BMC of this machine"
    )
