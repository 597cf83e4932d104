"""Why a host stays on, and why nothing shrinks: at each limit and one step beyond."""

from dataclasses import replace
from typing import Any

import pytest

from hooks.power.policy import Method, Mode, Parked, Policy
from hooks.power.reasons_to_stay import DAY, Case, why_hold, why_not
from onext.hosts.energy import Curve
from onext.hosts.model import Bmc, Claim, Host, Kind, Phase, Record, Vm
from onext.oned.objects import HostState
from tests.hooks.power.test_decide import AUTO, NOW, cluster, host, vm

WELL = Record(proven=NOW - 10, on_since=NOW - 1800.0, boot_seconds=180.0)
POLICY = replace(AUTO, proven_seconds=1000.0, min_on_seconds=1800.0, cycles_per_day=2)
CURVE = Curve((100.0, 192.0), 8.0)  # breaks even after 420 s: as long to save as to boot, and both are 180 s


def why(policy: Policy = POLICY, vms: tuple[Vm, ...] = (), **changes: Any) -> str:
    phase = changes.pop("phase", None)
    return why_not(Case(host(2, phase, **{"record": WELL, "curve": CURVE, **changes}), vms, policy, NOW))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"record": replace(WELL, proven=NOW - 1000.0)}, ""),
        ({"record": replace(WELL, proven=NOW - 1000.1)}, "last proven to wake 0 days ago"),
        ({"record": replace(WELL, proven=0.0)}, "not enrolled"),
        ({"record": replace(WELL, on_since=NOW - 1799.9)}, "on for 30 minutes, MIN_ON_MINUTES is 30"),
        ({"record": replace(WELL, on_since=NOW - 600.0)}, "on for 10 minutes, MIN_ON_MINUTES is 30"),
        ({"record": replace(WELL, offs=(NOW - 1.0, NOW - 2.0))}, "was off 2 times today, CYCLES_PER_DAY is 2"),
        ({"record": replace(WELL, offs=(NOW - 1.0,))}, ""),
        ({"record": replace(WELL, offs=(NOW - 1.0, NOW - DAY))}, ""),
        ({"record": replace(WELL, offs=(NOW - 1.0, NOW - DAY + 1))}, "was off 2 times today"),
        ({"record": replace(WELL, offs=(NOW - 1.0, NOW - 2.0)), "phase": Phase.DRAINING}, ""),
        ({"due": NOW + 420.0}, ""),
        ({"due": NOW + 419.0}, "a scheduled action is due in 7 minutes"),
        ({"due": NOW - 60.0}, "a scheduled action is due in 0 minutes"),
        ({"wild": 2}, "2 wild VMs run on it"),
        ({"bmc": Bmc.SILENT, "bmc_error": "wrong password"}, "cannot be used: wrong password"),
        ({"sleeper": True}, "METHOD is poweroff, its entry in bmc.yaml is suspend"),
        ({"phase": Phase.LEFT}, "switched outside onext"),
        ({"phase": Phase.QUARANTINED}, "quarantined"),
        ({"phase": Phase.HELD, "claim": Claim(Phase.HELD, NOW, holder="availability")}, "availability works on it"),
        ({"phase": Phase.STOPPING}, "already stopping"),
        ({"phase": Phase.CLOSING}, ""),
        ({"state": HostState.MONITORING_MONITORED}, ""),
        ({"state": HostState.DISABLED}, "disabled by an operator"),
        ({"state": HostState.OFFLINE}, "put offline by an operator"),
        ({"state": HostState.ERROR}, "in state ERROR"),
    ],
)  # fmt: skip
def test_what_keeps_a_host_on_at_its_limit(changes: dict[str, Any], said: str) -> None:
    """A host would go off that must stay, or stay on for a reason that people cannot find."""
    found = why(**changes)
    assert said in found
    assert bool(found) is bool(said), found


@pytest.mark.parametrize(
    ("sleeper", "method", "may"),
    [(True, Method.SUSPEND, True), (False, Method.SUSPEND, False), (False, Method.POWEROFF, True)],
)
def test_method_and_entry_must_agree(sleeper: bool, method: Method, may: bool) -> None:
    """A host without a BMC would be told to power off, and nothing could wake it."""
    found = why(replace(POLICY, method=method), sleeper=sleeper)
    assert found == ("" if may else "METHOD is suspend, its entry in bmc.yaml is ipmi or redfish")


@pytest.mark.parametrize(
    ("change", "policy", "phase", "said"),
    [
        ({}, {}, None, ""),
        ({}, {"pack": False}, None, "not empty (1 VMs) and PACK is no"),
        ({"fixed": "it has a PCI device"}, {}, None, "VM 1 (vm-1) cannot move: it has a PCI device"),
        ({"kind": Kind.BUSY}, {}, None, "VM 1 (vm-1) is changing its state"),
        ({"kind": Kind.BUSY}, {}, Phase.DRAINING, ""),
        ({"kind": Kind.PARKED}, {}, None, "PARKED_VMS = block"),
        ({"kind": Kind.PARKED}, {"parked": Parked.MIGRATE}, None, ""),
    ],
)
def test_a_vm_that_stays_keeps_its_host(
    change: dict[str, Any], policy: dict[str, Any], phase: Phase | None, said: str
) -> None:
    """A VM would be moved against the policy, or a host that is being emptied be given back for a moment's state."""
    found = why(replace(POLICY, **policy), (vm(1, 2, **change),), phase=phase)
    assert said in found
    assert bool(found) is bool(said)


def many(count: int, number: int, **changes: Any) -> list[Host]:
    """Return so many hosts, of which the first `number` are changed."""
    return [host(n, **(changes if n < number else {})) for n in range(count)]


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        (many(4, 1, state=HostState.ERROR), ""),
        (many(4, 2, state=HostState.ERROR), "2 hosts are in ERROR, MAX_DOWN_HOSTS is 1"),
        (many(4, 2, state=HostState.MONITORING_ERROR), "2 hosts are in ERROR"),
        (many(4, 4, monitored=NOW - 600.0), ""),
        (many(4, 3, monitored=NOW - 601.0), "monitoring is stale: node-0, node-1, node-2"),
        (many(6, 5, monitored=NOW - 601.0), "monitoring is stale: node-0, node-1, node-2 and 2 more"),
        ([*many(2, 0), host(8, Phase.OFF, monitored=0.0)], ""),
        (many(2, 1, bmc=Bmc.SILENT), ""),
        (many(4, 2, bmc=Bmc.SILENT), "2 of 4 BMCs do not answer"),
        (many(10, 2, bmc=Bmc.SILENT), ""),
        (many(10, 3, bmc=Bmc.SILENT), "3 of 10 BMCs do not answer"),
        ([*many(9, 2, bmc=Bmc.SILENT), *(host(n, bmc=Bmc.NONE) for n in (20, 21))], "2 of 9 BMCs"),
    ],
)  # fmt: skip
def test_nothing_shrinks_beyond_a_limit_of_sickness(hosts: list[Host], said: str) -> None:
    """A switch that failed would look like an empty cluster; one host in repair would keep all others on."""
    found = why_hold(cluster(hosts), replace(POLICY, stale_after=600.0, max_down_hosts=1), NOW)
    assert said in found
    assert bool(found) is bool(said)


def test_mode_advise_is_no_reason_to_hold() -> None:
    """Nobody would see what MODE = auto would do."""
    assert why_hold(cluster(many(4, 0)), replace(POLICY, mode=Mode.ADVISE), NOW) == ""
