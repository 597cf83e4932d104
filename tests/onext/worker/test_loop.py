"""The worker: every acknowledged event is answered, whatever parts and oned do."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from onext import spool
from onext.oned.client import Raft, RaftState
from onext.oned.errors import NotFound, OnedError, Unreachable
from onext.part import Busy, Context, Key, Part, Retry, Underway
from onext.paths import Paths
from onext.results import read
from onext.settings import Settings
from onext.worker import heartbeat, leadership, loop
from onext.worker.loop import Worker
from tests.waiting import PATIENCE, until


class FakeOned:
    """Answers raft status."""

    def __init__(self) -> None:
        self.state = RaftState.SOLO
        self.down = False

    def raft(self) -> Raft:
        if self.down:
            raise Unreachable("down")
        return Raft(-1, self.state, 0)


class Scene:
    """A worker in a folder of its own, with one part."""

    def __init__(self, tmp_path: Path) -> None:
        self.paths = Paths.self_contained(tmp_path)
        for folder in (self.paths.spool / spool.INCOMING, self.paths.state, self.paths.stopped):
            folder.mkdir(parents=True)
        self.context = Context(self.paths, Settings())
        self.oned = FakeOned()
        self.context.__dict__["oned"] = self.oned
        self.seen: list[Key] = []
        self.error: OnedError | Retry | ZeroDivisionError | None = None
        self.part = Part("p", self.reconcile)

    def reconcile(self, _context: Context, keys: Sequence[Key]) -> str:
        self.seen += keys
        if self.error:
            raise self.error
        return "done"

    def put(self, number: int) -> None:
        spool.put(str(self.paths.spool), self.part.name, "host", number)

    def run(self, enough: Callable[[Worker], bool]) -> Worker:
        worker = Worker(self.context, [self.part])
        ends = time.monotonic() + PATIENCE
        worker.run(lambda: enough(worker) or time.monotonic() > ends)
        return worker

    def rest(self) -> None:
        """Let the worker look, while there is nothing that it may do."""
        ends = time.monotonic() + 0.5
        self.run(lambda _worker: time.monotonic() > ends)

    def left(self) -> list[str]:
        return [f.name for name in (spool.INCOMING, spool.TAKEN) for f in (self.paths.spool / name).iterdir()]

    def result(self, number: int) -> str:
        return read(self.paths.state / "results.json")[f"p.host.{number}"].message


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_keys_are_reconciled_and_forgotten(scene: Scene) -> None:
    """The main job."""
    for number in range(30):
        scene.put(number)
    scene.run(lambda worker: len(scene.seen) >= 30 and worker.idle())
    assert {key.id for key in scene.seen} == set(range(30))
    assert scene.left() == []
    assert scene.result(7) == "done"


@pytest.mark.parametrize(
    "error", [Unreachable("oned is down"), Retry("ssh hangs"), ZeroDivisionError("a bug")]
)
def test_a_failure_is_kept_and_tried_again(scene: Scene, error: OnedError | Retry) -> None:
    """An acknowledged event survives failures of others, and our own bugs."""
    scene.error = error
    scene.put(1)
    scene.run(lambda _worker: len(scene.seen) >= 1)
    assert scene.left() == ["p.host.1"]
    scene.error = None
    scene.run(lambda worker: len(scene.seen) >= 2 and worker.idle())
    assert scene.left() == []


def test_the_same_failure_is_logged_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A database that is missing filled the log, for each host, again and again."""
    scene.error = Retry("no database of cities")
    scene.put(1)
    scene.run(lambda _worker: len(scene.seen) >= 2)
    scene.error = Retry("ssh hangs")
    scene.run(lambda _worker: len(scene.seen) >= 3)
    assert caplog.text.count("no database of cities") == 1
    assert caplog.text.count("ssh hangs") == 1


