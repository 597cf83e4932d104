"""What a round remembers and tells, cluster by cluster."""

import errno
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hooks.power import part, power_readings
from hooks.power.after_round import MOST_PROBLEMS, report_problems
from hooks.power.decide import Decision, Memory, decide
from hooks.power.part import Assessment
from hooks.power.policy import Policy
from hooks.power.round_state import RoundState
from onext import atomic
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.hosts.actions.actuator import Event
from onext.hosts.bmc import client
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.model import Cluster, Kind, Vm
from onext.hosts.placement.problem import Size
from onext.oned.errors import Unreachable
from onext.part import Busy, Context, Key
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.power import Power

NOW = 1_800_000_000.0
POLICY = Policy(vm_wait_timeout=60.0)


def assessed(*numbers: int) -> Assessment:
    """Return a cluster without hosts where these VMs have waited for too long."""
    vms = tuple(Vm(n, f"vm-{n}", Size(100, 1), Kind.PENDING, since=NOW - 900) for n in numbers)
    cluster = Cluster(100, "alpha", (), vms)
    decision: Decision = decide(cluster, POLICY, NOW, Memory())
    assert set(decision.stuck) == set(numbers)
    return Assessment(cluster, POLICY, decision)


def test_each_cluster_takes_back_its_own_reasons_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With two clusters a tenant's reason came and went each minute, and with it the alarm."""
    written: list[tuple[int, str | None]] = []
    told: list[Event] = []
    monkeypatch.setattr(part, "_update_vm", lambda _context, vm, reason: written.append((vm, reason)))
    context = Context(Paths.self_contained(tmp_path), Settings(), lambda: NOW)
    known: dict[int, set[int]] = {100: set(), 101: set()}
    rounds: list[Any] = [
        (100, assessed(7)),
        (101, assessed(8)),
        (100, assessed(7)),
        (101, assessed(8)),
        (100, assessed()),
    ]
    for cluster, found in rounds:
        part._tell_waiting(context, replace(found), known[cluster], told.append)
    reason = "its size or requirements fit on no host that is on or may be woken"
    assert written == [(7, reason), (8, reason), (7, None)]
    assert [(event.host, event.name, event.alarming) for event in told] == [
        (7, "vm-7", True),
        (8, "vm-8", True),
    ]


def test_hosts_that_were_left_behind() -> None:
    """A cluster taken out of the settings keeps its hosts off for ever, and nobody sees why."""
    claim = {"ONEXT_POWER_STATE": {"PHASE": "OFF"}}
    hosts = [
        Host(1, "a", cluster_id=100, template=claim),
        Host(2, "b", cluster_id=101, template=claim),
        Host(3, "c", cluster_id=101),
        Host(4, "d", cluster_id=102, template=claim),
    ]
    assert part.left_behind(hosts, [100]) == ["b", "d"]
    assert part.left_behind(hosts, []) == ["a", "b", "d"]
    assert part.left_behind(hosts, [100, 101, 102]) == []


