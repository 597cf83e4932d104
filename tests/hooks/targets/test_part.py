"""What the worker, `onext status` and `onext doctor` hear of the part."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from hooks.targets import files, part
from hooks.targets.decide import Decision, Refusal, Target
from onext import metrics
from onext.part import Context, Key
from onext.paths import Paths
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
    assert list(part.sweep(context(tmp_path, "root"))) == [Key("prometheus", "pool", 0)]


def test_figures() -> None:
    """Somebody must see that targets are refused without asking."""
    text = metrics.render(part.figures(DECISION))
    assert 'onext_targets{file="vms"} 1.0\n' in text
    assert 'onext_targets{file="hosts-x"} 0.0\n' in text
    assert "onext_targets_refused 1.0\n" in text


def test_doctor_says_whether_prometheus_can_read(tmp_path: Path) -> None:
    """Files that Prometheus cannot read are targets that nobody scrapes, and no error anywhere."""
    me = context(tmp_path, "root")
    (missing,) = part.checks(me)
    assert (missing.level, "not there" in missing.message) == ("warn", True)
    files.write(me.paths.targets, DECISION)
    (found,) = part.checks(me)
    assert found.level == "ok"
    (unknown,) = part.checks(context(tmp_path, "no-such-user"))
    assert (unknown.level, "no user" in unknown.message) == ("warn", True)
    (me.paths.targets / "vms.json").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pwd, "getpwnam", lambda _: pwd.struct_passwd(("n", "x", 65534, 65534, "", "/", "")))
        patch.setattr(os, "getgrouplist", lambda *_: [65534])
        (hidden,) = part.checks(me)
    assert (hidden.level, "cannot be read" in hidden.message) == ("warn", True)
