"""What the driver does while OpenNebula's own migrate runs: it looks, repairs, and ends what hangs."""

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.vmm.migrate.onext_migrate import migration as module
from drivers.vmm.migrate.onext_migrate import net_devices, orphan_guard, processes, virsh, wrapper_files
from drivers.vmm.migrate.onext_migrate.errors import TunnelError
from drivers.vmm.migrate.onext_migrate.migration import Migration
from drivers.vmm.migrate.onext_migrate.settings import Settings
from drivers.vmm.migrate.onext_migrate.virsh import Job, State
from drivers.vmm.migrate.onext_migrate.watchdog import Watchdog
from drivers.vmm.migrate.onext_migrate.wrapper_files import Report
from tests.drivers.vmm.migrate.clock import Clock

RUNNING = State("running", "")


class Tunnel:
    """A tunnel whose ends and packets a test decides."""

    name = "oxt0"

    def __init__(self) -> None:
        self.near, self.far = SimpleNamespace(gone=False), SimpleNamespace(gone=False)
        self.answering, self.repaired, self.kept_alive, self.received = True, 0, 0, 0
        self.broken = False
        self.prober = self

    def keep_alive(self) -> None:
        """Count how often the far end hears of us."""
        self.kept_alive += 1

    def ask(self) -> None:
        """Send nothing."""

    def answers(self, _seconds: float) -> list[int]:
        """Return what came back."""
        return [68] if self.answering else []

    def repair(self) -> None:
        """Count repairs, which fail where the tunnel is broken."""
        self.repaired += 1
        if self.broken:
            raise TunnelError("node-b: no route")


class Scene:
    """A migration whose clock, libvirt and tunnel are played."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.tunnel = Clock(), Tunnel()
        self.job: Job | None = None
        self.state, self.did = RUNNING, list[str]()
        self.report, self.lives = Report(called=True, postcopy=True), 10**6
        monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setattr(virsh, "job", lambda *_: self.job)
        monkeypatch.setattr(virsh, "state", lambda *_: self.state)
        monkeypatch.setattr(virsh, "abort", lambda *_: self._do("abort"))
        monkeypatch.setattr(virsh, "postcopy", lambda *_: self._do("postcopy"))
        monkeypatch.setattr(orphan_guard, "stop", lambda _: self._do("stop"))
        monkeypatch.setattr(net_devices, "received_packets", lambda _: self.tunnel.received)
        monkeypatch.setattr(processes, "runs_virsh_migrate", lambda _: False)
        monkeypatch.setattr(wrapper_files, "read_report", lambda _: self.report)
        action: Any = SimpleNamespace(domain="one-1", source="node-a", destination="node-b", shared=True)
        node: Any = SimpleNamespace(uri="qemu:///system", kvmrc={})
        tunnel: Any = self.tunnel
        self.migration = Migration(action, Settings(no_progress=60, dead_tunnel=15), tunnel, node)
        self.migration._report = self.report
        self.watchdog = Watchdog(60, 15)

    def _do(self, what: str) -> bool:
        self.did.append(what)
        if what == "stop":
            self.lives = 0
        return True

    def observe(self, seconds: int) -> None:
        """Look once a second, for so long."""
        for _ in range(seconds):
            self.clock.sleep(1)
            self.migration._observe(self.watchdog, 77)

    @property
    def pid(self) -> int:
        """Be a process."""
        return 77

    def wait(self, seconds: float) -> None:
        """Wait for the process, which lives until it is stopped or its time is over."""
        if self.clock.now >= self.lives:
            return
        self.clock.sleep(seconds)
        raise subprocess.TimeoutExpired("migrate", seconds)

    def watch(self) -> None:
        """Watch it to its end."""
        process: Any = self
        self.migration._watch(process)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a migration that has just begun."""
    return Scene(monkeypatch)


@pytest.mark.parametrize(
    ("answering", "received", "processed", "stopped"),
    [
        (True, 0, 0, ""),
        (False, 1, 0, ""),  # the stream's own packets
        (False, 0, 0, "nothing came through the tunnel for 15 s"),
        (True, 0, None, "no progress for 60 s"),
    ],
)
def test_what_moves_is_a_sign_of_life(
    scene: Scene, answering: bool, received: int, processed: int | None, stopped: str
) -> None:
    """A good migration that is ended starts from the beginning; a dead one that is not hangs for ever."""
    scene.tunnel.answering = answering
    for second in range(100):
        scene.tunnel.received += received
        scene.job = Job(active=True, processed=second if processed is not None else 7, remaining=1)
        scene.observe(1)
    assert scene.migration._stopped == stopped
    assert scene.tunnel.kept_alive == 100, "the far end takes a silent driver's host for dead"


def test_progress_of_either_figure_counts(scene: Scene) -> None:
    """A VM that writes as fast as it is copied still moves."""
    for second in range(100):
        scene.job = Job(active=True, processed=7, remaining=second)
        scene.observe(1)
    assert scene.migration._stopped == ""


def test_B5_a_virsh_that_hangs_before_its_job(scene: Scene) -> None:
    """The destination's libvirt was frozen; where virsh was not called yet, OpenNebula copies disks."""
    scene.observe(100)
    assert scene.migration._stopped == "no migration job for 60 s"
    scene.migration._stopped = ""
    scene.migration._report = Report()
    scene.observe(100)
    assert scene.migration._stopped == ""


def test_after_the_job_OpenNebula_has_time(scene: Scene) -> None:
    """Its script copies snapshots and cleans up: there is no job then, and nothing hangs."""
    scene.job = Job(active=True, processed=1)
    scene.observe(1)
    scene.job = Job(active=False)
    scene.observe(100)
    assert scene.migration._stopped == ""


