"""When an order counts as done."""

import time
from collections.abc import Sequence

import pytest

from hooks.power.bmc.confirm import confirmed
from hooks.power.bmc.interface import Bmc, Identity, Power, Reading, Unreachable

ON, OFF = Reading(Power.ON), Reading(Power.OFF)
SILENT = Reading(Power.UNKNOWN, Unreachable("it does not answer"))


class Told:
    """A BMC that gives these readings, the last one for ever."""

    proves_off = True

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.readings = list(readings)

    def power(self) -> Reading:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def switch_on(self) -> None: ...
    def soft_off(self) -> None: ...
    def hard_off(self) -> None: ...

    def identity(self) -> Identity:
        return Identity()

    def watts(self) -> float | None:
        return None


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let seconds pass by sleeping only."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


def off(*readings: Reading, within: float = 20.0) -> Reading:
    bmc: Bmc = Told(readings)
    return confirmed(bmc, Power.OFF, within=within)


def test_off_is_believed_when_said_twice() -> None:
    """A host that went off would never count as off."""
    assert off(ON, ON, OFF, OFF) == OFF


def test_a_machine_that_stays_on_is_on() -> None:
    """A hung shutdown would be taken for a host that saves energy."""
    assert off(ON) == ON


@pytest.mark.parametrize(
    "readings", [[SILENT], [OFF, SILENT, OFF, SILENT], [ON, SILENT], [OFF, ON, OFF, ON] * 9 + [SILENT]]
)
def test_doubt_is_never_off(readings: list[Reading]) -> None:
    """A host with guests would be given up, or its power cut."""
    assert off(*readings).power is not Power.OFF


def test_off_that_was_said_once_at_the_end_is_unknown() -> None:
    """One reading of a BMC that falters would decide."""
    said = off(*[ON] * 10, OFF, within=20.0)
    assert said.power is Power.UNKNOWN
    assert "once" in said.reason


def test_a_bmc_that_lies_is_found_by_its_host() -> None:
    """With a wrong address in bmc.yaml a running host would count as off, and another one would be."""
    said = confirmed(Told([OFF]), Power.OFF, within=20.0, contradicts=lambda: True)
    assert said.power is Power.UNKNOWN
    assert "is it this host's BMC?" in said.reason
