"""IPMI against ipmi_sim; what was done is confirmed by ipmitool."""

from typing import Any

import pytest

from hooks.power.bmc import fleet
from hooks.power.model import Bmc

pytestmark = pytest.mark.process
IDENTITY = "a1234567-89ab-cdef-a123-456789abcdef"


def test_power_and_identity(ipmi: Any) -> None:
    """Without both nothing can be switched."""
    answer = fleet.query({7: ipmi.entry()}, 5.0)[7]
    assert (answer.state, answer.identity, answer.error) == (Bmc.ON, IDENTITY, "")


def test_soft_off_and_on_are_confirmed_by_ipmitool(ipmi: Any) -> None:
    """A host would burn on, or sleep on, while we believe otherwise."""
    fleet.switch(ipmi.entry(), "off-soft", IDENTITY, 5.0)
    assert "off" in ipmi.ipmitool("power", "status")
    assert fleet.query({7: ipmi.entry()}, 5.0)[7].state is Bmc.OFF
    fleet.switch(ipmi.entry(), "on", IDENTITY, 5.0)
    assert "on" in ipmi.ipmitool("power", "status")


def test_hard_off_where_soft_does_nothing(ipmi: Any) -> None:
    """A hung kernel never shuts down by itself."""
    ipmi.flag("stuck")
    fleet.switch(ipmi.entry(), "off-soft", IDENTITY, 5.0)
    assert ipmi.power == "1"
    fleet.switch(ipmi.entry(), "off-hard", IDENTITY, 5.0)
    assert "off" in ipmi.ipmitool("power", "status")


@pytest.mark.parametrize("identity", ["", "00000000-0000-0000-0000-000000000000"])
def test_another_machine_is_never_switched(ipmi: Any, identity: str) -> None:
    """A swapped cable or address would switch off a stranger's machine."""
    answer = fleet.switch(ipmi.entry(), "off-hard", identity, 5.0)
    assert "another machine answers" in answer.error
    assert answer.state is Bmc.SILENT
    assert "on" in ipmi.ipmitool("power", "status")


def test_wrong_password_is_no_answer(ipmi: Any) -> None:
    """A refused login taken for `off` would let a running host be forgotten."""
    answer = fleet.query({7: ipmi.entry(password="wrong")}, 5.0)[7]
    assert answer.state is Bmc.SILENT
    assert answer.error
    assert "wrong" not in answer.error
    assert fleet.query({7: ipmi.entry()}, 5.0)[7].state is Bmc.ON


def test_silent_bmc_is_no_off(ipmi: Any) -> None:
    """Unknown is not off."""
    ipmi.pause()
    answers = fleet.query({7: ipmi.entry()}, 1.5)
    assert answers[7].state is Bmc.SILENT
    assert answers[7].error
