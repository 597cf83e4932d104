"""A round over all clusters: what fails in one place leaves the others their turn."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hooks.availability import collect_evidence, part, subjects
from hooks.availability.act import Executor
from hooks.availability.cluster_view import on_shared_storage, shared_datastores
from hooks.availability.collect_evidence import Subject
from hooks.availability.evidence import Evidence, Finding, Source
from hooks.availability.memory import MOST_FAILED, Memory
from hooks.availability.model import Cluster as HaCluster
from hooks.availability.model import Incident, Phase
from hooks.availability.policy import Mode
from hooks.availability.readiness import Readiness
from hooks.availability.round_records import Records
from hooks.availability.timeline import Timeline
from onext.cloud.model import Cluster, Datastore, Disk, Host, Stay, Vm
from onext.cloud.snapshot import Cloud
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.model import Claim
from onext.hosts.model import Phase as ClaimPhase
from onext.oned.client import Raft, RaftState
from onext.oned.objects import HostState
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.availability import Availability
from onext.xml import parse
from tests.onext.hosts.document_pool import DocumentPool

AUTO = {"ONEXT_HA": {"MODE": "auto"}}
EMPTY = {name: parse("<P/>") for name in ("vmgrouppool.info", "system.config", "hookpool.info")}
LEADER = Raft(0, RaftState.LEADER, 1)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a front-end with two enabled clusters."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(part, "_memory", Memory())
    settings = Settings(availability=Availability(clusters=(100, 101), highest_mode="auto"))
    made = Context(Paths.find(), settings)
    made.__dict__["oned"] = DocumentPool()
    return made


def records(incidents: dict[int, Incident] | None = None) -> Records:
    """Return records without any decision of a person."""
    return Records(incidents or {}, {}, (), (), {})


def test_an_error_in_one_cluster_leaves_the_other_its_turn(
    context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A single odd object would switch availability off for the whole cloud."""
    whole = part._cluster

    def broken(*arguments: object) -> str:
        if arguments[4] == 100:
            raise KeyError("odd")
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(part, "_cluster", broken)
    clusters = [Cluster(number, f"c{number}", template=AUTO) for number in (100, 101)]
    cloud = Cloud.of(clusters=clusters, documents=EMPTY)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            texts = [
                part._isolated(context, cloud, BmcConfig(Path("none")), records(), number, {}, LEADER)
                for number in (100, 101)
            ]
    assert "KeyError" in texts[0]
    assert texts[1].startswith("c101: auto")
    assert len([one for one in caplog.records if "the round failed" in one.message]) == 1


