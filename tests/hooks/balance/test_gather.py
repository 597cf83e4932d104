"""What balancing measures, and what forbids it to move anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hooks.balance.gather import forbidden, used
from onext.cloud import model
from onext.cloud.snapshot import Cloud
from onext.hosts.model import Claim, Cluster, Host, Phase
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState
from onext.part import Context
from onext.settings.balance import Balance
from onext.xml import parse

HERE = Cluster(100, "alpha", (Host(0, "n-0", HostState.MONITORED, Size(1, 1)),), ())


@dataclass(frozen=True)
class Played(Context):
    """A front-end with one cluster."""

    cluster: model.Cluster = model.Cluster(100, "alpha")  # noqa: RUF009 - frozen

    def cloud(self, max_age: float = 60.0) -> Cloud:  # noqa: ARG002
        """Return it."""
        return Cloud.of(clusters=[self.cluster])


def test_the_last_record_counts_or_the_forecast_if_it_is_more() -> None:
    """A host that will be full in minutes must not be given VMs; a record without figures counts nothing."""
    text = (
        "<MONITORING_DATA><MONITORING><ID>1</ID><CPU>50</CPU><MEMORY>1048576</MEMORY>"
        "<CPU_FORECAST>80</CPU_FORECAST><MEMORY_FORECAST>1</MEMORY_FORECAST></MONITORING>"
        "<MONITORING><ID>2</ID><CPU>nan</CPU><MEMORY>5</MEMORY></MONITORING>"
        "<MONITORING><ID>x</ID></MONITORING></MONITORING_DATA>"
    )
    assert dict(used(parse(text.encode()), "CPU", "MEMORY")) == {1: Size(80, 1024)}


def test_recorded_monitoring_is_read(recordings: Path) -> None:
    """The paths must be those of a real OpenNebula."""
    hosts = parse((recordings / "hostpool.monitoring.xml").read_bytes())
    vms = parse((recordings / "vmpool.monitoring.xml").read_bytes())
    assert dict(used(hosts, "CAPACITY/USED_CPU", "CAPACITY/USED_MEMORY"))
    assert dict(used(vms, "CPU", "MEMORY"))[0].memory > 100


@pytest.mark.parametrize(
    ("automation", "plan", "held"),
    [("partial", -1, True), ("full", -1, True), ("manual", -1, False), ("manual", 1, True), ("", -1, False)],
)
def test_onedrs_and_balancing_never_act_at_once(automation: str, plan: int, held: bool) -> None:
    """Two planners would move the same VMs to and fro."""
    template = {"ONE_DRS": {"AUTOMATION": automation}} if automation else {}
    made = Played(cluster=model.Cluster(100, "alpha", plan_state=plan, template=template))
    assert bool(forbidden(made, HERE, Balance())) is held


def test_nothing_moves_while_power_works_on_the_cluster_or_in_quiet_hours() -> None:
    """Power would empty the host that balancing fills."""
    claim = Claim(Phase.DRAINING, 1.0)
    shrinking = replace(HERE, hosts=(replace(HERE.hosts[0], claim=claim),))
    assert forbidden(Played(), shrinking, Balance()) == "power works on host 0 (draining)"
    assert "quiet_hours" in forbidden(Played(), HERE, Balance(quiet_hours=tuple(range(24))))