def test_what_is_under_way_is_looked_at_again_in_a_moment(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that boots in seconds would be back after three rounds of a minute only."""
    monkeypatch.setattr(loop, "SOON", 0.01)
    answers: list[str] = [Underway("boots"), Underway("is monitored"), "awake"]
    scene.part = Part("p", lambda _context, _keys: answers.pop(0))
    scene.put(1)
    scene.run(lambda worker: not answers and worker.idle())
    assert scene.result(1) == "awake"
    assert scene.left() == []


def test_an_object_that_is_gone_is_done(scene: Scene) -> None:
    """A host that was deleted meanwhile must not be asked for ever."""
    scene.error = NotFound("Error getting host [1]")
    scene.put(1)
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.left() == []
    assert read(scene.paths.state / "results.json") == {}


def test_a_follower_changes_nothing_but_writes_its_files(scene: Scene) -> None:
    """Only the leader acts on OpenNebula; each server has its own Prometheus."""
    scene.oned.state = RaftState.FOLLOWER
    scene.put(1)
    scene.rest()
    assert scene.seen == []
    kept = scene.paths.state / leadership.FILE  # a queue that only grows must have its reason beside it
    assert kept.read_text() == "oned reports FOLLOWER: nothing is changed here"
    scene.part = replace(scene.part, leader_only=False)
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.seen == [Key("p", "host", 1)]


def test_no_answer_of_oned_is_no_leadership(scene: Scene) -> None:
    """A server that is cut off must not act."""
    scene.oned.down = True
    scene.put(1)
    scene.rest()
    assert scene.seen == []
    assert scene.left() == ["p.host.1"]


def test_the_work_in_the_background_goes_on_where_a_part_is_stopped(scene: Scene) -> None:
    """Hosts whose lease is not granted any more reset: `onext stop` must not do that."""
    asked: list[Context] = []

    def broken(context: Context) -> None:
        asked.append(context)
        raise ZeroDivisionError

    scene.part = Part("p", scene.reconcile, background=broken)
    (scene.paths.stopped / "p").touch()
    scene.run(lambda _worker: bool(asked))
    assert asked
    assert scene.seen == []


def test_a_stopped_part_is_frozen_and_its_events_kept(scene: Scene) -> None:
    """`onext stop` is the brake: it must hold, and nothing be lost."""
    (scene.paths.stopped / "p").touch()
    scene.put(1)
    scene.rest()
    assert scene.seen == []
    (scene.paths.stopped / "p").unlink()
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.left() == []


def test_a_whole_pool_part_gets_all_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 events must not mean 10,000 readings of the pool."""
    monkeypatch.setattr(loop, "SETTLE", 0.1)
    calls = []

    def together(_context: Context, keys: Sequence[Key]) -> str:
        calls.append(len(keys))
        return "ok"

    scene.part = Part("p", together, whole_pool=True)
    for number in range(200):
        scene.put(number)
    scene.run(lambda worker: bool(calls) and worker.idle())
    assert calls == [1]


def test_a_burst_of_events_causes_few_passes(scene: Scene) -> None:
    """1,000 VMs that start within two seconds must not mean hundreds of passes over the cloud."""
    passes: list[float] = []

    def look(_context: Context, keys: Sequence[Key]) -> str:
        assert list(keys) == [Key("targets", "pool", 0)]
        passes.append(time.monotonic())
        return "ok"

    scene.part = Part("targets", look, whole_pool=True, leader_only=False)
    began = time.monotonic()

    def burst() -> None:
        for number in range(1000):
            spool.put(str(scene.paths.spool), "event", "vm", number, 3, 3)
            time.sleep(0.002)

    sender = threading.Thread(target=burst)
    sender.start()
    scene.run(lambda worker: not sender.is_alive() and bool(passes) and worker.idle() and not scene.left())
    sender.join()
    assert 1 <= len(passes) <= 1 + (time.monotonic() - began)
    kept = (scene.paths.state / "results.json").read_bytes()
    assert set(read(scene.paths.state / "results.json")) == {"targets.pool.0"}
    assert len(kept) < 1000


def test_an_event_goes_to_every_part_and_stays_until_all_are_done(scene: Scene) -> None:
    """An event whose file went with the first part's success would be lost to the others by a crash."""
    gate = threading.Event()
    seen: list[str] = []

    def slow(_context: Context, keys: Sequence[Key]) -> str:
        gate.wait(PATIENCE)
        seen.extend(map(str, keys))
        return ""

    def quick(_context: Context, keys: Sequence[Key]) -> str:
        seen.extend(map(str, keys))
        return ""

    parts = [Part("geolocation", slow), Part("targets", quick, whole_pool=True)]
    spool.put(str(scene.paths.spool), "event", "host", 7, 2, 0)
    worker = Worker(scene.context, parts)
    ends = time.monotonic() + PATIENCE

    def over() -> bool:
        if seen == ["targets.pool.0"] and worker._crews["targets"].queue._working == {}:
            assert scene.left() == ["event.host.7.2.0"]
            gate.set()
        return (len(seen) == 2 and worker.idle()) or time.monotonic() > ends

    worker.run(over)
    assert seen == ["targets.pool.0", "geolocation.host.7"]
    assert scene.left() == []


def test_a_stopped_part_keeps_one_file_for_the_whole_pool(scene: Scene) -> None:
    """A part that is stopped for a week would leave a file for every VM that ever changed."""
    scene.part = Part("targets", scene.reconcile, whole_pool=True)
    (scene.paths.stopped / "targets").touch()
    for number in range(50):
        spool.put(str(scene.paths.spool), "event", "vm", number, 3, 3)
    scene.rest()
    assert len(scene.left()) == 1
    (scene.paths.stopped / "targets").unlink()
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.seen == [Key("targets", "pool", 0)]


def test_keys_of_the_version_before_are_understood(scene: Scene) -> None:
    """Events that were acknowledged before an upgrade must not be lost by it."""
    scene.part = Part("targets", scene.reconcile, whole_pool=True)
    spool.put(str(scene.paths.spool), "prometheus", "vm", 3)
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.seen == [Key("targets", "pool", 0)]
    assert scene.left() == []


def test_C3_work_that_another_process_is_at_is_begun_soon(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An enrolment of half an hour drove the worker into minutes of back-off, with a warning each."""
    monkeypatch.setattr(loop, "BUSY", 0.01)
    scene.error = Busy("another round is under way")
    scene.put(1)
    scene.run(lambda _worker: len(scene.seen) >= 8)
    assert caplog.text.count("under way") == 0
    scene.error = None
    scene.run(lambda worker: len(scene.seen) >= 9 and worker.idle())
    assert scene.result(1) == "done"


def test_one_failed_call_is_one_warning(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """With oned down, each of 500 waiting keys logged the same sentence."""
    scene.part = replace(scene.part, threads=8)
    scene.error = Unreachable("one.vm.info: oned does not answer")
    for number in range(40):
        scene.put(number)
    scene.run(lambda _worker: len({key.id for key in scene.seen}) >= 40)
    assert caplog.text.count("oned does not answer") == 1


@pytest.mark.parametrize("broken", ["results", "taken"])
def test_C2_a_disk_that_takes_nothing_does_not_end_the_worker(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """A full disk ended the worker, and with it everything that it still could have done."""

    def full(*_: object, **__: object) -> bool:
        raise OSError(28, "No space left on device")

    if broken == "results":
        monkeypatch.setattr("onext.atomic.write", full)
    else:
        monkeypatch.setattr(Path, "unlink", full)
    scene.put(1)
    scene.run(lambda worker: len(scene.seen) >= 1 and worker.idle())
    assert scene.seen == [Key("p", "host", 1)]
    assert caplog.text.count("No space left") in (1, 2)  # the results, and what oned answered


def test_leadership_is_asked_beside_the_loop(scene: Scene) -> None:
    """With oned hung, the worker would neither take events nor end on SIGTERM for half a minute."""
    hung = threading.Event()

    def raft() -> Raft:
        hung.wait(PATIENCE)
        return Raft(-1, RaftState.SOLO, 0)

    scene.oned.raft = raft  # type: ignore[method-assign]
    scene.put(1)
    scene.run(lambda _worker: not list((scene.paths.spool / spool.INCOMING).iterdir()))
    hung.set()
    assert scene.seen == []
    assert scene.left() == ["p.host.1"]


def test_S12_the_loop_shows_that_it_turns(scene: Scene) -> None:
    """A worker that was stopped by a signal holds its lock and its FIFO, and passed for a running one."""
    lock = scene.paths.var / heartbeat.FILE
    lock.touch()
    os.utime(lock, (1, 1))
    assert (heartbeat.age(scene.paths) or 0) > heartbeat.LATE
    scene.rest()
    assert (heartbeat.age(scene.paths) or 99) < heartbeat.LATE


def test_a_clock_that_jumps_delays_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day's jump of the clock during a round put the next look at a waking host off for four days."""
    monkeypatch.setattr(loop, "SOON", 0.01)
    answers: list[str] = [Underway("boots"), "awake"]

    def jumping(_context: Context, _keys: Sequence[Key]) -> str:
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 86400)
        return answers.pop(0)

    scene.part = Part("p", jumping)
    scene.put(1)
    scene.run(lambda worker: not answers and worker.idle())
    assert answers == []
    assert read(scene.paths.state / "results.json")["p.host.1"].took < 3600


def test_an_event_during_the_work_is_not_lost(scene: Scene) -> None:
    """The host changed again while we looked: look again."""
    began, go_on = threading.Event(), threading.Event()

    def slow(_context: Context, keys: Sequence[Key]) -> str:
        scene.seen.extend(keys)
        began.set()
        go_on.wait(PATIENCE)
        return "ok"

    def again() -> None:
        began.wait(PATIENCE)
        scene.put(1)
        spool.wake(str(scene.paths.spool))
        until(lambda: not list((scene.paths.spool / spool.INCOMING).iterdir()), "the second event's taking")
        go_on.set()

    scene.part = Part("p", slow)
    scene.put(1)
    other = threading.Thread(target=again)
    other.start()
    scene.run(lambda worker: len(scene.seen) >= 2 and worker.idle())
    other.join()
    assert len(scene.seen) == 2
    assert scene.left() == []


def test_the_round_finds_what_events_did_not_tell(scene: Scene) -> None:
    """Events are lost while the hook manager is down."""
    scene.part = Part("p", scene.reconcile, sweep=lambda _context: [Key("p", "host", 5)])
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.seen == [Key("p", "host", 5)]


def test_a_round_that_fails_does_not_end_the_worker(scene: Scene) -> None:
    """One part's broken round must not stop the others."""

    def broken(_context: Context) -> list[Key]:
        raise ZeroDivisionError

    scene.part = Part("p", scene.reconcile, sweep=broken)
    scene.put(1)
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.seen == [Key("p", "host", 1)]


def test_keys_of_unknown_parts_are_forgotten(scene: Scene) -> None:
    """A part that was taken out leaves keys behind."""
    spool.put(str(scene.paths.spool), "gone", "host", 1)
    scene.put(2)
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.left() == []
