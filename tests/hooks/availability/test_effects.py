"""The effects on a front-end that is played: documents of oneadmin, states of hosts, the timeline."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.availability.collect_evidence import Subject
from hooks.availability.effects import Effects
from hooks.availability.model import Incident, Phase
from hooks.availability.published_incidents import document
from hooks.availability.records import CONFIRMATION, PAUSE
from hooks.availability.round_records import Records, orphans, records, spares
from hooks.availability.timeline import LARGEST, Timeline
from hooks.availability.vm_states import Course
from hooks.availability.world import Failed
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.claims import HOST_RECORDS, HostRecord
from onext.hosts.model import Claim
from onext.hosts.model import Phase as ClaimPhase
from onext.hosts.orders import MAINTENANCE, Order
from onext.oned import stream
from onext.oned.documents import Documents
from onext.oned.objects import HostState
from onext.part import Context
from onext.settings import Settings
from tests.onext.hosts.document_pool import DocumentPool

INCIDENT_0 = Incident(0, "node-0", 100, Phase.FENCING, 1.0, 2.0)


class FrontEnd(DocumentPool):
    """Documents, and one host whose name and state the test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.state = "node-0", HostState.ERROR
        self.statuses: list[object] = []

    def call(self, method: str, *arguments: object) -> int:
        """Note a change of the host's state."""
        if method == "host.status":
            self.statuses.append(arguments)
            return 0
        return super().call(method, *arguments)

    @property
    def source(self) -> FrontEnd:
        """Itself: `stream.single` is replaced."""
        return self


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    """Return the front-end."""
    made = FrontEnd()

    def single(source: FrontEnd, method: str, *_: object) -> bytes:
        assert method == "host.info"
        return (
            f"<HOST><ID>0</ID><NAME>{source.name}</NAME><STATE>{int(source.state)}</STATE>"
            "<PREV_STATE>2</PREV_STATE><IM_MAD>kvm</IM_MAD><VM_MAD>kvm</VM_MAD><CLUSTER_ID>100</CLUSTER_ID>"
            "<CLUSTER>edge</CLUSTER><HOST_SHARE/><VMS/><TEMPLATE/></HOST>"
        ).encode()

    monkeypatch.setattr(stream, "single", single)
    return made


def context(front: FrontEnd) -> Context:
    """Return a context of this front-end."""
    made = Context(given=Settings())
    made.__dict__["oned"] = front
    return made


def world(front: FrontEnd, folder: Path, known: Records | None = None, server: int = 0) -> Effects:
    """Return the effects of one server, whose decision rests on these records."""
    here = context(front)
    known = known or records(here)
    return Effects(
        here, BmcConfig(folder / "bmc.yaml"), server, 1, lambda host: Subject(host, "node-0", None),
        frozenset(), trusted=True, report=lambda *_: None, folder=folder, known=known.stored,
    )  # fmt: skip


def test_a_decision_on_a_record_that_another_server_changed_is_not_written(
    front: FrontEnd, tmp_path: Path
) -> None:
    """Two leaders would each believe that their step is recorded, and both act."""
    world(front, tmp_path).write(INCIDENT_0)
    seen = records(context(front))
    slow = world(front, tmp_path, seen, server=1)
    world(front, tmp_path, seen).write(replace(INCIDENT_0, phase=Phase.FENCED))
    with pytest.raises(Failed, match="version"):
        slow.write(replace(INCIDENT_0, phase=Phase.FENCING, fencings=1))


@pytest.mark.parametrize(
    ("kind", "number", "reason"), [(PAUSE, 100, "paused"), (MAINTENANCE, 0, "maintenance")]
)
def test_a_persons_word_forbids_a_step_also_where_its_record_is_damaged(
    front: FrontEnd, tmp_path: Path, kind: object, number: int, reason: str
) -> None:
    """A pause that cannot be read would otherwise let a host be fenced during its repair."""
    documents = Documents(front, kind)  # type: ignore[arg-type,var-annotated]
    assert world(front, tmp_path).forbidden(INCIDENT_0) == ""
    documents.put(number, Order("admin", 1.0), None)
    assert reason in world(front, tmp_path).forbidden(INCIDENT_0)
    for name, values in front.documents.values():
        assert name
        values["AT"] = "yesterday"
    assert reason in world(front, tmp_path).forbidden(INCIDENT_0)
    kept = records(context(front))
    assert number in kept.paused or number in kept.maintenance


