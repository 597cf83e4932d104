"""What the worker, `onext status` and `onext doctor` hear of the part."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.targets import files, part
from hooks.targets.decide import Decision, Refusal, Target
from hooks.targets.inventory import Inventory
from hooks.targets.log_limit import NewLines
from onext import metrics, results
from onext.part import Context, Key, Retry
from onext.paths import Paths
from onext.results import Result, Results
from onext.settings import Settings
from onext.settings.targets import Targets

DECISION = Decision(("vms", "hosts-x"), (Target("vms", "a:1", {}),), (Refusal(1, "n", 0, "why"),))


def context(root: Path, user: str) -> Context:
    paths = Paths.self_contained(root)
    return Context(paths, Settings(targets=Targets(prometheus_user=user)))


def test_one_pass_for_any_key(tmp_path: Path) -> None:
    """A storm of events costs one pass; each server of the zone writes its own files."""
    assert part.PART.whole_pool
    assert not part.PART.leader_only
    assert list(part.sweep(context(tmp_path, "root"))) == [Key("targets", "pool", 0)]


def test_figures() -> None:
    """Somebody must see that targets are refused without asking."""
    found = Inventory(unreadable=1, unprotected=("b", "c"))
    text = metrics.render(part.figures(found, DECISION, 1234.0))
    assert 'onext_targets{file="vms"} 1.0\n' in text
    assert 'onext_targets{file="hosts-x"} 0.0\n' in text
    assert "onext_targets_refused 1.0\n" in text
    assert "onext_targets_unreadable 1.0\n" in text
    assert "onext_targets_unprotected 2.0\n" in text
    assert "onext_targets_last_pass_timestamp_seconds 1234.0\n" in text


def test_doctor_says_whether_prometheus_can_read(tmp_path: Path) -> None:
    """Files that Prometheus cannot read are targets that nobody scrapes, and no error anywhere."""
    me = context(tmp_path, "root")
    _, missing = part.checks(me)
    assert (missing.level, "does not exist" in missing.message) == ("warn", True)
    files.write(me.paths.targets, DECISION, tmp_path / "lock")
    _, found = part.checks(me)
    assert found.level == "ok"
    _, unknown = part.checks(context(tmp_path, "no-such-user"))
    assert (unknown.level, "no user" in unknown.message) == ("warn", True)
    (me.paths.targets / "vms.json").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pwd, "getpwnam", lambda _: pwd.struct_passwd(("n", "x", 65534, 65534, "", "/", "")))
        patch.setattr(os, "getgrouplist", lambda *_: [65534])
        _, hidden = part.checks(me)
    assert (hidden.level, "cannot be read" in hidden.message) == ("warn", True)


@pytest.mark.parametrize(
    ("last", "level", "word"),
    [
        (None, "warn", "no pass yet"),
        (Result(1000.0, 2.0, ok=True, message="9 targets"), "ok", "9 targets"),
        (Result(700.0, 0.0, ok=True, message=""), "ok", "300 s ago"),
        (Result(699.0, 0.0, ok=True, message=""), "fail", "overdue: the last one ended 301 s ago"),
        (Result(690.0, 20.0, ok=True, message=""), "ok", "290 s ago"),
        (Result(1000.0, 2.0, ok=False, message="the lock is held"), "fail", "the lock is held"),
    ],
)
def test_S7_a_pass_that_is_overdue_is_seen(
    tmp_path: Path, last: Result | None, level: str, word: str
) -> None:
    """Targets would be frozen while doctor reports that all is well."""
    me = replace(context(tmp_path, "root"), now=lambda: 1000.0)
    if last is not None:
        me.paths.state.mkdir(parents=True)
        kept = Results(me.paths.state / results.FILE)
        kept.record(Key(part.NAME, "pool", 0), last)
        kept.save(force=True)
    found = next(part.checks(me))
    assert (found.name, found.level, word in found.message) == ("last pass", level, True)


def planned(monkeypatch: pytest.MonkeyPatch, found: Inventory, decision: Decision) -> None:
    monkeypatch.setattr(part, "plan", lambda _: (found, decision))
    monkeypatch.setattr(part, "_new_lines", NewLines())


def test_C2_figures_that_cannot_be_written_cost_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full /run would keep targets from being written."""
    me = context(tmp_path, "root")
    me.paths.run.parent.mkdir(parents=True)
    me.paths.run.touch()
    planned(monkeypatch, Inventory(unprotected=("node-a1",)), DECISION)
    with caplog.at_level("INFO"):
        assert part.reconcile(me, [Key(part.NAME, "pool", 0)]) == "1 targets, 1 refused, 2 files changed"
    assert (me.paths.targets / "vms.json").read_bytes() == b'[{"labels": {}, "targets": ["a:1"]}]\n'
    assert [record.message for record in caplog.records] == [
        "no VM is scraped while the addresses of node-a1 are unknown",
        "VM 1 (n): refused: why",
        f"{me.paths.metrics}/targets.prom: the metrics of targets cannot be written: Not a directory",
    ]


@pytest.mark.parametrize("blocked", ["lock", "folder"])
def test_C2_a_pass_that_cannot_write_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    """The worker would end, or call the pass a success."""
    me = context(tmp_path, "root")
    planned(monkeypatch, Inventory(), DECISION)
    monkeypatch.setattr(files, "PATIENCE", 0.0)
    if blocked == "folder":
        me.paths.targets.parent.mkdir(parents=True)
        me.paths.targets.touch()
    else:
        me.paths.state.mkdir(parents=True)
        (me.paths.state / part.LOCK).mkdir()
    with pytest.raises(Retry, match=r"targets"):
        part.reconcile(me, [])