def test_with_more_suspects_than_one_round_takes_each_gets_its_turn(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts behind the limit would be held for good, without evidence and without a message."""
    asked: list[int] = []

    def gathered(subject: Subject, *_: object) -> list[Evidence]:
        asked.append(subject.id)
        if subject.id == 3:
            raise ValueError("a BMC that answers nonsense")
        return [Evidence(Source.SSH, Finding.SILENT)]

    monkeypatch.setattr(collect_evidence, "collect", gathered)
    monkeypatch.setattr(part, "MOST_SUSPECTS", 10)
    monkeypatch.setattr(part, "subject", lambda _c, _cloud, _kept, number: Subject(number, "x", None))
    hosts = [Host(n, f"host{n}", int(HostState.ERROR), cluster_id=100) for n in range(25)]
    cloud = Cloud.of(hosts, clusters=[Cluster(100, "c", template=AUTO)], documents=EMPTY)
    assessments = [part.assess(context, cloud, BmcConfig(Path("none")), records(), 100, {}) for _ in range(3)]
    assert set(asked) == set(range(25))
    assert len(asked) == 30
    assert 3 not in assessments[0].judgements
    assert len(assessments[0].judgements) == 9


def test_an_incident_of_a_host_that_cannot_be_read_is_kept(context: Context) -> None:
    """One malformed answer must not close an incident and unlock the VMs of a dead host."""
    incident = Incident(1, "host1", 100, Phase.FENCING, 1.0, 1.0)
    hosts = [Host(0, "host0", 2, cluster_id=100), Host(1, "host1", problem="malformed")]
    cloud = Cloud.of(hosts, clusters=[Cluster(100, "c", template=AUTO)], documents=EMPTY)
    assessment = part.assess(context, cloud, BmcConfig(Path("none")), records({1: incident}), 100, {})
    assert assessment.cluster.incidents == {}


@pytest.mark.parametrize(
    ("driver", "shared", "expected"),
    [
        ("qcow2", "YES", True), ("shared", "YES", True), ("ceph", "YES", True), ("ssh", "NO", False),
        ("local", "NO", False), ("fs_lvm_ssh", "YES", False), ("dev", "YES", False),
        ("virtiofs", "YES", False), ("qcow2", "", False),
    ],
)  # fmt: skip
def test_only_what_is_surely_shared_is_shared(driver: str, shared: str, expected: bool) -> None:
    """A VM that starts elsewhere without its disks, or with those of another host, loses its data."""
    datastore = Datastore(0, "system", tm_mad=driver, template={"SHARED": shared} if shared else {})
    found = shared_datastores(Cloud.of(datastores=[datastore]))
    stay = Stay(0, 0, "host0", 100, 0, "kvm", driver, 0.0, 0.0, 0)
    vm = Vm(1, disks=(Disk(0, 1, "FILE", "FILE", driver, 1, 1, persistent=False, target="vda"),), stay=stay)
    assert on_shared_storage(vm, found) is expected


def test_a_flushed_host_counts_as_in_maintenance_and_not_as_power_managements(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As power management's its silence would be ignored, and its VMs left to planners that ask for no proof."""
    hosts = [Host(number, f"node-{number}", state=HostState.DISABLED, cluster_id=100) for number in (1, 2)]
    cloud = Cloud.of(hosts, clusters=[Cluster(100, "c", template=AUTO)], documents=EMPTY)
    holders = {1: "maintenance", 2: "power"}
    kept = Records({}, {}, (), (1,), {})
    monkeypatch.setattr(
        Records, "claim", lambda _, host: Claim(ClaimPhase.HELD, 0.0, 0, 0, holder=holders[host.id])
    )
    found = part.assess(context, cloud, BmcConfig(Path("none")), kept, 100, {}).cluster
    assert [(host.id, host.maintenance, host.claimed) for host in found.hosts] == [
        (1, True, False),
        (2, False, True),
    ]


@pytest.mark.parametrize(
    ("command", "arguments", "acts"),
    [
        ("ft/host_error.rb", "$TEMPLATE -m -p 5", False),
        ("host_error.rb", "", False),
        ("/usr/bin/ruby", "/var/lib/one/remotes/hooks/ft/host_error.rb -m", False),
        ("onext/hook", "", True),
        ("my_host_error.rb", "", True),
    ],
)
def test_beside_opennebulas_own_hook_nothing_is_done(
    context: Context, command: str, arguments: str, acts: bool
) -> None:
    """Two parts would fence one host after the other, and start each VM where the other did not expect it."""
    template = f"<COMMAND>{command}</COMMAND><ARGUMENTS>{arguments}</ARGUMENTS>"
    hooks = {"hookpool.info": parse(f"<P><HOOK><TEMPLATE>{template}</TEMPLATE></HOOK></P>")}
    hosts = [Host(n, f"host{n}", 2, cluster_id=100) for n in range(3)]
    cloud = Cloud.of(hosts, clusters=[Cluster(100, "c", template=AUTO)], documents={**EMPTY, **hooks})
    kept = records({1: Incident(1, "host1", 100, Phase.CONFIRM, 1.0, 1.0)})
    found = part.assess(context, cloud, BmcConfig(Path("none")), kept, 100, {})
    assert (found.policy.mode is Mode.AUTO) is acts
    assert bool(found.cluster.rival) is not acts


def test_each_round_asks_whether_restarted_vms_are_ready(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer each group waits for its pause, and each VM with ONEXT_HA_READY is reported as not ready."""
    asked: list[int] = []

    def fill(_: Readiness, cluster: HaCluster, *_others: object) -> HaCluster:
        asked.append(cluster.id)
        return cluster

    monkeypatch.setattr(Readiness, "fill", fill)
    cloud = Cloud.of(clusters=[Cluster(100, "c", template=AUTO)], documents=EMPTY)
    part._isolated(context, cloud, BmcConfig(Path("none")), records(), 100, {}, LEADER)
    assert asked == [100]


@pytest.mark.parametrize(
    ("times", "age", "heard"),
    [
        (("990", "970"), 10.0, 10.0),
        (("4600",), None, 0.0),
        (("4600", "990"), 10.0, 0.0),
        (("1004",), 0.0, 0.0),
        (("1006",), None, 0.0),
        (("x", ""), None, float("inf")),
        ((), None, float("inf")),
    ],
)
def test_monitoring_from_the_future_shows_no_life_and_ends_no_lease(
    times: tuple[str, ...], age: float | None, heard: float
) -> None:
    """After the clock was set back a dead host counts as monitored for an hour, or a lease as a proof too early."""
    records_ = "".join(f"<MONITORING><TIMESTAMP>{one}</TIMESTAMP></MONITORING>" for one in times)
    oned = SimpleNamespace(document=lambda *_: parse(f"<D>{records_}</D>"))
    here: Any = SimpleNamespace(oned=oned, now=lambda: 1000.0)
    ages = subjects._monitored(here, Host(1, "host1"))
    assert subjects._last_monitored(ages) == age
    assert subjects._possibly_heard(ages) == heard


def test_an_incident_whose_record_cannot_be_written_is_reported(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would learn that the VMs of a dead host stay down: alarms are noted in that record."""

    def refused(executor: Executor, _: object) -> dict[int, str]:
        executor.failed = {1: "one.document.update: no quorum"}
        return {}

    monkeypatch.setattr(Executor, "run", refused)
    cloud = Cloud.of(clusters=[Cluster(100, "c", template=AUTO)], documents=EMPTY)
    for _ in range(MOST_FAILED + 5):
        part._isolated(context, cloud, BmcConfig(Path("none")), records(), 100, {}, LEADER)
    told = [entry["lines"] for entry in Timeline(part.timeline_folder(context)).entries(1)]
    assert told == [["its incident does not proceed: one.document.update: no quorum"]]
