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

from onext.hosts.bmc.errors import (
    BmcError,
    InvalidAnswer,
    MissingPrivilege,
    Refused,
    TimedOut,
    Unreachable,
    WrongPassword,
)
from onext.hosts.bmc.identity import Reported
from onext.hosts.bmc.job import Job, Order
from onext.hosts.bmc.watts import Bounds, Draw

_CHASSIS, _APP, _STORAGE, _DCMI = 0x00, 0x06, 0x0A, 0x2C
_CHASSIS_STATUS, _CHASSIS_CONTROL, _SYSTEM_GUID, _POWER_READING = 0x01, 0x02, 0x37, 0x02
_SERIALS = ("Serial Number", "Chassis serial number")  # pyghmi's names; a board's may be another machine's
_FRU_SIZE, _FRU_READ, _PIECE = 0x10, 0x11, 16
_CONTROL = {"hard": 0, "on": 1, "soft": 5}  # IPMI 2.0, table 28-4
_OPERATOR = 3  # the privilege level for chassis control (IPMI 2.0, appendix G)
_NO_PRIVILEGE = 0xD4  # completion code (table 5-2)
_ACTIVE, _NO_FIGURE = 0x40, 0xFFFF  # DCMI 1.5, 6.6.1: state of the measurement; all bits set
_MOST_INVENTORY = 4096  # bytes
_DOUBTS = {0x08: "a power fault", 0x10: "a fault of power control"}  # table 28-3
_SLICE = 0.05  # seconds


def _in_slices(wait: Callable[..., None]) -> Callable[..., None]:
    """Let pyghmi check again soon: it misses an answer that comes before it waits, and repeats its question.

    Its callers all poll for their answer. Without this every second session
    takes a second longer.
    """
    return lambda timeout, *where: wait(min(timeout, _SLICE), *where)


session._io_wait = _in_slices(session._io_wait)  # noqa: SLF001 - no public API exists


class Ipmi:
    """A session with a BMC."""

    def __init__(self, job: Job) -> None:
        self._job = job
        # As bytes: with text, a login that failed breaks each later one to this BMC in the same process.
        user, password = job.user.encode(), job.password.encode()
        try:
            self._command = Command(job.address, user, password, port=job.port, keepalive=False)
        except IpmiException as error:
            raise _meant(str(error), begun=False) from error

    def power(self) -> str:
        """Return `on` or `off`; a reported power fault makes `off` untrustworthy."""
        status = self._ask(_CHASSIS, _CHASSIS_STATUS)
        if len(status) < 3:
            raise InvalidAnswer(f"its chassis status has {len(status)} bytes instead of 3")
        if status[0] & 1:
            return "on"
        for bit, doubt in _DOUBTS.items():
            if status[0] & bit:
                raise Refused(f"it reports off, and {doubt}")
        return "off"

    def identity(self) -> Reported:
        """Return the system GUID, and serial numbers of the inventory where bmc.yaml names one."""
        guid = self._ask(_APP, _SYSTEM_GUID)
        uuid = str(UUID(bytes=guid)) if len(guid) == 16 else ""
        return Reported(uuid, self._serials() if self._job.serial else ())

    def order(self, order: Order) -> None:
        """Send the chassis control; a power button is pressed by the same one as a shutdown."""
        try:
            self._ask(_CHASSIS, _CHASSIS_CONTROL, [_CONTROL[order]])
        except Refused:
            if self.power() != ("on" if order == "on" else "off"):
                raise

    def watts(self, *, on: bool) -> Draw:
        """Return DCMI's present power, where it is plausible."""
        try:
            answer = self._ask(_DCMI, _POWER_READING, [0xDC, 1, 0, 0])
        except Refused:
            return Draw()
        return power_reading(answer, self._job.bounds, on=on)

    def privilege(self) -> bool | None:
        """Return whether the session has the level that chassis control needs."""
        level = getattr(self._command.ipmi_session, "privlevel", None)
        return level >= _OPERATOR if isinstance(level, int) else None

    def close(self) -> None:
        """Log out; a BMC that does not answer any more has answered before."""
        with contextlib.suppress(PyghmiException):
            self._command.ipmi_session.logout()

    def _serials(self) -> tuple[str, ...]:
        try:
            found = FRU(rawdata=bytearray(self._inventory())).info or {}
        except (Refused, PyghmiException, IndexError, ValueError):  # no inventory, or none that it can parse
            return ()
        return tuple(str(found[key]) for key in _SERIALS if found.get(key))

    def _inventory(self) -> bytes:
        """Read the inventory in the pieces that every BMC can send."""
        size = int.from_bytes(self._ask(_STORAGE, _FRU_SIZE, [0])[:2], "little")
        size, read = min(size, _MOST_INVENTORY), b""
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
            raise _meant(str(error), begun=True) from error
        if answer.get("code") == _NO_PRIVILEGE:
            raise MissingPrivilege("it accepts the login and forbids this: give the user level OPERATOR")
        if answer.get("error") == "timeout":
            raise TimedOut("it no longer answers")
        if "error" in answer:
            raise Refused(f"it refuses: {answer['error']}")
        return bytes(answer["data"])


def power_reading(answer: bytes, bounds: Bounds, *, on: bool) -> Draw:
    """Return what Get Power Reading (DCMI 1.5, 6.6.1) reports, from the group id on.

    Some BMCs call the measurement deactivated and report a good figure; others then report 0.
    """
    if len(answer) < 3:
        return Draw()
    watts = int.from_bytes(answer[1:3], "little")
    active = len(answer) < 18 or bool(answer[17] & _ACTIVE)
    if watts == _NO_FIGURE:
        objection = "65535 W: all bits are set"
    elif not watts and not active:
        objection = "0 W, and its measurement is deactivated"
    else:
        objection = bounds.objection(watts, on=on)
    return Draw(implausible=(f"DCMI: {objection}",)) if objection else Draw(float(watts), "DCMI")


def _meant(message: str, *, begun: bool) -> BmcError:
    """Tell pyghmi's errors apart: it raises one type with words."""
    if message.startswith("Insufficient resources"):
        return Refused(f"it has no room for one more session: {message}")
    if any(words in message for words in ("role", "rivilege")):
        return MissingPrivilege(f"it refuses this user a session with enough rights ({message})")
    if any(words in message for words in ("password", "nauthorized", "Kg", "name length")):
        return WrongPassword("it rejects this user and password: correct them in bmc.yaml")
    if message in ("", "None", "timeout", "Session no longer connected"):
        return TimedOut("it no longer answers") if begun else Unreachable("it does not answer")
    return Refused(f"it refuses the session: {message}")
