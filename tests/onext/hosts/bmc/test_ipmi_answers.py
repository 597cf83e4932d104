"""What each answer of an IPMI BMC means, byte by byte, with a session that is played."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pyghmi.exceptions import IpmiException

from onext.hosts.bmc import ipmi
from onext.hosts.bmc.errors import BmcError, InvalidAnswer, MissingPrivilege, Refused, TimedOut, Unreachable
from onext.hosts.bmc.ipmi import Ipmi, power_reading
from onext.hosts.bmc.job import Job
from onext.hosts.bmc.watts import Bounds, Draw

STATUS, CONTROL, GUID, WATTS = (0x00, 0x01), (0x00, 0x02), (0x06, 0x37), (0x2C, 0x02)
SIZE, READ = (0x0A, 0x10), (0x0A, 0x11)
Answer = bytes | Mapping[str, Any] | Exception


class Session:
    """Answers by network function and command; keeps what was asked."""

    privlevel: object = 4
    out = 0

    def logout(self) -> None:
        self.out += 1


class Played:
    """The library's command, with answers by network function and command."""

    answers: Mapping[tuple[int, int], Answer]
    asked: list[tuple[int, int, tuple[int, ...]]]
    made: dict[str, Any]
    inventory = b""

    def __init__(self, address: str, user: bytes, password: bytes, **how: Any) -> None:
        type(self).made = {"address": address, "user": user, "password": password, **how}
        self.ipmi_session = Session()

    def raw_command(self, netfn: int, command: int, data: Sequence[int]) -> Mapping[str, Any]:
        self.asked.append((netfn, command, tuple(data)))
        if (netfn, command) == READ:
            place, count = data[1] + 256 * data[2], data[3]
            piece = self.inventory[place : place + count]
            return {"code": 0, "data": bytearray([len(piece)]) + piece}
        answer = self.answers.get((netfn, command), {"code": 0xC1, "error": "Invalid command"})
        if isinstance(answer, Exception):
            raise answer
        return {"code": 0, "data": bytearray(answer)} if isinstance(answer, bytes) else answer


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> type[Played]:
    """Give the class that plays; its answers are none yet."""
    monkeypatch.setattr(ipmi, "Command", Played)
    Played.answers, Played.asked, Played.inventory = {}, [], b""
    return Played


def driver(**changes: Any) -> Ipmi:
    return Ipmi(Job(7, "power", "ipmi", "192.0.2.7", 623, user="onext", password="secret", **changes))


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (b"\x01\x00\x00", "on"),
        (b"\x21\x00\x00", "on"),
        (b"\x19\x00\x00", "on"),
        (b"\x00\x00\x00", "off"),
        (b"\x60\x00\x00\x00", "off"),
        (b"\x08\x00\x00", "it reports off, and a power fault"),
        (b"\x10\x00\x00", "it reports off, and a fault of power control"),
        (b"\x00\x00", "its chassis status has 2 bytes instead of 3"),
        (b"", "its chassis status has 0 bytes instead of 3"),
    ],
)
def test_power_is_the_first_bit_of_the_chassis_status(
    played: type[Played], status: bytes, found: str
) -> None:
    """A machine with a power fault would be taken for off, and its VMs be started a second time."""
    played.answers = {STATUS: status}
    if len(found) <= 3:
        assert driver().power() == found
    else:
        with pytest.raises((Refused, InvalidAnswer), match=found):
            driver().power()
    assert played.asked == [(0, 1, ())]
    assert played.made == {
        "address": "192.0.2.7", "user": b"onext", "password": b"secret", "port": 623, "keepalive": False,
    }  # fmt: skip


@pytest.mark.parametrize(("order", "byte"), [("hard", 0), ("on", 1), ("soft", 5)])
def test_each_order_has_its_number(played: type[Played], order: Any, byte: int) -> None:
    """Number 3 is a reset, 2 a power cycle."""
    played.answers = {CONTROL: b""}
    driver().order(order)
    assert played.asked == [(0, 2, (byte,))]


@pytest.mark.parametrize(
    ("order", "status", "raises"),
    [("hard", b"\x00\x00\x00", False), ("hard", b"\x01\x00\x00", True), ("soft", b"\x00\x00\x00", False),
     ("on", b"\x01\x00\x00", False), ("on", b"\x00\x00\x00", True)],
)  # fmt: skip
def test_a_refused_order_counts_where_the_state_is_as_ordered(
    played: type[Played], order: Any, status: bytes, raises: bool
) -> None:
    """A BMC that refuses to switch off what is off would end an evacuation."""
    played.answers = {STATUS: status}
    if raises:
        with pytest.raises(Refused, match="it refuses: Invalid command"):
            driver().order(order)
    else:
        driver().order(order)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ({"code": 0xD4, "error": "x"}, MissingPrivilege, "level OPERATOR"),
        ({"code": 0xD3, "error": "x"}, Refused, "it refuses: x"),
        ({"code": 0xFFFF, "error": "timeout"}, TimedOut, "no longer answers"),
        (IpmiException("Session no longer connected"), TimedOut, "no longer answers"),
        (IpmiException("other"), Refused, "it refuses the session: other"),
    ],
)
def test_E1_what_ends_a_question_has_a_type(
    played: type[Played], answer: Answer, kind: type[BmcError], said: str
) -> None:
    """A user that may only read would look like a wrong password, or like a broken cable."""
    played.answers = {STATUS: answer}
    with pytest.raises(kind, match=said):
        driver().power()


