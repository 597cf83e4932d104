"""Whether a BMC belongs to the machine of its entry, in every way that vendors write it."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.hosts.bmc.errors import WrongMachine
from onext.hosts.bmc.identity import Reported, verified

DMIDECODE = "4c4c4544-0042-3510-8053-b4c04f564433"
OTHER = "11111111-2222-3333-4444-555555555555"


@given(st.uuids())
def test_D3_a_uuid_is_recognised_in_each_order_of_bytes(uuid: UUID) -> None:
    """What dmidecode prints, what Redfish reports and what IPMI sends differ, vendor by vendor."""
    smbios = UUID(bytes_le=uuid.bytes)
    for sent in (uuid, smbios, UUID(bytes=uuid.bytes[::-1]), UUID(bytes=smbios.bytes[::-1])):
        assert verified(str(uuid), None, Reported(str(sent))).uuid == str(uuid)
        assert verified(str(uuid), None, Reported(str(sent).upper())).uuid == str(uuid)


@given(st.uuids(), st.uuids())
def test_D3_another_uuid_is_another_machine(mine: UUID, sent: UUID) -> None:
    """An order would reach somebody else's server."""
    if sorted(mine.bytes) == sorted(sent.bytes):
        return
    with pytest.raises(WrongMachine):
        verified(str(mine), None, Reported(str(sent)))


def test_D3_a_mismatch_names_both_values() -> None:
    """Nobody can tell a typing error from a wrong cable without them."""
    with pytest.raises(WrongMachine, match=f"reports the UUID '{OTHER}', bmc.yaml names '{DMIDECODE}'"):
        verified(DMIDECODE, None, Reported(OTHER))
    with pytest.raises(
        WrongMachine, match=r"serial number 'A1' or 'B2', bmc.yaml names 'C3': correct the entry"
    ):
        verified(None, "C3", Reported(OTHER, ("A1", "B2")))
    with pytest.raises(WrongMachine, match=r"reports no UUID, .* name the machine's serial number instead"):
        verified(DMIDECODE, None, Reported("", ("A1",)))
    with pytest.raises(WrongMachine, match=r"reports no serial number, .* name the machine's UUID instead"):
        verified(None, "C3", Reported(DMIDECODE, ("", "  ")))


def test_D3_both_marks_have_to_fit_where_both_are_named() -> None:
    """The weaker of two would decide."""
    assert verified(DMIDECODE, "a1", Reported(DMIDECODE, ("X", "A1"))).serial == "A1"
    with pytest.raises(WrongMachine):
        verified(DMIDECODE, "A1", Reported(DMIDECODE, ("A2",)))
    with pytest.raises(WrongMachine):
        verified(DMIDECODE, "A1", Reported(OTHER, ("A1",)))


@pytest.mark.parametrize("sent", ["", "nonsense", "4c4c4544", "\x00" * 36, DMIDECODE[:-1]])
def test_D3_what_is_not_a_uuid_fits_no_machine(sent: str) -> None:
    """Half an answer would do for any machine, or end with a traceback."""
    with pytest.raises(WrongMachine):
        verified(DMIDECODE, None, Reported(sent))


@given(st.text(max_size=300))
def test_D3_what_a_bmc_reports_is_one_bounded_line_in_messages(text: str) -> None:
    """A BMC could forge lines of the log."""
    with pytest.raises(WrongMachine) as caught:
        verified(None, "C3-not-it", Reported("", (text,)))
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500


def test_D3_a_mismatch_names_all_that_is_reported_in_bounded_length() -> None:
    """A blade reports its own number and that of its enclosure: both are what people compare."""
    with pytest.raises(WrongMachine, match=r"'A1' or 'B2' or 'C3' or 'D4', bmc.yaml names 'X'"):
        verified(None, "X", Reported(serials=("A1", "B2", "", "C3", "D4")))
    with pytest.raises(WrongMachine) as caught:
        verified(None, "X", Reported(serials=tuple(f"{n}" * 100 for n in range(9))))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("uuid", "serial", "reported", "known"),
    [
        (None, " c3 ", Reported("u", (" A1 ", "C3")), ("u", "C3")),
        (None, None, Reported("u", ("", "A1")), ("u", "A1")),
        (None, None, Reported("", ()), ("", "")),
        (DMIDECODE, None, Reported(DMIDECODE.upper(), ("A1", "B2")), (DMIDECODE, "A1")),
        (None, "X" * 200, Reported("", ("x" * 200,)), ("", "x" * 127 + "…")),
    ],
)
def test_D3_what_is_known_of_a_verified_machine(
    uuid: str | None, serial: str | None, reported: Reported, known: tuple[str, str]
) -> None:
    """`onext power bmc check` would print the enclosure's number beside the right host."""
    found = verified(uuid, serial, reported)
    assert (found.uuid, found.serial) == known
