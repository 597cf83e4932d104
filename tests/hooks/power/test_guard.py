"""The look before a BMC is told: envelope, exclusion, enrolment and cycles, as they are at that moment."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hooks.power.guard import Guard, refusal
from hooks.power.policy import Mode, Policy
from hooks.power.reasons_to_stay import DAY
from onext.hosts.actions.world import Failed, Sight
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.model import Claim, Phase, Record
from onext.oned.errors import TimedOut
from onext.oned.objects import HostState
from onext.settings import Settings
from onext.settings.power import Power
from onext.xml import parse

NOW = 1_800_000_000.0
AUTO = Policy(mode=Mode.AUTO, cycles_per_day=2)
WELL = Sight(
    3,
    "node",
    HostState.OFFLINE,
    frozenset(),
    0,
    Claim(Phase.STOPPING, NOW),
    Record(proven=NOW - 60),
    {},
    0.0,
    100,
)
BY_HAND = replace(WELL, claim=Claim(Phase.STOPPING, NOW, by_hand=True))
OFTEN = replace(WELL, record=Record(proven=NOW - 60, offs=(NOW - 10, NOW - 20)))


@pytest.mark.parametrize(
    ("sight", "policy", "enrolling", "said"),
    [
        (WELL, AUTO, False, ""),
        (replace(WELL, excluded="ONEXT_POWER_EXCLUDE is set"), AUTO, False, "EXCLUDE"),
        (replace(BY_HAND, excluded="its role: storage"), AUTO, True, "storage"),
        (replace(WELL, record=Record()), AUTO, False, "not enrolled"),
        (replace(WELL, record=Record(proven=NOW - 40 * 86_400)), AUTO, False, "40 days ago"),
        (replace(WELL, record=Record()), AUTO, True, ""),
        (WELL, replace(AUTO, mode=Mode.ADVISE), False, "MODE is advise"),
        (BY_HAND, replace(AUTO, mode=Mode.OFF), False, ""),
        (OFTEN, AUTO, False, "CYCLES_PER_DAY is 2"),
        (replace(OFTEN, record=replace(OFTEN.record, offs=(NOW - 90_000,))), AUTO, False, ""),
        (replace(OFTEN, claim=BY_HAND.claim), AUTO, False, ""),
        (replace(OFTEN, claim=None), AUTO, False, "CYCLES_PER_DAY is 2"),
        (replace(WELL, claim=None), replace(AUTO, mode=Mode.OFF), False, "MODE is off"),
        (replace(WELL, record=Record()), replace(AUTO, mode=Mode.OFF, cycles_per_day=0), True, ""),
        (replace(BY_HAND, record=Record()), AUTO, False, "not enrolled"),
        (replace(WELL, record=Record(proven=NOW - 30 * DAY)), AUTO, False, ""),
        (replace(WELL, record=Record(proven=NOW - 30 * DAY - 1)), AUTO, False, "30 days ago"),
        (replace(WELL, record=Record(proven=NOW - 40 * DAY)), AUTO, True, ""),
        (
            replace(WELL, record=Record(proven=NOW, offs=(NOW, NOW - DAY + 1))),
            AUTO,
            False,
            "was off 2 times today",
        ),
        (replace(WELL, record=Record(proven=NOW, offs=(NOW, NOW - DAY))), AUTO, False, ""),
        (replace(WELL, record=Record(proven=NOW, offs=(NOW, NOW + 1))), AUTO, False, ""),
    ],
)
def test_S5_what_forbids_to_switch_a_host_off(
    sight: Sight, policy: Policy, enrolling: bool, said: str
) -> None:
    """What was decided a minute ago may be forbidden now."""
    found = refusal(sight, policy, NOW, enrolling=enrolling)
    assert said in found
    assert bool(found) is bool(said)


def guard(tmp_path: Path, template: str = "<MODE>auto</MODE>", **power: Any) -> Guard:
    settings = Settings(power=Power(**{"clusters": (100,), "highest_mode": "auto", **power}))
    cluster = parse(
        f"<CLUSTER><ID>100</ID><TEMPLATE><ONEXT_POWER>{template}</ONEXT_POWER></TEMPLATE></CLUSTER>"
    )
    oned = SimpleNamespace(document=lambda *_: cluster)
    context = SimpleNamespace(given=settings, oned=oned, now=lambda: NOW)
    return Guard(context, BmcConfig(tmp_path / "bmc.yaml"), 100, {7: "a role"})  # type: ignore[arg-type]


def test_S5_the_envelope_is_read_again_before_each_order(tmp_path: Path) -> None:
    """A cluster that was taken out, or a mode that was lowered, meanwhile would be ignored."""
    assert guard(tmp_path)(WELL, False) == ""
    assert "MODE is off" in guard(tmp_path, "<MODE>off</MODE>")(WELL, False)
    assert "MODE is advise" in guard(tmp_path, highest_mode="advise")(WELL, False)
    assert "not one of `power: clusters:`" in guard(tmp_path, clusters=(101,))(WELL, False)
    assert "not one of" in guard(tmp_path)(replace(WELL, cluster=101), False), (
        "it was moved to another cluster"
    )
    assert guard(tmp_path)(replace(WELL, id=7), False) == "a role"


def test_S13_a_bmc_whose_entry_changed_meanwhile_is_told_nothing(tmp_path: Path) -> None:
    """The order would reach the machine that the old entry names."""
    asked = guard(tmp_path)
    (tmp_path / "bmc.yaml").write_text(
        "3: {kind: ipmi, address: 192.0.2.9, user: u, password: p, serial: X1}\n"
    )
    (tmp_path / "bmc.yaml").chmod(0o640)
    assert "bmc.yaml has changed" in asked(WELL, False)
    (tmp_path / "bmc.yaml").write_text("3: [")
    with pytest.raises(Failed, match="host 3 is not switched off"):
        asked(WELL, False)


def test_an_oned_that_does_not_answer_forbids(tmp_path: Path) -> None:
    """Doubt is a no."""
    asked = guard(tmp_path)

    def late(*_: object) -> None:
        raise TimedOut("no answer")

    asked._context.oned.document = late  # type: ignore[method-assign, assignment]
    with pytest.raises(Failed, match="no answer"):
        asked(WELL, False)
