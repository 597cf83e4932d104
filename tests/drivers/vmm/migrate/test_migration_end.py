"""The end of a migration: where the VM is, what is done about it, and what the VM's log has of it."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.vmm.migrate.onext_migrate import migration as module
from drivers.vmm.migrate.onext_migrate import net_devices, orphan_guard, outcome, virsh, wrapper_files
from drivers.vmm.migrate.onext_migrate.errors import TunnelError
from drivers.vmm.migrate.onext_migrate.migration import Migration
from drivers.vmm.migrate.onext_migrate.settings import Settings
from drivers.vmm.migrate.onext_migrate.virsh import Job, State
from drivers.vmm.migrate.onext_migrate.wrapper_files import Report
from tests.drivers.vmm.migrate.clock import Clock

RUNNING, ABSENT, SILENT = State("running", ""), State("absent", ""), State("unknown", "time-out")
PAUSED, POSTCOPY = State("paused", "migrating"), State("paused", "post-copy")
SUSPENDED = State("paused", "user")


class End:
    """An end of the tunnel that answers from a table, or not at all."""

    def __init__(self, answers: "dict[str, dict[str, object]] | None" = None) -> None:
        self.answers, self.asked = answers, list[Any]()

    def ask(self, message: "dict[str, object]", _seconds: float = 20.0) -> "dict[str, object]":
        """Remember what was asked, and answer."""
        self.asked.append(message)
        if self.answers is None:
            raise TunnelError("gone")
        return dict(self.answers.get(str(message.get("ask")), {}))

    def send(self, message: "dict[str, object]") -> None:
        """Keep the answer for `receive`."""
        self._next = self.ask(message)

    def receive(self, _seconds: float) -> "dict[str, object]":
        """Return what was asked for last."""
        return self._next


def answer(state: State) -> "dict[str, dict[str, object]]":
    """Return the answers of a far end where the VM is so."""
    return {"state": {"name": state.name, "reason": state.reason}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let nothing take time but waits."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is done to the VM on the source."""
    did: list[str] = []
    monkeypatch.setattr(virsh, "resume", lambda *_: did.append("resume here"))
    monkeypatch.setattr(virsh, "destroy", lambda *_: did.append("remove here"))
    return did


@pytest.fixture
def migration() -> Migration:
    """Return a migration of one-1 whose VM's memory went through a tunnel of two played ends."""
    action: Any = SimpleNamespace(domain="one-1", source="node-a", destination="node-b", shared=False)
    tunnel: Any = SimpleNamespace(name="oxt0", near=End({}), far=End({}))
    node: Any = SimpleNamespace(uri="qemu:///system", kvmrc={})
    migration = Migration(action, Settings(), tunnel, node)
    migration._report = Report(called=True, snapshots=False)
    return migration


@pytest.mark.parametrize(
    ("first", "then", "remedy", "code"),
    [
        ((ABSENT, RUNNING), None, "", 0),
        ((RUNNING, ABSENT), None, "", 1),
        ((SUSPENDED._replace(reason="migrating"), ABSENT), (RUNNING, ABSENT), "resume here", 1),
        ((PAUSED, RUNNING), (ABSENT, RUNNING), "remove here", 0),
        ((ABSENT, SUSPENDED), (ABSENT, RUNNING), "resume there", 0),
    ],
)
def test_what_is_half_done_is_finished(
    migration: Migration,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    did: list[str],
    first: tuple[State, State],
    then: tuple[State, State] | None,
    remedy: str,
    code: int,
) -> None:
    """A VM that stays paused, or is left on both hosts, is lost to its owner until somebody looks."""
    states = [first, then] if then else [first]
    monkeypatch.setattr(migration, "_states", lambda: states.pop(0))
    assert migration._settle(1).exit_code == code
    resumed = [one["do"] + " there" for one in migration._tunnel.far.asked]  # type: ignore[attr-defined]
    assert did + resumed == ([remedy] if remedy else [])
    assert clock.now < 1


