"""What powering off has brought, in figures that add up."""

from dataclasses import replace

from hooks.power.commands.report import NONE, drawn, row
from hooks.power.decide import Memory, decide
from hooks.power.ledger import Entry
from hooks.power.part import Assessment
from hooks.power.policy import Policy
from onext.hosts.model import Cluster, Host
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState

NOW = 1_800_000_000.0
HOST = Host(0, "a", HostState.MONITORED, Size(800, 16_384))
CLUSTER = Cluster(100, "alpha", (HOST, replace(HOST, id=1)), ())
THEN = Entry(NOW - 86_400, 2, 0, 3.6e6, 3600, 2, 1, 5, 0.0)
TODAY = Entry(NOW, 1, 1, 18e6, 90_000, 3, 1, 25, 3.6e6 / 525)


def test_a_period_counts_from_its_start() -> None:
    """A month's report with the savings of the whole year."""
    assessment = Assessment(CLUSTER, Policy(), decide(CLUSTER, Policy(), NOW, Memory()))
    found = row(assessment, THEN, TODAY)
    assert (found["saved_kwh"], found["moving_kwh"], found["net_kwh"]) == (4.0, 1.0, 3.0)
    assert (found["off_hours"], found["migrations"], found["wakes"], found["failed"]) == (24.0, 20, 1, 0)
    assert found["idle_watts"] == "2 by the model"
    assert row(assessment, NONE, TODAY)["since"] == "the beginning"
    assert row(assessment, NONE, TODAY)["saved_kwh"] == 5.0


def test_the_plot_shows_hosts_and_energy() -> None:
    """A report that nobody can show to whoever pays for the power."""
    text = drawn("al<pha", [THEN, TODAY])
    assert text.count("<polyline") == 3
    assert "al&lt;pha" in text
    assert "kWh saved" in text