def test_a_host_that_was_renamed_or_put_offline_is_not_acted_on(front: FrontEnd, tmp_path: Path) -> None:
    """Its BMC or its name may be another machine's by now."""
    front.name = "node-9"
    assert "renamed" in world(front, tmp_path).forbidden(INCIDENT_0)
    front.name, front.state = "node-0", HostState.OFFLINE
    assert "OFFLINE" in world(front, tmp_path).forbidden(INCIDENT_0)


def test_a_host_that_is_offline_stays_so(front: FrontEnd, tmp_path: Path) -> None:
    """DISABLED would bring back what a person, or power management, took out of service."""
    front.state = HostState.OFFLINE
    world(front, tmp_path).disable(0)
    world(front, tmp_path).enable(0)
    assert front.statuses == []
    front.state = HostState.ERROR
    world(front, tmp_path).disable(0)
    assert front.statuses == [(0, 1)]


def test_a_claim_binds_only_from_the_hosts_document(front: FrontEnd) -> None:
    """Whoever edits a host's template would shield it from fencing, or expose a sleeping one to it."""
    shielded = Host(0, "node-0", template={"ONEXT_POWER_STATE": {"PHASE": "off", "SINCE": "1"}})
    sleeping = Host(1, "node-1", state=HostState.OFFLINE, cluster_id=100)
    asleep = HostRecord("node-1", Claim(ClaimPhase.OFF, 1.0))
    Documents(front, HOST_RECORDS).put(1, asleep, None)  # type: ignore[arg-type]
    kept = records(context(front))
    assert kept.claim(shielded) is None
    assert kept.claim(sleeping) is not None
    assert kept.claim(replace(sleeping, name="another machine")) is None
    assert spares(Cloud.of([shielded, sleeping]), kept, 100) == (1,)


def test_a_host_is_claimed_once_and_never_taken_from_power(front: FrontEnd, tmp_path: Path) -> None:
    """Two parts that hold one host switch it against each other."""
    documents = Documents(front, HOST_RECORDS)  # type: ignore[arg-type]
    here = world(front, tmp_path)
    here.claim(0, "its incident is open")
    stored = documents.get(0)
    assert stored is not None
    assert stored.value is not None
    assert stored.value.claim is not None
    assert (stored.value.claim.holder, stored.value.claim.phase) == ("availability", ClaimPhase.HELD)
    here.claim(0, "")
    stored = documents.get(0)
    assert stored is not None
    assert stored.value is not None
    assert stored.value.claim is None
    documents.put(0, HostRecord("node-0", Claim(ClaimPhase.DRAINING, 1.0)), stored.version)
    with pytest.raises(Failed, match="power works on it"):
        here.claim(0, "its incident is open")


def test_a_host_that_power_leaves_alone_can_fail(front: FrontEnd, tmp_path: Path) -> None:
    """A host that a person switched on again serves: for a day nobody would restart its VMs."""
    documents = Documents(front, HOST_RECORDS)  # type: ignore[arg-type]
    documents.put(0, HostRecord("node-0", Claim(ClaimPhase.LEFT, 1.0)), None)
    assert records(context(front)).claim(Host(0, "node-0")) is None
    world(front, tmp_path).claim(0, "its incident is open")
    found = records(context(front)).claim(Host(0, "node-0"))
    assert found is not None
    assert found.holder == "availability"


def test_a_withdrawn_confirmation_is_gone(front: FrontEnd, tmp_path: Path) -> None:
    """It would release the VMs of a host that was switched on since."""
    documents = Documents(front, CONFIRMATION)  # type: ignore[arg-type]
    documents.put(0, Order("admin", 1.0, 1.0), None)
    world(front, tmp_path).withdraw(0)
    assert documents.get(0) is None