@pytest.mark.parametrize("snapshots", [True, None])
def test_A3_snapshots_that_may_be_on_the_source_only_keep_it(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, snapshots: bool | None
) -> None:
    """Exit code 0 has OpenNebula delete the source's folder; a wrapper that was killed told nothing of it."""
    monkeypatch.setattr(migration, "_states", lambda: (ABSENT, SUSPENDED))
    migration._report = Report(called=True, snapshots=snapshots)
    assert migration._settle(3).exit_code == 3


@pytest.mark.parametrize("unsettled", [(RUNNING, PAUSED), (ABSENT, SILENT)])
def test_an_answer_that_is_not_final_is_waited_for(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, clock: Clock, unsettled: tuple[State, State]
) -> None:
    """For half a minute: OpenNebula waits for the driver."""
    monkeypatch.setattr(migration, "_states", lambda: unsettled)
    assert migration._settle(0).remedy == outcome.ASK_AGAIN
    assert 30 <= clock.now < 31


@pytest.mark.parametrize("moving", [(POSTCOPY, RUNNING), (RUNNING, POSTCOPY)])
def test_post_copy_is_waited_for_without_an_end(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, clock: Clock, moving: tuple[State, State]
) -> None:
    """The VM's memory is on both hosts: "not migrated" would be false, and so would "migrated"."""
    states = [moving] * 300
    monkeypatch.setattr(migration, "_states", lambda: states.pop() if states else (ABSENT, RUNNING))
    assert migration._settle(0).exit_code == 0
    assert clock.now > 60


@pytest.mark.parametrize(
    ("far", "over_ssh", "found"),
    [
        (answer(RUNNING), SILENT, RUNNING),
        (answer(SILENT), RUNNING, RUNNING),  # its libvirt hung for the helper
        (None, RUNNING, RUNNING),
        (None, SILENT, SILENT),
    ],
)
def test_a_helper_that_is_gone_is_not_the_last_word(
    migration: Migration,
    monkeypatch: pytest.MonkeyPatch,
    far: "dict[str, dict[str, object]] | None",
    over_ssh: State,
    found: State,
) -> None:
    """Without an answer of the destination a VM that has arrived is reported as not migrated."""
    asked: list[str] = []
    migration._tunnel.far = End(far)  # type: ignore[assignment]

    def state(_domain: str, uri: str, *_: object) -> State:
        asked.append(uri)
        return over_ssh

    monkeypatch.setattr(virsh, "state", state)
    assert migration._state_there() == found
    assert asked == ([] if far == answer(RUNNING) else ["qemu+ssh://node-b/system"])


@pytest.mark.parametrize("far", [answer(RUNNING), None])
def test_both_hosts_are_asked(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, far: "dict[str, dict[str, object]] | None"
) -> None:
    """States of the two hosts that are mixed up turn the answer to OpenNebula round."""
    local = "qemu:///system"
    migration._tunnel.far = End(far)  # type: ignore[assignment]
    monkeypatch.setattr(virsh, "state", lambda _domain, uri, *_: ABSENT if uri == local else RUNNING)
    assert migration._states() == (ABSENT, RUNNING)


@pytest.mark.parametrize(
    ("code", "stock", "stopped", "expected"),
    [
        (0, 0, "", ""),
        (0, 3, "", "WARNING: migrate: it is there, though OpenNebula's own migrate ended with 3"),
        (1, 0, "", "ERROR: migrate: not migrated: it is there\n"),
        (
            1,
            1,
            "no progress for 60 s",
            "ERROR: migrate: not migrated: it is there: no progress for 60 s: refused",
        ),
    ],
)
def test_the_log_has_the_end_and_its_reasons(
    migration: Migration,
    capfd: pytest.CaptureFixture[str],
    code: int,
    stock: int,
    stopped: str,
    expected: str,
) -> None:
    """An error without its reason is a search through two hosts; one after a success is a false alarm."""
    migration._stopped = stopped
    migration._report = Report(called=True, refused="refused" if stopped else "")
    migration._log_outcome(stock, outcome.Outcome(code, "it is there"))
    said = capfd.readouterr().err
    assert expected in said
    assert bool(said) == bool(expected)


