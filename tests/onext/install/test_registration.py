"""Hooks at oned, against the sandbox: registered once, brought up to date, deleted."""

from pathlib import Path

import pytest

from onext import events, process, zone
from onext.install import registration
from onext.install.front_end import FrontEnd
from onext.install.registration import Outcome
from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process

TEMPLATES = {
    "located": 'NAME = "onext-located"\nTYPE = "state"\nRESOURCE = "HOST"\nSTATE = "MONITORED"\n',
    "running": 'NAME = "onext-running"\nTYPE = "state"\nRESOURCE = "VM"\nON = "RUNNING"\n',
    "ended": 'NAME = "onext-ended"\nTYPE = "state"\nRESOURCE = "VM"\nON = "CUSTOM"\n'
    'STATE = "POWEROFF"\nLCM_STATE = "LCM_INIT"\n',
    "updated": 'NAME = "onext-updated"\nTYPE = "api"\nCALL = "one.vm.update"\n',
}
REST = 'COMMAND = "onext/x"\nARGUMENTS = "$TEMPLATE"\nARGUMENTS_STDIN = "yes"\n'


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """Return a folder with one part and a hook of every kind."""
    folder = tmp_path / "hooks"
    (folder / "targets").mkdir(parents=True)
    (folder / "targets/part.py").touch()
    for name, text in TEMPLATES.items():
        (folder / f"{name}.hook").write_text(text + REST)
    return folder


@pytest.fixture
def front_end(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    for name in ("ONE_XMLRPC", "ONE_AUTH"):
        monkeypatch.setenv(name, sandbox.env[name])
    return FrontEnd.self_contained(sandbox.location)


def commands(sandbox: Sandbox) -> str:
    pool: str = sandbox.call("one.hookpool.info", -2, -1, -1)
    return pool


def test_registered_once_for_all(front_end: FrontEnd, hooks: Path, sandbox: Sandbox) -> None:
    """Every event reaches its part once: a second install registers nothing."""
    first = registration.register(front_end, hooks)
    assert len(first.done) == 1
    assert commands(sandbox).count("<HOOK>") == len(TEMPLATES)
    assert registration.register(front_end, hooks) == Outcome()


def test_a_changed_template_is_updated_in_place(front_end: FrontEnd, hooks: Path, sandbox: Sandbox) -> None:
    """A new version's hook waits for what the new template says, under the id that it had."""
    registration.register(front_end, hooks)
    file = hooks / "ended.hook"
    file.write_text(file.read_text().replace("POWEROFF", "SUSPENDED"))
    outcome = registration.register(front_end, hooks)
    assert outcome.done == ["hooks brought up to date: onext-ended"]
    assert "SUSPENDED" in commands(sandbox)
    assert registration.register(front_end, hooks) == Outcome()


def test_what_a_version_dropped_is_deleted(front_end: FrontEnd, hooks: Path, sandbox: Sandbox) -> None:
    """No hook stays behind that starts a file which is gone; another bundle's is not touched."""
    sandbox.call("one.hook.allocate", TEMPLATES["located"].replace("onext-", "their-") + REST)
    registration.register(front_end, hooks)
    (hooks / "updated.hook").unlink()
    outcome = registration.register(front_end, hooks)
    assert outcome.done == ["hooks deleted, not part of this version: onext-updated"]
    assert registration.remove(front_end) == Outcome()
    assert commands(sandbox).count("<HOOK>") == 1
    assert "their-located" in commands(sandbox)


def test_only_the_leader_registers(front_end: FrontEnd, hooks: Path, sandbox: Sandbox) -> None:
    """On a follower the files are placed and the hooks left to the leader: they exist once for the zone."""
    sandbox.control("raft", 2, 1, False)
    outcome = registration.register(front_end, hooks)
    assert not outcome.done
    assert "leader" in outcome.left[0]
    sandbox.control("raft", 3, 2, False)
    registration.register(front_end, hooks)
    assert commands(sandbox).count("<HOOK>") == len(TEMPLATES)


def test_only_the_leader_deletes(front_end: FrontEnd, hooks: Path, sandbox: Sandbox) -> None:
    """A server that is taken out of the zone took the hooks of all others with it."""
    registration.register(front_end, hooks)
    sandbox.control("raft", 2, 1, False)
    assert "leader" in registration.remove(front_end).left[0]
    assert commands(sandbox).count("<HOOK>") == len(TEMPLATES)
    sandbox.control("raft", 3, 2, False)
    assert registration.remove(front_end) == Outcome()
    assert commands(sandbox).count("<HOOK>") == 0


def test_with_oned_down_it_says_what_is_left(
    front_end: FrontEnd, hooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation does not fail because oned is down; the person learns what to do later."""
    monkeypatch.setenv("ONE_XMLRPC", "http://127.0.0.1:1/RPC2")
    assert "once more" in registration.register(front_end, hooks).left[0]
    assert "onehook delete" in registration.remove(front_end).left[0]


def test_an_upgrade_replaces_the_hooks_of_each_part(
    front_end: FrontEnd, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A front-end with the former hooks would start several processes for every event."""
    for part, state in (("power", "RUNNING"), ("prometheus", "RUNNING"), ("power", "UNKNOWN")):
        text = f'NAME="onext-{part}-{state}" TYPE="state" RESOURCE="VM" ON="{state}" COMMAND="onext/{part}"'
        sandbox.call("one.hook.allocate", text)
    optional = 'NAME="onext-prometheus-vm-update" TYPE="api" CALL="one.vm.update" COMMAND="onext/prometheus"'
    sandbox.call("one.hook.allocate", optional)
    (tmp_path / "hooks/targets").mkdir(parents=True)
    (tmp_path / "hooks/targets/part.py").touch()
    events.write(tmp_path / "hooks")
    outcome = registration.register(front_end, tmp_path / "hooks")
    assert not outcome.left
    found = commands(sandbox)
    assert found.count("onext/event") == len(list(events.registered(["targets"])))
    assert "onext/power" not in found
    assert "onext-prometheus-vm-update" in found  # a person's; its executable is an alias
    assert registration.register(front_end, tmp_path / "hooks") == Outcome()
    registration.remove(front_end)
    assert commands(sandbox).count("<HOOK>") == 0


def test_a_zone_keeps_its_hooks_until_every_server_is_upgraded(
    front_end: FrontEnd, hooks: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of leader in mid-upgrade, events would go to an executable that is not there."""
    old = 'NAME="onext-power-running" TYPE="state" RESOURCE="VM" ON="RUNNING" COMMAND="onext/power"'
    sandbox.call("one.hook.allocate", old)
    other = zone.Server(1, "two", "one-b", here=False)
    monkeypatch.setattr(zone, "others", lambda _oned, _configuration: [other])
    asked: list[list[str]] = []

    def run(argv: list[str], **_: object) -> process.Completed:
        asked.append(argv)
        return process.Completed(tuple(argv), len(asked) == 1, b"", b"")

    monkeypatch.setattr(process, "run", run)
    assert "install this version on two" in registration.register(front_end, hooks).left[0]
    assert commands(sandbox).count("<HOOK>") == 1
    assert asked[0][-2:] == ["one-b", f"test -x {front_end.paths.remotes}/hooks/onext/event"]
    assert not registration.register(front_end, hooks).left
    assert "onext/power" not in commands(sandbox)
