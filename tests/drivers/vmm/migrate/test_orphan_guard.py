"""What happens on the source when its driver was killed."""

import pytest

from drivers.vmm.migrate.onext_migrate import orphan_guard, virsh
from drivers.vmm.migrate.onext_migrate.virsh import Job, State

RUNNING, POSTCOPY = State("running", ""), State("paused", "post-copy")


class Clock:
    """A clock that moves only during a wait."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def guarded(monkeypatch: pytest.MonkeyPatch, states: list[State], job: Job | None, until: float) -> list[str]:
    """Guard a group whose job never heeds an abort, for so long; return what was done in the end."""
    clock, did = Clock(), list[str]()
    monkeypatch.setattr(orphan_guard, "time", clock)
    monkeypatch.setattr(orphan_guard, "alive", lambda _: "stop" not in did and clock.now < until)
    monkeypatch.setattr(orphan_guard, "stop", lambda _: did.append("stop"))
    monkeypatch.setattr(virsh, "state", lambda *_: states.pop(0) if len(states) > 1 else states[0])
    monkeypatch.setattr(virsh, "job", lambda *_: job)
    monkeypatch.setattr(virsh, "abort", lambda *_: did.append("abort"))
    orphan_guard.guard(1, "one-1")
    return did


@pytest.mark.parametrize("job", [Job(active=True), Job(active=False), None])
def test_an_end_by_force(monkeypatch: pytest.MonkeyPatch, job: Job | None) -> None:
    """A libvirt that hangs in a connect takes no abort: OpenNebula would wait for the driver's output for minutes."""
    did = guarded(monkeypatch, [RUNNING], job, 1000)
    assert did[-1] == "stop"
    assert ("abort" in did) == bool(job and job.active)


def test_never_in_post_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the VM's memory is on either side: an end by force would be the VM's."""
    assert guarded(monkeypatch, [POSTCOPY], Job(active=True), 1000) == []


def test_post_copy_gives_new_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clean-up after it must not be cut short."""
    states = [POSTCOPY] * 200 + [RUNNING]
    assert guarded(monkeypatch, states, None, 110) == []
