"""Whether a restarted VM is ready: its port, its guest agent, or a time."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hooks.availability import readiness
from hooks.availability.model import Cluster, Entry, Incident, Phase, Stage, Vm
from hooks.availability.readiness import Readiness
from onext import process, ssh
from onext.cloud import model
from onext.cloud.snapshot import Cloud

pytestmark = pytest.mark.process
TARGET = 1
STARTED = Entry(7, 1, 5, stage=Stage.STARTED, target=TARGET)
RUNNING = Vm(7, "db", TARGET, 2, 3, 3)


def cluster(ready: str, entry: Entry = STARTED, **changes: object) -> Cluster:
    """Return a cluster in which VM 7 was restarted."""
    vm = replace(RUNNING, ready=ready, **changes)  # type: ignore[arg-type]
    incident = Incident(0, "a", 100, Phase.EVACUATING, 1.0, 1.0, entries=(entry,))
    return Cluster(100, "c", (), (vm, Vm(8, "other", TARGET, 1, 3, 3)), incidents={0: incident})


def cloud(*addresses: tuple[str, str]) -> Cloud:
    """Return VM 7 with one interface, and its new host."""
    nic = model.Nic(0, "NIC", 1, 0, "auto", "", addresses)
    return Cloud.of([model.Host(TARGET, "b")], vms=[model.Vm(7, "db", nics=(nic,))])


def answer(found: Cluster) -> bool | None:
    """Return what the decision learns of VM 7."""
    assert found.vms[1].answers is None, "the other VM is not waited for"
    return found.vms[0].answers


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[str]]]:
    """Return what is asked of hosts, which answer that nothing listens."""
    calls: list[tuple[str, Sequence[str]]] = []

    def run(host: str, words: Sequence[str], **_: object) -> process.Completed:
        calls.append((host, words))
        return process.Completed(tuple(words), 1, b"", b"")

    monkeypatch.setattr(ssh, "run", run)
    return calls


def test_a_vm_is_ready_once_its_port_accepts(asked: list[tuple[str, Sequence[str]]]) -> None:
    """Clients start before their database answers, and fail one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = cluster(f"port {port}")
        here = cloud(("MAC", "127.0.0.1"), ("IP", "not an address; reboot"), ("IP", "127.0.0.1"))
        assert answer(Readiness().fill(found, here, None)) is True
        assert answer(Readiness().fill(found, cloud(), None)) is False
    assert asked == []
    assert answer(Readiness().fill(found, here, None)) is False
    assert [(host, words[-2:]) for host, words in asked] == [("b", ["127.0.0.1", str(port)])]


def test_a_port_that_only_its_host_reaches_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front-end seldom has a way into the networks of tenants."""
    monkeypatch.setattr(ssh, "run", lambda _h, words, **_: process.Completed(tuple(words), 0, b"", b""))
    assert answer(Readiness().fill(cluster("port 1"), cloud(("IP", "127.0.0.1")), None)) is True


@pytest.mark.parametrize(("code", "ready"), [(0, True), (1, False), (None, False)])
def test_a_vm_is_ready_once_its_agent_answers_its_host(
    code: int | None, ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A VM that still boots counts as ready, or one that is ready holds the others back."""

    def run(host: str, words: Sequence[str], **_: object) -> process.Completed:
        assert (host, words[-2:]) == ("b", ["one-7", '{"execute":"guest-ping"}'])
        if code is None:
            raise process.CommandError(words, "no answer", None, b"")
        return process.Completed(tuple(words), code, b"", b"")

    monkeypatch.setattr(ssh, "run", run)
    assert answer(Readiness().fill(cluster("guest agent"), cloud(), None)) is ready


def test_seconds_count_from_when_the_vm_was_found_running() -> None:
    """Counted from the order, a VM that waited for its image would be ready before it boots."""
    clock = [100.0]
    one = Readiness(lambda: clock[0])
    assert answer(one.fill(cluster("30", lcm=2), cloud(), None)) is None
    clock[0] = 200.0
    assert answer(one.fill(cluster("30"), cloud(), None)) is False
    clock[0] = 229.9
    assert answer(one.fill(cluster("30"), cloud(), None)) is False
    clock[0] = 230.0
    assert answer(one.fill(cluster("30"), cloud(), None)) is True


def test_who_was_ready_is_asked_again_only_after_another_start(
    asked: list[tuple[str, Sequence[str]]],
) -> None:
    """A database that is busy for a moment would count as lost, and one that starts anew as ready."""
    one = Readiness()
    with socket.create_server(("127.0.0.1", 0)) as server:
        found, here = cluster(f"port {server.getsockname()[1]}"), cloud(("IP", "127.0.0.1"))
        assert answer(one.fill(found, here, None)) is True
    assert answer(one.fill(found, here, None)) is True
    elsewhere = replace(STARTED, target=2)
    moved = replace(found, vms=(replace(found.vms[0], host=2), found.vms[1]))
    again = replace(moved, incidents={0: replace(moved.incidents[0], entries=(elsewhere,))})
    assert answer(one.fill(again, here, None)) is False
    assert asked == [], "that host is not known"


@pytest.mark.parametrize(
    ("entry", "changes"),
    [
        (replace(STARTED, stage=Stage.RUNNING), {}),
        (replace(STARTED, stage=Stage.WAITING), {}),
        (STARTED, {"host": 0}),
        (STARTED, {"lcm": 16}),
    ],
)
def test_only_vms_that_an_incident_waits_for_are_asked(
    entry: Entry, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question costs seconds, in a round that has VMs to restart."""
    monkeypatch.setattr(readiness, "_accepts", lambda *_: pytest.fail("it was asked"))
    found = cluster("port 22", entry, **changes)
    assert answer(Readiness().fill(found, cloud(("IP", "127.0.0.1")), None)) is None