def test_C4_a_cluster_that_left_the_settings_leaves_the_metrics(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its last figures and ledger went on until the worker's restart, as if power still looked after it."""
    state = RoundState()
    monkeypatch.setattr(part, "_state", state)
    monkeypatch.setattr(part, "book", lambda _context: None)
    monkeypatch.setattr(part, "snapshot", lambda *_: SimpleNamespace(readings={}))
    monkeypatch.setattr(power_readings, "read", lambda *_: None)
    found = assessed()

    def run(_context: Context, _entries: object, _seen: object, cluster: int, _state: RoundState) -> str:
        state.seen[cluster] = (replace(found.cluster, id=cluster), POLICY, found.decision, NOW)
        return "looked at"

    monkeypatch.setattr(part, "run", run)
    paths = Paths.self_contained(tmp_path)

    def after(clusters: list[int]) -> set[str]:
        settings = Settings.model_validate({"power": {"clusters": clusters}})
        part.reconcile(Context(paths, settings, lambda: NOW), [Key("power", "pool", 0)])
        file = paths.metrics / "power.prom"
        return set(re.findall(r'cluster="(\d+)"', file.read_text())) if file.exists() else set()

    assert after([100, 101]) == {"100", "101"}
    assert after([101]) == {"101"}
    assert after([]) == set()
    assert not (paths.metrics / "power.prom").exists()
    assert state.seen == {}


def test_E1_doctor_asks_each_bmc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` was content with a file that can be read, while no host could be switched."""
    context = Context(Paths.self_contained(tmp_path), Settings(), lambda: NOW)
    context.paths.own_etc.mkdir(parents=True)
    file = context.paths.own_etc / "bmc.yaml"
    file.write_text("7: {kind: ipmi, address: 192.0.2.7, user: onext, password: s3cret, serial: A1}\n")
    file.chmod(0o600)
    failed = {"seconds": 1.0, "error": "WrongPassword", "reason": "it rejects this user and password"}
    monkeypatch.setattr(client, "ask", lambda jobs, _: {job.id: failed for job in jobs})
    checks = list(part._bmcs(context))
    assert [(check.name, check.level) for check in checks] == [
        ("bmc.yaml", "ok"),
        ("BMCs", "warn"),
        ("BMC of host 7", "fail"),
    ]
    assert checks[2].message == "login: it rejects this user and password"
    file.write_text("7: {kind: ipmi}\n")
    assert [(check.name, check.level) for check in part._bmcs(context)] == [("bmc.yaml", "fail")]


class Rounds:
    """The parts of a round that are not its decision, played: what is read, and one cluster's turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.turns: list[int] = []
        self.fails: dict[int, Exception] = {}
        self.state = RoundState()
        self.paths = Paths.self_contained(folder)
        monkeypatch.setattr(part, "_state", self.state)
        monkeypatch.setattr(part, "book", lambda _: BmcConfig(folder / "bmc.yaml"))
        monkeypatch.setattr(part, "snapshot", lambda *_: Snapshot(Cloud.of()))
        monkeypatch.setattr(part, "run", self.run)
        monkeypatch.setattr(power_readings, "read", lambda *_: None)

    def run(self, context: Context, _entries: object, _seen: object, cluster: int, state: RoundState) -> str:
        self.turns.append(cluster)
        if cluster in self.fails:
            raise self.fails[cluster]
        found = assessed()
        state.seen[cluster] = (
            replace(found.cluster, id=cluster),
            found.policy,
            found.decision,
            context.now(),
        )
        return f"{cluster} done"

    def reconcile(self, *clusters: int) -> str:
        context = Context(self.paths, Settings(power=Power(clusters=clusters)), lambda: NOW)
        return part.reconcile(context, list(part.sweep(context)))

    def figures(self) -> str:
        file = self.paths.metrics / "power.prom"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rounds:
    return Rounds(monkeypatch, tmp_path)


def test_S3_a_cluster_whose_round_fails_keeps_no_other_from_its_turn(
    rounds: Rounds, caplog: pytest.LogCaptureFixture
) -> None:
    """One tenant in one cluster would stop power management of all, and fill the log."""
    rounds.fails[100] = RecursionError("too deep")
    for _ in range(3):
        said = rounds.reconcile(100, 101)
    assert rounds.turns == [100, 101] * 3
    assert "cluster 100: the round failed: RecursionError: too deep" in said
    assert "101 done" in said
    assert [record.message for record in caplog.records if "cluster 100" in record.message] == [
        "cluster 100: the round failed: RecursionError: too deep"
    ]
    assert 'cluster="101"' in rounds.figures()


def test_an_oned_that_is_gone_ends_the_round(rounds: Rounds) -> None:
    """Each further cluster would wait for the same time-out."""
    rounds.fails[100] = Unreachable("refused")
    with pytest.raises(Unreachable):
        rounds.reconcile(100, 101)
    assert rounds.turns == [100]


def test_C4_a_cluster_taken_out_of_the_settings_leaves_metrics_and_ledger(rounds: Rounds) -> None:
    """Its figures never changed again, and its ledger grew."""
    rounds.reconcile(100, 101)
    rounds.reconcile(101)
    assert 'cluster="101"' in rounds.figures()
    assert 'cluster="100"' not in rounds.figures()
    assert set(rounds.state.seen) == {101}
    rounds.reconcile()
    assert "cluster=" not in rounds.figures()
    assert rounds.state.seen == {}


def test_C2_a_full_disk_ends_no_round_and_is_reported_once(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Hosts that are needed would stay off because a file that can be made again was not written."""

    def full(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device", "power.json")

    monkeypatch.setattr(atomic, "write", full)
    for _ in range(3):
        assert rounds.reconcile(100) == "100 done"
    warnings = [record.message for record in caplog.records if "not written" in record.message]
    assert warnings == ["memory of power: power.json is not written: No space left on device"]
    monkeypatch.undo()


def test_C3_the_lock_of_power_is_private_and_a_busy_one_is_no_failure(tmp_path: Path) -> None:
    """Any local user could stop power; an enrolment drove the worker into minutes of back-off."""
    context = Context(Paths.self_contained(tmp_path), Settings(), lambda: NOW)
    with (
        part.alone(context),
        pytest.raises(Busy, match="another round or order of power is under way"),
        part.alone(context),
    ):
        pass
    assert (context.paths.state / "power.lock").stat().st_mode & 0o777 == 0o600


def test_C7_problems_are_logged_when_they_are_new_and_a_few_at_a_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Tenants could fill the log with VMs that cannot be read."""
    state = RoundState()
    many = tuple(f"VM {number}: its state is not known" for number in range(50))
    for problems in (many[:1], many[:1], many, many, (*many, "host 1: x")):
        report_problems(Cluster(100, "alpha", (), (), problems=problems), state)
    lines = [record.message for record in caplog.records]
    assert len(lines) == 1 + MOST_PROBLEMS + 1 + 1
    assert lines[-1] == "cluster 100: host 1: x"