def test_a_record_under_another_hosts_number_is_invalid(front: FrontEnd, tmp_path: Path) -> None:
    """It would authorise the fencing of a host about which nothing was decided."""
    world(front, tmp_path).write(INCIDENT_0)
    ((number, (_, values)),) = front.documents.items()
    front.documents[number] = ("onext.incident.7", values)
    kept = records(context(front))
    assert kept.incidents == {}
    assert 7 in kept.invalid


def test_an_incident_that_nothing_decides_is_named(front: FrontEnd, tmp_path: Path) -> None:
    """Its VMs stay locked and its host disabled until somebody notices."""
    world(front, tmp_path).write(INCIDENT_0)
    kept = records(context(front))
    cloud = Cloud.of([Host(0, "node-0", cluster_id=100)])
    assert "cluster 100" in orphans(context(front), cloud, kept)[0]


def test_a_timeline_is_bounded_and_ends(tmp_path: Path) -> None:
    """A host that is held for months would fill the disk of the front-end."""
    timeline = Timeline(tmp_path)
    for number in range(900):
        timeline.add(float(number), 0, "evidence", ["x" * 5000] * 99)
    files = list(tmp_path.iterdir())
    assert sum(file.stat().st_size for file in files) < 3 * LARGEST
    assert timeline.entries(0)[-1]["at"] == 899.0
    timeline.prune(1)
    assert len(list(tmp_path.iterdir())) == len(files)
    old = time.time() - 2 * 86_400
    for file in files:
        os.utime(file, (old, old))
    timeline.prune(1)
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_another_server_changed_is_not_deleted(front: FrontEnd, tmp_path: Path) -> None:
    """The host failed again: without its record its VMs are not restarted and stay locked."""
    world(front, tmp_path).write(replace(INCIDENT_0, phase=Phase.RETURNING))
    slow = world(front, tmp_path)
    world(front, tmp_path, server=1).write(replace(INCIDENT_0, phase=Phase.CONFIRM))
    with pytest.raises(Failed, match="version"):
        slow.forget(0)
    assert 0 in records(context(front)).incidents
    world(front, tmp_path, server=1).forget(0)
    assert records(context(front)).incidents == {}


@pytest.mark.parametrize("course", [Course.MIGRATE, Course.RECREATE])
def test_a_start_is_not_sent_after_its_deadline(
    front: FrontEnd, tmp_path: Path, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped for minutes would start VMs whose host was switched on meanwhile."""
    calls: list[str] = []
    here = world(front, tmp_path)
    monkeypatch.setattr(here, "vm", lambda _: None)
    monkeypatch.setattr(here, "_call", lambda method, *_: calls.append(method))
    with pytest.raises(Failed, match="too old"):
        here.start(1, 2, course, here.monotonic() - 0.1)
    assert calls == []
    here.start(1, 2, course, here.monotonic() + 60)
    assert len(calls) == 1


GOOD = {"at": 5.0, "host": 0, "what": "order", "lines": ["x"]}


@pytest.mark.parametrize(
    "change",
    [{"at": True}, {"at": float("nan")}, {"at": float("inf")}, {"at": -1e300}, {"at": 10**400}, {"at": None},
     {"host": "0"}, {"host": True}, {"what": 7}, {"lines": "text"}, {"lines": [1]}],
)  # fmt: skip
def test_a_damaged_entry_of_a_timeline_is_left_out(tmp_path: Path, change: dict[str, object]) -> None:
    """One bad line in a file would end each round of availability, and nothing would be restarted."""
    timeline = Timeline(tmp_path)
    timeline.add(5.0, 0, "order", ["x"])
    with (tmp_path / "host-0.jsonl").open("a") as stream:
        stream.write(json.dumps({**GOOD, **change}) + "\n[]\n{}\n\0\n")
        stream.write(json.dumps({key: GOOD[key] for key in ("at", "host")}) + "\n")
    assert timeline.entries() == [GOOD]
    shown = document([INCIDENT_0], timeline)["incidents"]
    assert isinstance(shown, list)
    assert len(shown[0]["timeline"]) == 1
