"""What happens on the source when its driver was killed."""

import os
import signal

import pytest

from drivers.vmm.migrate.onext_migrate import orphan_guard, virsh
from drivers.vmm.migrate.onext_migrate.virsh import Job, State
from tests.drivers.vmm.migrate.clock import Clock

RUNNING, POSTCOPY = State("running", ""), State("paused", "post-copy")


def guarded(
    monkeypatch: pytest.MonkeyPatch, states: list[State], job: Job | None, until: float
) -> tuple[list[str], float]:
    """Guard a group whose job never heeds an abort, for so long; return what was done, and how long it took."""
    clock, did = Clock(), list[str]()
    monkeypatch.setattr(orphan_guard, "time", clock)
    monkeypatch.setattr(orphan_guard, "alive", lambda _: "stop" not in did and clock.now < until)
    monkeypatch.setattr(orphan_guard, "stop", lambda _: did.append("stop"))
    monkeypatch.setattr(virsh, "state", lambda *_: states.pop(0) if len(states) > 1 else states[0])
    monkeypatch.setattr(virsh, "job", lambda *_: job)
    monkeypatch.setattr(virsh, "abort", lambda *_: did.append("abort"))
    orphan_guard.guard(1, "one-1")
    return did, clock.now


@pytest.mark.parametrize("job", [Job(active=True), Job(active=False), None])
def test_an_end_by_force(monkeypatch: pytest.MonkeyPatch, job: Job | None) -> None:
    """A libvirt that hangs in a connect takes no abort: OpenNebula would wait for the driver's output for minutes."""
    did, took = guarded(monkeypatch, [RUNNING], job, 1000)
    assert (did[-1], took) == ("stop", 20)
    assert (100 < did.count("abort") < 400) if job and job.active else did == ["stop"]


def test_never_in_post_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the VM's memory is on either side: an end by force would be the VM's."""
    assert guarded(monkeypatch, [POSTCOPY], Job(active=True), 1000) == ([], 1000)


def test_post_copy_gives_new_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clean-up after it must not be cut short."""
    states = [POSTCOPY] * 200 + [RUNNING]
    assert guarded(monkeypatch, states, None, 1000) == (["stop"], 99.5 + 20)


def group_of(
    monkeypatch: pytest.MonkeyPatch, answers: dict[int, type[OSError] | None]
) -> tuple[list[int], Clock]:
    """Let signals to a process group fail as told; return those that are sent, without probes, and a clock."""
    sent: list[int] = []
    clock = Clock()
    monkeypatch.setattr(orphan_guard, "time", clock)

    def killpg(_: int, number: int) -> None:
        sent.extend([number] if number else [])
        if (error := answers.get(number)) is not None:
            raise error

    monkeypatch.setattr(os, "killpg", killpg)
    return sent, clock


def test_a_group_that_heeds_no_request_is_ended_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hung virsh would go on with a migration that OpenNebula has reported as failed."""
    sent, clock = group_of(monkeypatch, {})
    orphan_guard.stop(7)
    assert sent == [signal.SIGTERM, signal.SIGKILL]
    assert clock.now == 3 + 3, "it has time to end by itself"


def test_a_group_that_is_gone_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard would wait for processes that do not exist, or end others under the same number."""
    sent, _ = group_of(monkeypatch, {signal.SIGTERM: ProcessLookupError})
    orphan_guard.stop(7)
    assert sent == [signal.SIGTERM]


@pytest.mark.parametrize(
    ("error", "lives"), [(None, True), (PermissionError, True), (ProcessLookupError, False)]
)
def test_a_process_of_another_user_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError] | None, lives: bool
) -> None:
    """A virsh below sudo is root's: it would be taken for ended while it migrates."""
    group_of(monkeypatch, {0: error})
    assert orphan_guard.alive(7) is lives