@pytest.mark.parametrize(
    ("job", "seen", "counters", "expected"),
    [
        ({"processed": 200}, 0, (1000, 1210), "0.0 MB of memory and disks went through"),
        ({"processed": 200_000_000}, 0, (1000, 1210), "BYPASS: 200.0 MB of the VM's 200.0 MB"),
        # after post-copy libvirt has no figures: what was seen last is the least
        ({}, 5_000_000, (0, 6_000_000), "at least 5.0 MB"),
        ({"processed": 200}, 0, (1000, 1000 - 1), "unknown"),  # the device was built anew
        ({"processed": 200}, 0, (None, 1000), "unknown"),
        ({"processed": 200}, 0, (1000, None), "unknown"),
        ({"processed": 200}, 0, (1000, 1000), "BYPASS"),
    ],
)
def test_B4_what_the_counters_tell(
    migration: Migration,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    job: dict[str, object],
    seen: int,
    counters: tuple[int | None, int | None],
    expected: str,
) -> None:
    """A stream beside the tunnel that is reported as protected, or a false alarm after each migration."""
    monkeypatch.setattr(net_devices, "sent_bytes", lambda _: counters[1])
    migration._tunnel.far = End({"job": {"active": False, "downtime": 34, **job}})  # type: ignore[assignment]
    migration._processed = seen
    migration._check_traffic(counters[0], 2.0)
    said = capfd.readouterr().err
    assert expected in said
    assert ("ERROR" in said) == ("BYPASS" in expected)
    assert "one-1 is on node-b after 2.0 s, down-time 34 ms" in said
    near: Any = migration._tunnel.near
    assert near.asked == [{"do": "account", "bytes": job.get("processed", seen)}]


@pytest.mark.parametrize(("job", "seen"), [({"processed": 7_000_000}, 0), ({}, 7_000_000)])
def test_B1_a_stream_that_never_met_the_wrapper_is_a_bypass(
    migration: Migration,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    job: dict[str, object],
    seen: int,
) -> None:
    """Others' bytes in a shared tunnel must not prove what was sent in clear."""
    monkeypatch.setattr(net_devices, "sent_bytes", lambda _: 10**12)
    migration._tunnel.far = End({"job": {"active": False, **job}})  # type: ignore[assignment]
    migration._report, migration._processed = Report(), seen
    migration._check_traffic(0, 2.0)
    assert "ERROR: migrate: BYPASS: 7.0 MB did not go through the tunnel" in capfd.readouterr().err


@pytest.mark.parametrize("far", [End(None), End({"job": {"figures": "of a newer helper"}})])
def test_figures_that_the_far_end_does_not_give_are_unknown(migration: Migration, far: Any) -> None:
    """The VM has arrived: a traceback would tell OpenNebula the contrary."""
    migration._tunnel.far = far
    assert migration._completed_job() == Job(active=False)


@pytest.mark.parametrize(("alive", "migrated"), [(False, True), (True, True), (False, False)])
def test_the_whole_run(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, alive: bool, migrated: bool
) -> None:
    """A virsh that outlives OpenNebula's script is waited for, and only what has arrived is accounted for."""
    did: list[str] = []
    process: Any = SimpleNamespace(pid=77, returncode=4)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(migration, "_obstacle", lambda: False)
    monkeypatch.setattr(migration, "_start", lambda: process)
    monkeypatch.setattr(migration, "_watch", lambda _: did.append("watch"))
    monkeypatch.setattr(orphan_guard, "alive", lambda group: alive and group == 77)
    monkeypatch.setattr(orphan_guard, "guard", lambda *_: did.append("guard"))
    monkeypatch.setattr(migration, "_settle", lambda stock: outcome.Outcome(0 if migrated else stock, ""))
    monkeypatch.setattr(migration, "_check_traffic", lambda *_: did.append("check"))
    monkeypatch.setattr(wrapper_files, "remove", lambda _: did.append("remove"))
    assert migration.run() == (0 if migrated else 4)
    assert did == ["watch", *["guard"] * alive, "remove", *["check"] * migrated]


def test_nothing_is_started_where_the_destination_has_such_a_vm(
    migration: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenNebula's script would destroy a VM of this name on the destination."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(migration, "_state_there", lambda: RUNNING)
    monkeypatch.setattr(migration, "_start", lambda: pytest.fail("it was started"))
    assert migration.run() == 1
