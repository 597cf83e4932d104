"""The worker: every acknowledged event is answered, whatever parts and oned do."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from onext import spool
from onext.oned.client import Raft, RaftState
from onext.oned.errors import NotFound, OnedError, Unreachable
from onext.part import Context, Key, Part, Retry, Underway
from onext.paths import Paths
from onext.results import read
from onext.settings import Settings
from onext.worker import leadership, loop
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
    assert kept.read_text() == "oned says FOLLOWER: nothing is changed here"
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


def test_a_stopped_part_is_frozen_and_its_events_kept(scene: Scene) -> None:
    """`onext stop` is the brake: it must hold, and nothing be lost."""
    (scene.paths.stopped / "p").touch()
    scene.put(1)
    scene.rest()
    assert scene.seen == []
    (scene.paths.stopped / "p").unlink()
    scene.run(lambda worker: bool(scene.seen) and worker.idle())
    assert scene.left() == []


def test_a_whole_pool_part_gets_all_at_once(scene: Scene) -> None:
    """10,000 events must not mean 10,000 readings of the pool."""
    calls = []

    def together(_context: Context, keys: Sequence[Key]) -> str:
        calls.append(len(keys))
        return "ok"

    scene.part = Part("p", together, whole_pool=True)
    for number in range(200):
        scene.put(number)
    scene.run(lambda worker: bool(calls) and worker.idle())
    assert calls == [200]


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
