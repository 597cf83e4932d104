"""Figures for Prometheus, and what rounds remember."""

from dataclasses import replace
from pathlib import Path

from hooks.power import cluster_metrics
from hooks.power.decide import Memory, decide
from hooks.power.needed_hosts import Wakes
from hooks.power.policy import Mode, Policy
from hooks.power.round_state import RoundState, Tally
from onext.hosts.energy import Curve
from onext.hosts.model import Bmc, Claim, Cluster, Host, Kind, Phase, Record, Vm
from onext.hosts.placement.problem import Size
from onext.metrics import render
from onext.oned.objects import HostState

NOW = 1_800_000_000.0


def test_figures_say_what_a_person_asks() -> None:
    """Nobody would see a host that does not wake, or a VM that waits."""
    awake = Host(0, "a", HostState.MONITORED, Size(800, 16_384), bmc=Bmc.ON, monitored=NOW)
    asleep = replace(awake, id=1, state=HostState.OFFLINE, bmc=Bmc.OFF, claim=Claim(Phase.OFF, NOW - 3600))
    asleep = replace(asleep, record=Record(joules=3.6e6, wakes=4))
    waits = Vm(9, "vm", Size(9999, 1), Kind.PENDING, since=NOW - 77)
    cluster = Cluster(100, 'al"pha', (awake, asleep), (waits,), (Size(100, 1024),))
    policy = Policy(mode=Mode.AUTO, min_hosts=1)
    decision = decide(cluster, policy, NOW, Memory())
    text = render(
        cluster_metrics.families([(cluster, policy, decision, NOW)], {100: Tally(7, 30.0, NOW, 2.0)})
    )
    label = 'cluster="100",name="al\\"pha"'
    assert f'onext_power_hosts{{{label},state="on"}} 1.0' in text
    assert f'onext_power_hosts{{{label},state="off"}} 1.0' in text
    sleeping = Curve().saved(3600, 180)
    saved = 3.6e6 + sleeping  # also before it wakes
    assert f"onext_power_saved_joules_total{{{label}}} {saved / 1e6!r}e+06\n" in text
    assert f"onext_power_off_seconds_total{{{label}}} 3600.0" in text
    assert f"onext_power_saved_watts{{{label}}} 92.0" in text
    assert f'onext_power_watts_source{{{label},source="model"}} 2.0' in text
    assert f"onext_power_migration_joules_total{{{label}}} 1050.0" in text
    assert f"onext_power_longest_wait_seconds{{{label}}} 77.0" in text
    assert f"onext_power_buffer_free{{{label}}} 8.0" in text
    assert f"onext_power_migrations_total{{{label}}} 7.0" in text
    assert f"onext_power_short_seconds_total{{{label}}} 30.0" in text


def test_rounds_remember_across_processes(tmp_path: Path) -> None:
    """`onext power run` from cron would never switch anything off: each run would be the first."""
    state = RoundState()
    state.memories[100] = Memory({3: NOW}, {9: Wakes(2, NOW)})
    state.migrations, state.told = {100: [NOW]}, {100: {9}, 101: set()}
    state.tallies[100] = Tally(5, 60.0, NOW, 12.5)
    state.save(tmp_path)
    other = RoundState()
    other.load(tmp_path)
    assert (other.memories, other.migrations, other.told, other.tallies) == (
        state.memories, state.migrations, state.told, state.tallies,
    )  # fmt: skip
    (tmp_path / "power.json").write_text("{cut")
    other.load(tmp_path)
    assert other.memories == {}


def test_a_pause_is_no_shortage() -> None:
    """A worker that was down for a day would report a day without buffer."""
    tally = Tally()
    tally.look(NOW, 1, short=True, gb=0.0)
    tally.look(NOW + 60, 2, short=True, gb=0.0)
    tally.look(NOW + 99_999, 0, short=True, gb=0.0)
    tally.look(NOW, 0, short=True, gb=0.0)
    assert (tally.migrations, tally.short_seconds) == (3, 60.0)
