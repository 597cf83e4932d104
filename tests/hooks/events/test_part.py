"""A whole pass of the part: what it survives, what it marks, and what never leaves."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.events import part
from hooks.events.changes import difference
from hooks.events.database import OutboxError
from hooks.events.facts import Object
from hooks.events.outbox import BATCH, Outbox
from hooks.events.senders import Sender, Senders
from hooks.events.sinks.file import FileSink
from hooks.events.sinks.http import HttpSink
from hooks.events.stored import SinkState
from onext.cloud.model import Cluster, Host, Network, Template, Vm
from onext.cloud.snapshot import Cloud
from onext.http import Http, InvalidAddress, is_public
from onext.oned.client import Raft, RaftState
from onext.part import Context, Retry
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.events import Events, EventSink
from onext.xml import parse
from tests.hooks.events.receiver import receiver
from tests.onext.hosts.document_pool import DocumentPool
from tests.waiting import until

SECRET = "s3cret-Passw0rd"
CONFIG = {"system.config": parse("<C><FEDERATION><ZONE_ID>7</ZONE_ID></FEDERATION></C>")}
HOSTS = [Host(n, f"host{n}", 2, cluster_id=100) for n in range(3)]


class FrontEnd(DocumentPool):
    """A leader with documents."""

    def raft(self) -> Raft:
        """Return its state."""
        return Raft(0, RaftState.LEADER, 1)


class Played(Context):
    """A front-end whose pools the test sets."""

    pools: Cloud

    def cloud(self, max_age: float = 60.0) -> Cloud:  # noqa: ARG002
        """Return them."""
        return self.pools


def show(context: Context, cloud: Cloud) -> None:
    """Let the front-end have these pools."""
    context.__dict__["pools"] = cloud


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """Return a front-end with a sink that writes a file; its threads end with the test."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    sink = EventSink(name="log", kind="file", path=tmp_path / "events.jsonl")
    made = Played(Paths.find(), Settings(events=Events(sinks=(sink,))))
    made.__dict__["oned"] = FrontEnd()
    show(made, Cloud.of(HOSTS, documents=CONFIG))
    monkeypatch.setattr(part, "_state", part._State())
    yield made
    part._state.senders.stop()


def received(context: Context, count: int) -> list[dict[str, object]]:
    """Return the events in the file, once there are so many."""
    file = context.settings.events.sinks[0].path
    assert file is not None
    for _ in range(600):
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= count:
            break
        time.sleep(0.05)
    return [json.loads(line) for line in lines]


def test_a_damaged_outbox_is_moved_aside_and_every_sink_gets_a_snapshot(context: Context) -> None:
    """One bad sector would end all events for good, with an error in each round."""
    part.reconcile(context, [])
    first = received(context, 5)
    file = part.file(context)
    threads = [sender._thread for _, sender in part._state.senders.running.values()]
    part._state.senders.stop()
    for thread in threads:
        assert thread is not None
        thread.join(30)
    for path in file.parent.glob("events.db-*"):
        path.unlink()
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(Retry, match="damaged"):
        part.reconcile(context, [])
    assert file.with_name("events.db.damaged").exists()
    part.reconcile(context, [])
    again = received(context, 10)[5:]
    assert [str(event["type"]).rpartition(".")[2] for event in again[:2]] == ["begin", "snapshot"]
    assert int(str(again[0]["epoch"])) > int(str(first[0]["epoch"]))


