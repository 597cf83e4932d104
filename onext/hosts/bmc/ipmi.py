"""IPMI 2.0 over LAN. Runs in the child only: pyghmi may hang, and in threads it does.

Orders and questions are those of the IPMI 2.0 and DCMI 1.5 specifications: no vendor's part of pyghmi,
which would talk to the BMC in further ways, is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from uuid import UUID

from pyghmi.exceptions import IpmiException, PyghmiException
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.fru import FRU
from pyghmi.ipmi.private import session

from onext.hosts.bmc.errors import BmcError, Refused, Unreachable, WrongPassword
from onext.hosts.bmc.job import Job, Order
from onext.hosts.bmc.protocol import Identity

_CHASSIS, _APP, _STORAGE, _DCMI = 0x00, 0x06, 0x0A, 0x2C
_CHASSIS_STATUS, _CHASSIS_CONTROL, _SYSTEM_GUID, _POWER_READING = 0x01, 0x02, 0x37, 0x02
_FRU_SIZE, _FRU_READ, _PIECE = 0x10, 0x11, 16
_CONTROL = {"hard": 0, "on": 1, "soft": 5}  # IPMI 2.0, table 28-4
_DOUBTS = {0x08: "a power fault", 0x10: "a fault of power control"}  # table 28-3
_SLICE = 0.05  # seconds


def _in_slices(wait: Callable[..., None]) -> Callable[..., None]:
    """Let pyghmi look again soon: it misses an answer that comes before it waits, and repeats its question.

    Its callers all look in a loop whether what they wait for has come. Without this every second session
    takes a second longer.
    """
    return lambda timeout, *where: wait(min(timeout, _SLICE), *where)


session._io_wait = _in_slices(session._io_wait)  # noqa: SLF001 - there is no public way


class Ipmi:
    """A session with a BMC."""

    def __init__(self, job: Job) -> None:
        self._wants_serial = job.serial is not None
        # As bytes: with text, a login that failed breaks each later one to this BMC in the same process.
        user, password = job.user.encode(), job.password.encode()
        try:
            self._command = Command(job.address, user, password, port=job.port, keepalive=False)
        except IpmiException as error:
            raise _meant(str(error)) from error

    def power(self) -> str:
        """Return `on` or `off`; a BMC that reports a fault of the power is not believed to be off."""
        status = self._ask(_CHASSIS, _CHASSIS_STATUS)
        if len(status) < 3:
            raise Refused(f"its chassis status has {len(status)} bytes instead of 3")
        if status[0] & 1:
            return "on"
        for bit, doubt in _DOUBTS.items():
            if status[0] & bit:
                raise Refused(f"it says off and reports {doubt}")
        return "off"

    def identity(self) -> Identity:
        """Return the system GUID, and the product's serial number where bmc.yaml names one."""
        guid = self._ask(_APP, _SYSTEM_GUID)
        uuid = str(UUID(bytes=guid)) if len(guid) == 16 else ""
        return Identity(uuid, self._serial() if self._wants_serial else "")

    def order(self, order: Order) -> None:
        """Send the chassis control."""
        self._ask(_CHASSIS, _CHASSIS_CONTROL, [_CONTROL[order]])

    def watts(self) -> float | None:
        """Return DCMI's present power."""
        try:
            said = self._ask(_DCMI, _POWER_READING, [0xDC, 1, 0, 0])
        except Refused:
            return None
        return float(int.from_bytes(said[1:3], "little")) if len(said) >= 3 else None

    def close(self) -> None:
        """Log out; a BMC that does not answer any more has answered before."""
        with contextlib.suppress(PyghmiException):
            self._command.ipmi_session.logout()

    def _serial(self) -> str:
        try:
            found = FRU(rawdata=bytearray(self._inventory())).info or {}
        except (Refused, PyghmiException, IndexError, ValueError):  # no inventory, or none that it can parse
            return ""
        return str(found.get("Serial Number") or found.get("Chassis serial number") or "")

    def _inventory(self) -> bytes:
        """Read the inventory in the pieces that every BMC can send."""
        size, read = int.from_bytes(self._ask(_STORAGE, _FRU_SIZE, [0])[:2], "little"), b""
        while len(read) < size:
            place = len(read).to_bytes(2, "little")
            count, *piece = self._ask(_STORAGE, _FRU_READ, [0, *place, min(_PIECE, size - len(read))])
            if not count:
                break
            read += bytes(piece)
        return read

    def _ask(self, network: int, command: int, data: Sequence[int] = ()) -> bytes:
        try:
            answer = self._command.raw_command(netfn=network, command=command, data=data)
        except IpmiException as error:
            raise _meant(str(error)) from error
        if "error" in answer:
            raise Refused(f"it refuses: {answer['error']}")
        return bytes(answer["data"])


def _meant(message: str) -> BmcError:
    """Tell pyghmi's errors apart: it raises one type with words."""
    if any(words in message for words in ("password", "nauthorized", "Kg")):
        return WrongPassword("it does not take this user and password: mend bmc.yaml")
    if message in ("", "None", "timeout", "Session no longer connected"):
        return Unreachable("it does not answer")
    return Refused(f"it refuses the session: {message}")
