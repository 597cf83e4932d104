"""At most one part works on a host."""

from dataclasses import replace
from typing import cast

import pytest

from onext.hosts.claims import HOST_RECORDS, HostRecord
from onext.hosts.holding import hold, let_go
from onext.hosts.model import Claim, Host, Phase, Record
from onext.hosts.placement.problem import Size
from onext.oned.client import Oned
from onext.oned.documents import Conflict, Documents
from onext.oned.objects import HostState
from tests.onext.hosts.document_pool import DocumentPool

NOW = 1_800_000_000.0
INCIDENT = Claim(Phase.HELD, NOW, 0, 1, reason="incident 7", holder="availability")


@pytest.fixture
def records() -> Documents[HostRecord]:
    return Documents(cast("Oned", DocumentPool()), HOST_RECORDS)


def claim(records: Documents[HostRecord]) -> Claim | None:
    stored = records.get(3)
    assert stored is not None
    assert stored.value is not None
    return stored.value.claim


def test_S5_a_host_that_a_part_holds_is_refused_to_the_others(records: Documents[HostRecord]) -> None:
    """Power would switch a host off while availability decides whether it lives."""
    hold(records, 3, "node", INCIDENT)
    hold(records, 3, "node", INCIDENT)
    with pytest.raises(Conflict, match="host 3 is held by availability: incident 7"):
        hold(records, 3, "node", Claim(Phase.HELD, NOW, holder="maintenance"))
    assert not let_go(records, 3, "maintenance")
    assert let_go(records, 3, "availability")
    assert claim(records) is None
    assert not let_go(records, 3, "availability")


def test_S5_a_host_that_power_is_at_is_refused_and_what_it_left_is_not(
    records: Documents[HostRecord],
) -> None:
    """A host in the middle of its power-off would be fenced; one that power gave up must be free to take."""
    records.put(3, HostRecord("node", Claim(Phase.STOPPING, NOW), Record(wakes=4)), None)
    with pytest.raises(Conflict, match="held by power: stopping"):
        hold(records, 3, "node", INCIDENT)
    records.put(3, HostRecord("node", Claim(Phase.LEFT, NOW), Record(wakes=4)), 1)
    hold(records, 3, "node", INCIDENT)
    assert let_go(records, 3, "availability")
    stored = records.get(3)
    assert stored is not None
    assert stored.value is not None
    assert stored.value.record.wakes == 4, "its past stays"


def test_S5_power_counts_on_no_host_that_another_part_holds() -> None:
    """Its room would be promised to VMs of hosts that are switched off."""
    host = Host(3, "node", HostState.MONITORED, Size(1, 1), claim=INCIDENT)
    assert (host.phase, host.takes_vms) == (Phase.HELD, False)


def test_an_invalid_record_is_held_by_nobody(records: Documents[HostRecord]) -> None:
    """What cannot be read may be a claim."""
    records.oned.documents[1] = ("onext.host.3", {"VERSION": "1", "PHASE": "x"})  # type: ignore[attr-defined]
    with pytest.raises(Conflict, match="invalid"):
        hold(records, 3, "node", INCIDENT)


@pytest.mark.parametrize(
    ("before", "held"),
    [
        (None, True),
        (INCIDENT, True),
        (Claim(Phase.HELD, NOW, holder="maintenance"), False),
        (Claim(Phase.LEFT, NOW), True),
        (Claim(Phase.QUARANTINED, NOW), True),
        (Claim(Phase.OFF, NOW), False),
        (Claim(Phase.WAKING, NOW, holder="availability"), True),
    ],
)
def test_S5_whose_host_may_be_taken(records: Documents[HostRecord], before: Claim | None, held: bool) -> None:
    """A sleeping host would be fenced, or one that is quarantined be lost to availability."""
    if before:
        records.put(3, HostRecord("old", before), None)
    if not held:
        with pytest.raises(Conflict, match=f"host 3 is held by {before.holder if before else ''}"):
            hold(records, 3, "node", replace(INCIDENT, verified=False))
        return
    hold(records, 3, "node", replace(INCIDENT, phase=Phase.LEFT, verified=False))
    stored = records.get(3)
    assert stored is not None
    assert stored.value is not None
    assert (stored.value.name, stored.value.claim) == ("node", INCIDENT)


def test_only_what_is_held_is_let_go(records: Documents[HostRecord]) -> None:
    """A claim in the middle of another step would vanish."""
    assert not let_go(records, 3, "availability")
    records.put(3, HostRecord("node", Claim(Phase.WAKING, NOW, holder="availability")), None)
    assert not let_go(records, 3, "availability")
    assert claim(records) is not None