def test_a_commit_that_failed_still_owes_the_snapshot(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at a change of leader would leave every receiver without what changed meanwhile."""
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "append", _no_space)
        with pytest.raises(Retry, match="full"):
            part.reconcile(context, [])
    part.reconcile(context, [])
    assert [str(event["type"]).rpartition(".")[2] for event in received(context, 5)] == [
        "begin", "snapshot", "snapshot", "snapshot", "end",
    ]  # fmt: skip


def _no_space(*_: object) -> int:
    raise OutboxError("events.db: database or disk is full")


def test_the_source_names_the_real_zone(context: Context) -> None:
    """Events of two zones of a federation would be taken for one another's."""
    part.reconcile(context, [])
    events = received(context, 5)
    assert {event["source"] for event in events} == {"/opennebula/zone/7"}
    assert events[0]["subject"] == "zone/7"


def test_what_changed_while_nobody_looked_is_marked_late(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that acts on times must know that a change is older than its event."""
    part.reconcile(context, [])
    show(context, Cloud.of([replace(HOSTS[0], state=3), *HOSTS[1:]], documents=CONFIG))
    part.reconcile(context, [])
    monkeypatch.setattr(part._state, "committed", time.monotonic() - 3600)
    show(context, Cloud.of([replace(HOSTS[0], state=2), *HOSTS[1:]], documents=CONFIG))
    part.reconcile(context, [])
    assert [event.get("late") for event in received(context, 7)[5:]] == [None, "true"]


def test_no_secret_of_a_template_leaves(context: Context) -> None:
    """Templates hold passwords and tokens; a receiver is a foreign system."""
    template: Template = {
        "PASSWORD": SECRET,
        "CONTEXT": {"TOKEN": SECRET},
        "GEOLOCATION": SECRET,
        "ERROR": SECRET,
        "ONEXT_POWER_STATE": {"PHASE": SECRET, "REASON": SECRET},
        SECRET: SECRET,
    }
    vm = Vm(1, "vm1", user=SECRET, group=SECRET, state=3, lcm_state=3, deploy_id=SECRET, actions=(SECRET,),
            template=template, user_template=template)  # fmt: skip
    host = Host(9, "host9", 2, cluster=SECRET, vm_mad=SECRET, template=template)
    pools = Cloud.of(
        [host], [vm], [Cluster(100, "c", template=template)], networks=[Network(1, "n", template=template)],
        documents=CONFIG,
    )  # fmt: skip
    show(context, pools)
    part.reconcile(context, [])
    changed = replace(host, state=3, template={**template, "GEOLOCATION": "1,2"})
    show(context, Cloud.of([changed], [], [], documents=CONFIG))
    part.reconcile(context, [])
    events = received(context, 10)
    assert len(events) >= 10
    assert SECRET not in json.dumps(events)
    assert SECRET.encode() not in part.file(context).read_bytes()


def test_a_sink_that_cannot_be_built_leaves_the_others_served(context: Context, tmp_path: Path) -> None:
    """A typing mistake in one sink would silence all."""
    wrong = EventSink(name="wrong", kind="http", url_file=tmp_path / "missing")
    sinks = (wrong, *context.settings.events.sinks)
    both = Played(context.paths, Settings(events=Events(sinks=sinks)))
    both.__dict__.update(oned=context.oned, pools=context.cloud())
    part.reconcile(both, [])
    file = sinks[1].path
    assert file is not None
    for _ in range(600):
        if file.exists() and len(file.read_text().splitlines()) == 5:
            break
        time.sleep(0.05)
    assert len(file.read_text().splitlines()) == 5
    assert "wrong" in part._state.senders.refused


def test_a_sink_that_lost_events_gets_a_snapshot(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a receiver would never learn what it missed."""
    monkeypatch.setattr(Sender, "start", lambda *_: None)  # nothing is sent
    part.reconcile(context, [])
    outbox = Outbox(part.file(context))
    lost = outbox.prune(0.0, 2)
    outbox.close()
    assert lost == {"log": 3}


@pytest.mark.process
def test_a_receiver_that_asks_gets_a_snapshot_and_the_next_an_hour_later(
    context: Context, tmp_path: Path
) -> None:
    """A receiver that lost its data would wait for a person; or one that always asks would get nothing else."""
    clock = time.time()
    with receiver() as portal:
        (tmp_path / "url").write_text(portal.url)
        sink = EventSink(name="portal", url_file=tmp_path / "url", private=True)
        asked = Played(context.paths, Settings(events=Events(sinks=(sink,))), lambda: clock)
        asked.__dict__["oned"] = FrontEnd()
        outbox = Outbox(part.file(asked))

        def snapshots(name: str) -> int:
            """Rename a host, wait until the receiver has all, and return how many snapshots it got so far."""
            show(asked, Cloud.of([replace(HOSTS[0], name=name)], documents=CONFIG))
            for _ in range(2):  # what the first pass sends may be answered with a request
                part.reconcile(asked, [])
                until(lambda: not outbox.sink("portal").lag, "the delivery")
            return sum(str(one["type"]).endswith("snapshot.begin") for one in portal.documents())

        assert snapshots("a") == 1, "that of a new sink"
        portal.headers["Onext-Snapshot"] = "wanted"
        assert snapshots("b") == 2
        assert snapshots("c") == 2
        clock += 3601
        assert snapshots("d") == 3
        del portal.headers["Onext-Snapshot"]
        assert snapshots("e") == 3
        clock += 3601
        assert snapshots("f") == 3, "its last answer counts"
        outbox.close()


def test_a_pruning_deletes_a_bounded_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week of events deleted at once would hold up every other part of the worker."""
    assert BATCH <= 100_000
    monkeypatch.setattr("hooks.events.outbox.BATCH", 3)
    outbox = Outbox(tmp_path / "events.db")
    outbox._db.executemany(
        "INSERT INTO events (id, type, kind, object, time, late, facts, before) VALUES (?,'t','vm',1,1,0,'{}','{}')",
        [(str(n),) for n in range(10)],
    )
    left = []
    for _ in range(4):
        outbox.prune(100.0, 1000)
        left.append(len(outbox.since(0)))
    outbox.close()
    assert left == [7, 4, 1, 0]


@pytest.mark.parametrize(
    ("address", "public"),
    [("10.0.0.1", False), ("127.0.0.1", False), ("::1", False), ("::ffff:10.0.0.1", False),
     ("169.254.169.254", False), ("fe80::1%eth0", False), ("2002:a00:1::", False), ("100.64.0.1", False),
     ("0.0.0.0", False), ("224.0.0.1", False), ("9.9.9.9", True), ("2620:fe::fe", True)],
)  # fmt: skip
def test_private_addresses_are_known_in_every_spelling(address: str, public: bool) -> None:
    """One spelling that is missed is a way into the inner network."""
    assert is_public(address) is public


@pytest.mark.process
def test_a_name_that_turns_private_is_refused_when_it_is_connected() -> None:
    """A check of the name beforehand is void: the next answer of its DNS may be 127.0.0.1."""
    got = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                got.append(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        http = Http(public=True)
        with pytest.raises(InvalidAddress, match="not a public one"):
            http.post(f"http://localhost:{server.getsockname()[1]}/hook", b"{}", timeout=5)
        http.close()
        thread.join(10)
    assert got == [b""]


def test_a_secret_path_is_not_in_a_sinks_problem() -> None:
    """Addresses of chat systems hold their token in the path; status and doctor show the problem."""
    sink = HttpSink("chat", "https://user:word@chat.example.invalid/T0/secret-path?token=abc", "/", Http())
    shown = sink._redacted("https://chat.example.invalid/T0/secret-path?token=abc: no answer; word")
    assert "secret-path" not in shown
    assert "abc" not in shown
    assert "chat.example.invalid" in shown


def test_a_replaced_sender_begins_after_its_predecessor_ended() -> None:
    """Two threads that serve one sink would send its events out of order."""
    order: list[str] = []
    release = threading.Event()

    class Slow(Sender):
        def _serve(self) -> None:
            order.append(f"begin {self._reported}")
            release.wait(10)
            order.append(f"end {self._reported}")
            self.stop()

    def make_(name: str) -> Sender:
        return Slow(FileSink(name, Path(), ""), Path(), part._state.epoch, lambda: False, _reported=name)

    senders = Senders()
    senders.follow({"one": (1, lambda: make_("old"))})
    while not order:
        time.sleep(0.01)
    senders.follow({"one": (2, lambda: make_("new"))})
    time.sleep(0.1)
    release.set()
    for _ in range(200):
        if len(order) == 4:
            break
        time.sleep(0.05)
    senders.stop()
    assert order == ["begin old", "end old", "begin new", "end new"]


def test_an_outbox_that_fills_is_reported_once_before_anything_is_dropped(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    """A portal that is down over a weekend would lose events without a person having been asked to act."""
    behind = SinkState("portal", 900, 10)
    for fill in (0.7, 0.85, 0.9):
        part._warn_before_loss(fill, [behind])
    assert [record.getMessage()[:24] for record in caplog.records] == ["the outbox is 85 % full:"]
    part._warn_before_loss(0.9, [SinkState("portal", 900, 900)])
    assert len(caplog.records) == 1
    part._warn_before_loss(0.9, [behind])
    assert len(caplog.records) == 2


def test_what_the_outbox_keeps_is_measured(tmp_path: Path) -> None:
    """The alert before a loss follows this figure."""
    outbox = Outbox(tmp_path / "events.db")
    assert outbox.kept() == 0
    outbox.append(difference({}, {Object("vm", n): {} for n in range(7)}), {}, 1.0)
    assert outbox.kept() == 7
    outbox.close()
