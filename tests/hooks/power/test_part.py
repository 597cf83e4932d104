"""What a round remembers and tells, cluster by cluster."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hooks.power import part, power_readings
from hooks.power.decide import Decision, Memory, decide
from hooks.power.part import Look
from hooks.power.policy import Policy
from hooks.power.round_state import RoundState
from onext.hosts.actions.actuator import Event
from onext.hosts.bmc import client
from onext.hosts.model import Cluster, Kind, Vm
from onext.hosts.placement.problem import Size
from onext.part import Context, Key
from onext.paths import Paths
from onext.settings import Settings
from onext.xml import Element, parse

NOW = 1_800_000_000.0
POLICY = Policy(vm_wait_timeout=60.0)


def look(*numbers: int) -> Look:
    """Return a cluster without hosts where these VMs have waited for too long."""
    vms = tuple(Vm(n, f"vm-{n}", Size(100, 1), Kind.PENDING, since=NOW - 900) for n in numbers)
    cluster = Cluster(100, "alpha", (), vms)
    decision: Decision = decide(cluster, POLICY, NOW, Memory())
    assert set(decision.stuck) == set(numbers)
    return Look(cluster, POLICY, decision)


def test_each_cluster_takes_back_its_own_reasons_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With two clusters a tenant's reason came and went each minute, and with it the alarm."""
    written: list[tuple[int, str | None]] = []
    told: list[Event] = []
    monkeypatch.setattr(part, "_update_vm", lambda _context, vm, reason: written.append((vm, reason)))
    context = Context(Paths.self_contained(tmp_path), Settings(), lambda: NOW)
    known: dict[int, set[int]] = {100: set(), 101: set()}
    rounds: list[Any] = [(100, look(7)), (101, look(8)), (100, look(7)), (101, look(8)), (100, look())]
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

    def host(name: str, cluster: int, claim: str) -> Element:
        state = f"<ONEXT_POWER_STATE>{claim}</ONEXT_POWER_STATE>" if claim else ""
        text = (
            f"<HOST><NAME>{name}</NAME><CLUSTER_ID>{cluster}</CLUSTER_ID><TEMPLATE>{state}</TEMPLATE></HOST>"
        )
        return parse(text)

    phase = "<PHASE><![CDATA[OFF]]></PHASE>"
    hosts = [host("a", 100, phase), host("b", 101, phase), host("c", 101, ""), host("d", 102, phase)]
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
    found = look()

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