def test_E1_a_session_that_is_refused_is_not_one_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would know whether the BMC is there at all."""

    def refused(*_: object, **__: object) -> None:
        raise IpmiException("timeout")

    monkeypatch.setattr(ipmi, "Command", refused)
    with pytest.raises(Unreachable, match="it does not answer"):
        driver()


@pytest.mark.parametrize(("level", "found"), [(2, False), (3, True), (4, True), (None, None), ("3", None)])
def test_operators_may_switch(played: type[Played], level: object, found: bool | None) -> None:
    """A user of level USER would be noticed on the night of the first power-off."""
    one = driver()
    one._command.ipmi_session.privlevel = level
    assert one.privilege() is found
    one.close()
    assert one._command.ipmi_session.out == 1


@pytest.mark.parametrize(
    ("guid", "uuid"),
    [(bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"), (bytes(15), ""), (bytes(17), ""), (b"", "")],
)
def test_the_system_guid_has_16_bytes(played: type[Played], guid: bytes, uuid: str) -> None:
    """Half an answer would be the identity of a machine."""
    played.answers = {GUID: guid}
    found = driver().identity()
    assert (found.uuid, found.serials) == (uuid, ())
    assert played.asked == [(6, 0x37, ())], "the inventory is read only where bmc.yaml names a serial number"


def fru(*fields: bytes) -> bytes:
    """Return an inventory with a product area of these fields (IPMI FRU specification 1.3, 12)."""
    area = b"\x01\x00\x19" + b"".join(bytes([0xC0 | len(one)]) + one for one in fields) + b"\xc1"
    area += b"\x00" * (-(len(area) + 1) % 8)
    area = area[:1] + bytes([(len(area) + 1) // 8]) + area[2:]
    area += bytes([-sum(area) & 0xFF])
    head = bytes([1, 0, 0, 0, 1, 0, 0])
    return head + bytes([-sum(head) & 0xFF]) + area


PRODUCT = fru(b"Vendor", b"Model", b"Part", b"1.0", b"CZ-12345678901234567890")


@pytest.mark.parametrize(
    ("size", "inventory", "serials"),
    [
        (len(PRODUCT), PRODUCT, ("CZ-12345678901234567890",)),
        (65_535, PRODUCT, ("CZ-12345678901234567890",)),
        (0, PRODUCT, ()),
        (len(PRODUCT), b"\xff" * 64, ()),
        (len(PRODUCT), b"", ()),
    ],
)
def test_the_inventory_is_read_in_pieces_of_16_bytes(
    played: type[Played], size: int, inventory: bytes, serials: tuple[str, ...]
) -> None:
    """Boards without a UUID of their own could not be used, or a damaged inventory end the session."""
    played.answers = {GUID: b"", SIZE: size.to_bytes(2, "little") + b"\x00"}
    played.inventory = inventory
    assert driver(serial="CZ").identity().serials == serials
    reads = [data for network, command, data in played.asked if (network, command) == READ]
    assert [(data[0], data[1] + 256 * data[2]) for data in reads] == [(0, 16 * n) for n in range(len(reads))]
    assert all(data[3] <= 16 for data in reads)
    assert (0x0A, 0x10, (0,)) in played.asked


def test_an_inventory_without_end_is_bounded(played: type[Played]) -> None:
    """A BMC could keep a worker busy until its deadline."""
    played.answers = {GUID: b"", SIZE: b"\xff\xff\x00"}
    played.inventory = bytes(70_000)
    driver(serial="CZ").identity()
    reads = [data for network, command, data in played.asked if (network, command) == READ]
    assert len(reads) == 4096 // 16


def test_a_bmc_without_an_inventory_has_no_serial_number(played: type[Played]) -> None:
    """A machine with the right UUID would be another one."""
    played.answers = {GUID: bytes(range(16))}
    found = driver(serial="CZ").identity()
    assert (found.uuid[:8], found.serials) == ("00010203", ())


def dcmi(watts: int, state: int, length: int = 18) -> bytes:
    return (bytes([0xDC]) + watts.to_bytes(2, "little") * 4 + bytes(8) + bytes([state]))[:length]


def test_D1_dcmi_is_asked_for_its_present_power(played: type[Played]) -> None:
    """Another mode gives the mean of an hour."""
    played.answers = {WATTS: dcmi(319, 0x40)}
    assert driver().watts(on=True) == Draw(319.0, "DCMI")
    assert played.asked == [(0x2C, 2, (0xDC, 1, 0, 0))]
    played.answers = {}
    assert driver().watts(on=True) == Draw(), "a BMC without DCMI"


@pytest.mark.parametrize(
    ("answer", "draw"),
    [
        (dcmi(300, 0x40), Draw(300.0, "DCMI")),
        (dcmi(300, 0x40, 3), Draw(300.0, "DCMI")),
        (dcmi(300, 0x40, 2), Draw()),
        (dcmi(0, 0x00), Draw(implausible=("DCMI: 0 W, and its measurement is deactivated",))),
        (dcmi(0, 0xBF), Draw(implausible=("DCMI: 0 W, and its measurement is deactivated",))),
        (dcmi(0, 0x00, 17), Draw(implausible=("DCMI: 0 W while on, plausible are 2 to 20000 W",))),
        (dcmi(0, 0x40), Draw(implausible=("DCMI: 0 W while on, plausible are 2 to 20000 W",))),
        (dcmi(65_534, 0x40), Draw(implausible=("DCMI: 65534 W while on, plausible are 2 to 20000 W",))),
        (dcmi(65_535, 0x40), Draw(implausible=("DCMI: 65535 W: all bits are set",))),
    ],
)
def test_D1_what_dcmi_reports(answer: bytes, draw: Draw) -> None:
    """A figure from the wrong bytes, or from a deactivated meter, would be the machine's idle watts."""
    assert power_reading(answer, Bounds(), on=True) == draw
