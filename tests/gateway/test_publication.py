"""What the worker publishes is what the gateway reads: the two never share a type."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.journal import Journal
from gateway.own_data import OwnData
from hooks.availability import published_incidents
from hooks.availability.model import Entry, Incident, Phase
from hooks.availability.timeline import Timeline
from hooks.events import journal
from hooks.events.changes import Change
from hooks.events.facts import Object
from hooks.events.outbox import Outbox
from hooks.power import ledger, published_plan
from hooks.power.decide import Decision, Memory
from hooks.power.policy import Policy
from onext import published
from onext.hosts.model import Claim, Cluster, Host
from onext.hosts.model import Phase as Power
from onext.hosts.placement.problem import Plan, Size
from onext.oned.objects import HostState
from onext.paths import Paths


def own(paths: Paths) -> OwnData:
    return OwnData(published.folder(paths), paths.targets)


def test_an_incident_arrives_with_its_timeline(tmp_path: Path) -> None:
    """The page would show no incident while VMs are restarted."""
    paths = Paths.self_contained(tmp_path)
    timeline = Timeline(tmp_path / "timeline")
    timeline.add(100.0, 3, "fencing", ["the BMC was ordered"])
    timeline.add(1.0, 3, "an earlier incident", [])
    incident = Incident(
        3, "node-3", 0, Phase.FENCING, 99.0, 100.0, reason="silent", entries=(Entry(7, 1, 5),)
    )
    published_incidents.publish(paths, [incident], timeline)
    found = own(paths).incidents()[3]
    assert (found.phase, found.reason, found.vms[0].vm_id) == ("fencing", "silent", 7)
    assert [step.what for step in found.timeline] == ["fencing"]


def test_a_plan_arrives_with_reasons_and_a_day(tmp_path: Path) -> None:
    """The page would not tell why a host sleeps, or why it does not."""
    paths = Paths.self_contained(tmp_path)
    asleep = Claim(Power.OFF, 50.0)
    hosts = (
        Host(1, "a", HostState.MONITORED, Size(800, 1000)),
        Host(2, "b", HostState.OFFLINE, Size(800, 1000), claim=asleep),
    )
    cluster = Cluster(0, "default", hosts, ())
    decision = Decision((), {1: "its VMs need it"}, Plan((), frozenset()), Memory())
    entry = ledger.Entry(1000.0, 1, 1, 7.2e6, 10, 2, 0, 3, 0.0)
    paths.state.mkdir(parents=True)
    ledger.enter(paths.state, 0, entry)
    published.write(
        paths, "power", published_plan.document([(cluster, Policy(), decision, 0.0)], paths.state, 1001.0)
    )
    found = own(paths)
    assert (found.power()[1].reason, found.power()[1].then) == ("its VMs need it", "stays")
    assert (found.power()[2].phase, found.power()[2].since) == ("off", 50.0)
    energy = found.energy()[0]
    assert (energy.on, energy.off, energy.saved_kwh, energy.wakes) == (1, 1, 2.0, 2)
    assert found.watts()[2] == hosts[1].curve.off


def test_events_arrive_once_and_a_new_epoch_begins_anew(tmp_path: Path) -> None:
    """A client would miss changes, or take those of a former leader for new ones."""
    paths = Paths.self_contained(tmp_path)
    outbox = Outbox(paths.state / "events.db")
    try:
        outbox.append([Change("a", "t.vm.created", Object("vm", 1), {"name": "x"})], {}, 5.0)
        journal.publish(paths, outbox, 1)
        journal.publish(paths, outbox, 1)
        outbox.append([Change("b", "t.vm.deleted", Object("vm", 1), {"name": "x"}, {"name": "y"})], {}, 6.0)
        journal.publish(paths, outbox, 1)
        reader = Journal(published.folder(paths))
        assert reader.look()
        assert [(at, one.uid) for at, one in reader.after((0, 0))] == [((1, 1), "a"), ((1, 2), "b")]
        assert reader.after((1, 1))[0][1].before == {"name": "y"}
        journal.publish(paths, outbox, 2)
        assert reader.look()
        assert reader.newest() == (2, 2)
        assert not reader.keeps((1, 1)) or reader.after((1, 1))
    finally:
        outbox.close()


def test_the_journal_stays_small(tmp_path: Path) -> None:
    """The journal would fill the disk of the front-end."""
    paths = Paths.self_contained(tmp_path)
    line = {"epoch": 1, "id": "x" * 1000}
    for number in range(60):
        published.append(paths, [{**line, "number": 100 * number + one} for one in range(100)])
    size = (published.folder(paths) / published.JOURNAL).stat().st_size
    assert size < 5 << 20
    assert published.last(paths) == (1, 5999)
    first = (published.folder(paths) / published.JOURNAL).read_text().splitlines()[0]
    assert json.loads(first)["number"] > 0