def test_the_most_that_was_seen_is_remembered(scene: Scene) -> None:
    """After post-copy libvirt has no figures: what the VM took is known from before only."""
    for job in (Job(True, 5), Job(True, 9), Job(True, None), Job(True, 3), None):
        scene.job = job
        scene.observe(1)
    assert scene.migration._processed == 9


@pytest.mark.parametrize("gone", ["near", "far", "silent"])
@pytest.mark.parametrize("broken", [False, True])
def test_a_tunnel_that_breaks_is_repaired(
    scene: Scene, capfd: pytest.CaptureFixture[str], gone: str, broken: bool
) -> None:
    """Within seconds: the migration goes on, and where the repair fails the reason is in the log."""
    scene.job, scene.tunnel.broken = Job(active=True, elapsed=10**6), broken
    scene.tunnel.answering = gone != "silent"
    scene.observe(1)
    assert scene.tunnel.repaired == 0
    scene.tunnel.near.gone, scene.tunnel.far.gone = gone == "near", gone == "far"
    scene.observe(1 if gone != "silent" else 5)
    assert scene.tunnel.repaired == 1
    why = "nothing came through the tunnel for 5 s" if gone == "silent" else "an end of the tunnel is gone"
    assert (f"{why}; it cannot be repaired: node-b: no route" in capfd.readouterr().err) == broken


@pytest.mark.parametrize(
    ("active", "called", "refuse", "did"),
    [
        (True, False, True, ["abort", "stop"]),
        (True, False, False, []),
        (False, False, True, []),
        (True, True, True, []),
    ],
)
def test_B1_a_job_that_the_wrapper_did_not_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, active: bool, called: bool, refuse: bool, did: list[str]
) -> None:
    """It is beside the tunnel, and its memory in clear."""
    scene.job = Job(active=active)
    scene.migration._report = Report(called=called)
    monkeypatch.setattr(scene.migration, "_settings", Settings(require=refuse))
    scene.observe(1)
    assert scene.did == did


@pytest.mark.parametrize(("after", "asked"), [(0, 0), (3, 1)])
def test_post_copy_begins_when_it_is_due(scene: Scene, after: int, asked: int) -> None:
    """Once, and only where it is set: a VM that never comes to an end otherwise."""
    scene.migration._postcopy_after = after
    for elapsed in (1000, 2999, 3000, 4000):
        scene.job = Job(active=True, processed=elapsed, elapsed=elapsed)
        scene.observe(1)
    assert scene.did == ["postcopy"] * asked


@pytest.mark.parametrize(
    ("before", "report", "left"),
    [
        (Report(), Report(called=True, postcopy=True), 3),
        (Report(), Report(called=True, postcopy=False), 0),  # it was dropped: libvirt would refuse
        (Report(), Report(), 3),
    ],
)
def test_post_copy_only_where_the_command_allows_it(
    scene: Scene, before: Report, report: Report, left: int
) -> None:
    """A request that libvirt refuses each second until the end."""
    scene.migration._report, scene.report, scene.migration._postcopy_after = before, report, 3
    scene.migration._read_report()
    assert scene.migration._postcopy_after == left


def test_each_note_of_the_wrapper_is_logged_once(scene: Scene, capfd: pytest.CaptureFixture[str]) -> None:
    """What was dropped from the command, in the VM's log."""
    scene.migration._report = Report()
    for notes in (("a",), ("a",), ("a", "b")):
        scene.report = Report(called=True, notes=notes)
        scene.migration._read_report()
    assert capfd.readouterr().err == "WARNING: migrate: a\nWARNING: migrate: b\n"


@pytest.mark.parametrize(("seen", "seconds"), [(True, 60), (False, 5)])
def test_what_does_not_end_when_it_is_told_is_ended(scene: Scene, seen: bool, seconds: int) -> None:
    """After an abort OpenNebula cleans up, for a minute at most; without a job there is nothing to clean."""
    scene.migration._stopped, scene.migration._seen_job = "why", seen
    scene.job = Job(active=False)
    scene.watch()
    assert scene.did == ["stop"]
    assert seconds <= scene.clock.now < seconds + 1


def test_the_end_of_the_script_is_noticed_soon(scene: Scene) -> None:
    """A migration of a second must not take two."""
    scene.lives = 3
    scene.watch()
    assert scene.clock.now == 3
    assert 2 <= scene.tunnel.kept_alive <= 3, "it looks once a second"


@pytest.mark.parametrize(
    ("called", "refuse", "least"), [(False, True, 20), (True, True, 4), (False, False, 4)]
)
def test_B1_before_the_wrapper_is_called_it_looks_more_often(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, called: bool, refuse: bool, least: int
) -> None:
    """What a virsh beside the tunnel sends until it is seen is in clear."""
    looked: list[int] = []
    scene.migration._report = scene.report = Report(called=called)
    monkeypatch.setattr(scene.migration, "_settings", Settings(require=refuse))
    monkeypatch.setattr(scene.migration, "_check_wrapper", looked.append)
    scene.lives = 1
    scene.watch()
    assert len(looked) == least


def test_told_to_end(scene: Scene) -> None:
    """Stopping the driver stops the migration, and nobody waits for a VM that stays."""
    scene.job = Job(active=True)
    scene.migration._tell_to_end()
    scene.watch()
    assert scene.migration._stopped == "the driver was terminated"
    assert scene.did[0] == "abort"
    assert scene.did[-1] == "stop"


def test_the_first_reason_is_kept(scene: Scene, capfd: pytest.CaptureFixture[str]) -> None:
    """What follows from it would be looked for instead."""
    scene.migration._stop("the first")
    scene.migration._stop("the second")
    assert scene.migration._stopped == "the first"
    assert capfd.readouterr().err.count("ERROR") == 1
