"""What would happen if a host failed now, with the earliest times."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hooks.availability import cluster_view, forecast
from hooks.availability.policy import Mode, Policy
from onext.cloud.model import Cluster, Datastore, Host, Stay, Vm
from onext.cloud.snapshot import Cloud
from onext.part import Context
from onext.paths import Paths
from onext.xml import parse

AUTO = Policy(mode=Mode.AUTO, confirm=90.0)
RESTRICTING = parse(
    "<C>"
    + "".join(f"<VM_RESTRICTED_ATTR>{key}</VM_RESTRICTED_ATTR>" for key in cluster_view.RESTRICTED)
    + "</C>"
)
STAY = Stay(0, 0, "node-0", 100, 100, "kvm", "shared", 0.0, 0.0, 0)


def vm(number: int, priority: int, memory: int = 1024, state: int = 3) -> Vm:
    """Return a VM on host 0."""
    template = {"ONEXT_HA_PRIORITY": str(priority)}
    return Vm(
        number, f"v{number}", state=state, lcm_state=3 if state == 3 else 0, cpu=1.0, memory=memory,
        user_template=template, stay=STAY,
    )  # fmt: skip


def rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vms: list[Vm], policy: Policy = AUTO, *,
    bmc: bool = True, enabled: bool = True,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the rows for host 0 of two."""
    cloud = Cloud.of(
        [
            Host(0, "node-0", 2, cluster_id=100, max_cpu=800, max_memory=64 << 20),
            Host(1, "node-1", 2, cluster_id=100, max_cpu=800, max_memory=4 << 20),
        ],
        vms=vms,
        clusters=[Cluster(100, "edge")],
        datastores=[Datastore(100, "system", 1, "shared", template={"SHARED": "YES"})],
        documents={"vmgrouppool.info": parse("<P/>"), "system.config": RESTRICTING},
    )
    monkeypatch.setattr(forecast, "bmc_config", lambda _: {0: SimpleNamespace()} if bmc else {})
    context = Context(Paths.self_contained(tmp_path))
    return [dict(row) for row in forecast.forecast(context, cloud, 0, policy, enabled=enabled)]


def times(found: list[dict[str, Any]]) -> list[tuple[int, str, str, str]]:
    """Return the rows without their reasons."""
    return [(row["seconds"], row["step"], row["vm"], row["target"]) for row in found]


def test_a_host_with_a_bmc_is_fenced_and_its_vms_restart_by_priority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The administrator plans with times and targets that will not be kept."""
    vms = [vm(5, 1), vm(6, 9), vm(7, 9, 64 << 10), vm(8, 5, state=8), vm(9, 5)]
    assert times(rows(monkeypatch, tmp_path, vms)) == [
        (0, "node-0 falls silent", "", ""),
        (30, "suspect", "", ""),
        (130, "fencing", "", ""),
        (190, "restart", "6 v6", "node-1"),
        (190, "wait", "7 v7", ""),
        (190, "stay", "8 v8", ""),
        (200, "restart", "9 v9", "node-1"),
        (210, "restart", "5 v5", "node-1"),
    ]


def test_a_long_confirmation_delays_all_that_follows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """VMs would be expected to run before the host is proven dead."""
    found = rows(monkeypatch, tmp_path, [vm(5, 5)], Policy(mode=Mode.AUTO, confirm=600.0), bmc=False)
    assert times(found)[2:] == [(640, "held", "", ""), (650, "restart", "5 v5", "node-1")]
    assert found[2]["why"] == "it has no BMC: after `onext ha confirm`, or when its lease expired"
    assert found[1]["why"] == "the host is disabled, 1 VMs are locked"


def test_where_nothing_is_done_that_is_what_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An administrator relies on a protection that is not there."""
    off = rows(monkeypatch, tmp_path, [vm(5, 5)], Policy())
    assert [(row["seconds"], row["step"], row["why"]) for row in off] == [
        (0, "nothing is done", "MODE is off")
    ]
    outside = rows(monkeypatch, tmp_path, [vm(5, 5)], enabled=False)
    assert [row["why"] for row in outside] == ["its cluster is not in `availability: clusters:`"]
    advised = rows(monkeypatch, tmp_path, [vm(5, 5)], Policy(mode=Mode.ADVISE, confirm=90.0))
    assert times(advised)[2] == (120, "held", "", "")
    assert [row["step"] for row in rows(monkeypatch, tmp_path, [vm(5, 5)])].count("held") == 0
