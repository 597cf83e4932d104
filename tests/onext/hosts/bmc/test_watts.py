"""Which figures of power are believed: bounds, and DCMI's way to say that there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.hosts.bmc.ipmi import power_reading
from onext.hosts.bmc.watts import Bounds, Draw

ACTIVE, DEACTIVATED = 0x40, 0x00


def dcmi(watts: int, state: int = ACTIVE) -> bytes:
    """Return Get Power Reading's answer (DCMI 1.5, table 6-16), from the group id on."""
    figure = watts.to_bytes(2, "little")
    return bytes([0xDC]) + figure * 4 + bytes(4) + (1000).to_bytes(4, "little") + bytes([state])


@pytest.mark.parametrize("state", [ACTIVE, DEACTIVATED])
def test_D1_a_good_figure_counts_though_it_is_called_deactivated(state: int) -> None:
    """Boards that forget the bit would have no meter."""
    assert power_reading(dcmi(319, state), Bounds(), on=True) == Draw(319.0, "DCMI")


@pytest.mark.parametrize(
    ("answer", "on", "objection"),
    [
        (dcmi(0, DEACTIVATED), True, "0 W, and its measurement is deactivated"),
        (dcmi(0, DEACTIVATED), False, "0 W, and its measurement is deactivated"),
        (dcmi(0), True, "0 W while on, plausible are 2 to 20000 W"),
        (dcmi(65535), True, "65535 W: all bits are set"),
        (dcmi(65535), False, "65535 W: all bits are set"),
        (dcmi(65024), True, "65024 W while on, plausible are 2 to 20000 W"),
        (dcmi(97), False, "97 W while off, plausible are at most 60 W: repeated from before?"),
    ],
)
def test_D1_dcmi_without_a_plausible_figure_has_none(answer: bytes, on: bool, objection: str) -> None:
    """0 W is learned as idle and nothing is switched off again; 65,535 W "saves" 65 kW."""
    assert power_reading(answer, Bounds(), on=on) == Draw(implausible=(f"DCMI: {objection}",))


@given(st.binary(max_size=40), st.booleans())
def test_D1_any_answer_is_plausible_or_absent(answer: bytes, on: bool) -> None:
    """Firmware sends half an answer, and more than one."""
    watts = power_reading(answer, Bounds(), on=on).watts
    assert watts is None or (2 <= watts <= 20_000 if on else 0 <= watts <= 60)


@given(st.floats() | st.integers() | st.booleans() | st.none() | st.text(), st.booleans())
def test_D1_bounds_accept_numbers_in_range_only(value: object, on: bool) -> None:
    """NaN is in no range and compares with nothing; True is a number to Python."""
    bounds = Bounds(10, 500, 20)
    accepted = not bounds.objection(value, on=on)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    assert accepted == (number and ((10 <= value <= 500) if on else (0 <= value <= 20)))  # type: ignore[operator]
