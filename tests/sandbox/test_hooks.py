"""The hook manager: what starts when, with what, and what is left of it."""

import base64
import os
import re
import time
from pathlib import Path

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process
ENABLE, DISABLE, OFFLINE = range(3)


def register(sandbox: Sandbox, script: str, *attributes: str, name: str = "x") -> int:
    """Place an executable and register it for HOST/DISABLED unless the attributes say otherwise."""
    sandbox.remote(f"hooks/{name}", f"#!/bin/sh\n{script}\n")
    given = " ".join(attributes)
    event = "" if "STATE=" in given or "CALL=" in given or "ON=" in given else "STATE=DISABLED RESOURCE=HOST"
    kind = "" if "TYPE=" in given else "TYPE=state"
    return int(sandbox.call("hook.allocate", f"NAME={name} COMMAND={name} {kind} {event} {given}"))


def hosts(sandbox: Sandbox, number: int = 1) -> None:
    """Add monitored hosts."""
    for index in range(number):
        sandbox.call("host.allocate", f"node-{index:03}", "dummy", "dummy", 0)
    sandbox.until(lambda: sandbox.call("hostpool.info").count("<STATE>2</STATE>") == number)


def runs(sandbox: Sandbox, hook: int, number: int = 1) -> list[str]:
    """Wait until a hook ran so often, and return the records."""

    def records() -> list[str]:
        log = sandbox.call("hook.info", hook)
        found = re.findall(r"<HOOK_EXECUTION_RECORD>.*?</HOOK_EXECUTION_RECORD>", log, re.DOTALL)
        return found if len(found) >= number else []

    return list(sandbox.until(records))


def code(record: str) -> int:
    """Return the exit code of a run."""
    found = re.search(r"<CODE>(\d+)</CODE>", record)
    assert found
    return int(found[1])


def test_only_a_change_of_state_starts_a_hook(sandbox: Sandbox) -> None:
    """A part that waits for an event on every monitoring cycle, or on an update, would seem to work."""
    hook = register(sandbox, "exit 0", "STATE=MONITORED RESOURCE=HOST")
    hosts(sandbox)
    runs(sandbox, hook)
    sandbox.control("monitor")
    sandbox.call("host.update", 0, "A=1", 1)
    cluster = sandbox.call("cluster.allocate", "alpha")
    sandbox.call("cluster.addhost", cluster, 0)
    sandbox.call("host.status", 0, DISABLE)
    sandbox.call("host.status", 0, ENABLE)
    records = runs(sandbox, hook, 2)
    assert len(records) == 2
    payload = base64.b64decode(re.findall(r"<ARGUMENTS>(.*?)<", records[1])[0] or b"")
    assert payload == b""


def test_ten_slots_in_order(sandbox: Sandbox, tmp_path: Path) -> None:
    """The storm test of the bundle proves something only when a waiting hook really takes a slot from others."""
    gate = tmp_path / "gate"
    gate.mkdir()
    hook = register(
        sandbox,
        f'n=$(echo "$1" | base64 -d | sed -n "s:.*<ID>\\(.*\\)</ID>:\\1:p" | head -1)\n'
        f"touch {gate}/began-$n; while [ ! -e {gate}/open ]; do sleep 0.02; done",
        "ARGUMENTS=$TEMPLATE",
    )
    hosts(sandbox, 14)
    for index in range(14):
        sandbox.call("host.status", index, DISABLE)
    sandbox.until(lambda: len(list(gate.glob("began-*"))) == 10)
    time.sleep(0.3)
    assert sorted(int(path.name.partition("-")[2]) for path in gate.glob("began-*")) == list(range(10))
    (gate / "open").touch()
    assert len(runs(sandbox, hook, 14)) == 14


def test_standard_input_and_arguments(sandbox: Sandbox, tmp_path: Path) -> None:
    """Hooks read their payload where the template says, in strict base64 without a newline."""
    out = tmp_path / "out"
    stdin = register(
        sandbox, f"cat > {out}.stdin; echo $# > {out}.count", "ARGUMENTS=$TEMPLATE ARGUMENTS_STDIN=yes"
    )
    argv = register(sandbox, f'printf %s "$2" > {out}.argv', 'ARGUMENTS="tag=x $TEMPLATE"', name="y")
    hosts(sandbox)
    sandbox.call("host.status", 0, DISABLE)
    runs(sandbox, stdin)
    runs(sandbox, argv)
    written = Path(f"{out}.stdin").read_bytes()
    assert base64.b64decode(written, validate=True).startswith(b"<HOST>\n")
    assert Path(f"{out}.argv").read_bytes() == written
    assert Path(f"{out}.count").read_text() == "0\n"


def test_a_large_payload(sandbox: Sandbox) -> None:
    """On the command line it dies above 128 KiB; on standard input it arrives."""
    argv = register(sandbox, "exit 0", "ARGUMENTS=$TEMPLATE")
    stdin = register(sandbox, "test $(wc -c) -gt 260000", "ARGUMENTS=$TEMPLATE ARGUMENTS_STDIN=yes", name="y")
    hosts(sandbox)
    sandbox.call("host.update", 0, f'FILLER="{"x" * 200_000}"', 1)
    sandbox.call("host.status", 0, DISABLE)
    assert code(runs(sandbox, argv)[0]) == 255
    assert code(runs(sandbox, stdin)[0]) == 0


def test_what_is_around_a_hook(sandbox: Sandbox, tmp_path: Path) -> None:
    """A hook that needs ONE_AUTH or a working directory would fail on a real front-end only."""
    register(sandbox, f"env > {tmp_path}/env; pwd > {tmp_path}/cwd")
    hosts(sandbox)
    sandbox.call("host.status", 0, DISABLE)
    sandbox.until((tmp_path / "cwd").read_text)
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    recorded = {
        "HOME",
        "LANG",
        "LOGNAME",
        "OLDPWD",
        "ONE_LOCATION",
        "PATH",
        "PWD",
        "RUBYLIB",
        "SHELL",
        "SHLVL",
        "USER",
    }
    assert names - {"_"} <= recorded
    assert (tmp_path / "cwd").read_text() == "/\n"


def test_shell_characters(sandbox: Sandbox, tmp_path: Path) -> None:
    """The command line is one string, which a shell sees when it holds shell characters."""
    sandbox.remote("hooks/x", f'#!/bin/sh\necho "$1" > {tmp_path}/out\n')
    sandbox.call(
        "hook.allocate", 'NAME=x TYPE=state RESOURCE=HOST STATE=DISABLED COMMAND="x" ARGUMENTS="$((1+2))"'
    )
    hosts(sandbox)
    sandbox.call("host.status", 0, DISABLE)
    assert sandbox.until((tmp_path / "out").read_text) == "3\n"


def test_time_out(sandbox: Sandbox) -> None:
    """A hook that hangs frees its slot, with code 255."""
    hook = register(sandbox, "sleep 60", "TIMEOUT=1")
    hosts(sandbox)
    sandbox.call("host.status", 0, DISABLE)
    assert code(runs(sandbox, hook)[0]) == 255


def test_a_failure_is_only_logged(sandbox: Sandbox) -> None:
    """Nobody tries again but a person, with `onehook retry`."""
    hook = register(sandbox, "echo out; echo err >&2; exit 3")
    hosts(sandbox)
    sandbox.call("host.status", 0, DISABLE)
    [record] = runs(sandbox, hook)
    assert code(record) == 3
    assert base64.b64decode(re.findall(r"<STDOUT>(.*?)</STDOUT>", record, re.DOTALL)[0]) == b"out\n"
    assert base64.b64decode(re.findall(r"<STDERR>(.*?)</STDERR>", record, re.DOTALL)[0]) == b"err\n"
    assert f"[HKM][E]: Error executing Hook {hook}" in sandbox.oned_log
    sandbox.call("hook.retry", hook, 0)
    assert "<RETRY>yes</RETRY>" in runs(sandbox, hook, 2)[1]
    assert sandbox.answer("one.hook.retry", hook, 77)[0] is False


def test_a_command_that_is_not_there(sandbox: Sandbox) -> None:
    """A registration whose file was never placed must show as a failure."""
    hook = sandbox.call("hook.allocate", "NAME=z TYPE=state RESOURCE=HOST STATE=DISABLED COMMAND=nowhere")
    hosts(sandbox)
    sandbox.call("host.status", 0, DISABLE)
    assert code(runs(sandbox, hook)[0]) == 255


def test_the_log_keeps_twenty(sandbox: Sandbox) -> None:
    """Whoever counts on the log to find every event must see that it forgets."""
    hook = register(sandbox, "exit 0")
    hosts(sandbox, 23)
    for index in range(23):
        sandbox.call("host.status", index, DISABLE)
    sandbox.until(lambda: sandbox.oned_log.count(f"Success executing Hook {hook}") == 23)
    numbers = re.findall(r"<EXECUTION_ID>(\d+)<", sandbox.call("hook.info", hook))
    assert numbers == [str(number) for number in range(3, 23)]


def test_events_are_lost_while_the_manager_is_down(sandbox: Sandbox) -> None:
    """Reconciling would seem needless if the sandbox kept events."""
    hook = register(sandbox, "exit 0")
    hosts(sandbox)
    sandbox.control("hooks", False)
    sandbox.call("host.status", 0, DISABLE)
    sandbox.call("host.status", 0, ENABLE)
    sandbox.control("hooks", True)
    sandbox.call("host.status", 0, DISABLE)
    runs(sandbox, hook)
    assert sandbox.call("hook.info", hook).count("<EXECUTION_ID>") == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("TYPE=state", "No NAME in template for Hook."),
        ("NAME=x TYPE=state", "No COMMAND in template for Hook."),
        ("NAME=x COMMAND=x", "No TYPE or invalid one in template for Hook."),
        ("NAME=x COMMAND=x TYPE=state", "RESOURCE attribute is required for STATE hooks."),
        (
            "NAME=x COMMAND=x TYPE=state RESOURCE=HOST STATE=MONITORING_MONITORED",
            "Invalid STATE: MONITORING_MONITORED",
        ),
        (
            "NAME=x COMMAND=x TYPE=state RESOURCE=VM STATE=ACTIVE LCM_STATE=RUNNING",
            "Unkown state condition: ",
        ),
        ("NAME=x COMMAND=x TYPE=state RESOURCE=VM ON=CUSTOM STATE=PENDING", "Wrong LCM_STATE: "),
        (
            "NAME=x COMMAND=x TYPE=api CALL=one.vm.info",
            "API call does not exist or is not supported: one.vm.info",
        ),
    ],
)
def test_registrations_that_oned_refuses(quiet: Sandbox, source: str, reason: str) -> None:
    """A registration template of the bundle could be wrong and pass here."""
    answered = quiet.answer("one.hook.allocate", source)
    assert (answered[1], answered[2]) == (f"[one.hook.allocate] {reason}", 0x2000)


def test_a_hook_can_be_changed(sandbox: Sandbox) -> None:
    """A second installation updates registrations in place."""
    hook = register(sandbox, "exit 0")
    sandbox.call("hook.update", hook, "TIMEOUT=5", 1)
    assert "<TIMEOUT><![CDATA[5]]></TIMEOUT>" in sandbox.call("hook.info", hook)
    assert sandbox.answer("one.hook.update", hook, "STATE=NONSENSE", 1)[0] is False
    assert "<STATE><![CDATA[DISABLED]]></STATE>" in sandbox.call("hook.info", hook)
    sandbox.call("hook.delete", hook)
    assert sandbox.call("hookpool.info", -2, -1, -1) == "<HOOK_POOL></HOOK_POOL>"


def test_vm_hooks_and_api_hooks(sandbox: Sandbox) -> None:
    """Targets follow VMs by these events: PENDING at allocation, RUNNING, DONE, and the call that changed a template."""
    states = {
        "pending": "RESOURCE=VM ON=CUSTOM STATE=PENDING LCM_STATE=LCM_INIT",
        "running": "RESOURCE=VM ON=RUNNING",
        "done": "RESOURCE=VM ON=DONE",
    }
    hooks = {name: register(sandbox, "exit 0", event, name=name) for name, event in states.items()}
    api = register(
        sandbox, "exit 0", "TYPE=api CALL=one.vm.update ARGUMENTS=$API ARGUMENTS_STDIN=yes", name="api"
    )
    hosts(sandbox)
    sandbox.call("vm.allocate", "NAME=a CPU=1 MEMORY=64", False)
    runs(sandbox, hooks["pending"])
    runs(sandbox, hooks["running"])
    sandbox.call("vm.update", 0, 'COLOUR="blue & green"', 1)
    [record] = runs(sandbox, api)
    info = base64.b64decode(re.findall(r"<ARGUMENTS>(.*?)<", record)[0]).decode()
    assert "<RESULT>1</RESULT>" in info
    assert '<VALUE>COLOUR="blue &amp; green"</VALUE>' in info
    sandbox.call("vm.action", "terminate-hard", 0)
    runs(sandbox, hooks["done"])


def test_what_a_hook_leaves_behind_ends_with_the_sandbox(sandbox: Sandbox, tmp_path: Path) -> None:
    """A worker that a hook started detached would live on after the tour, and after each test."""
    pid = tmp_path / "pid"
    hook = register(sandbox, f"setsid sh -c 'trap \"\" TERM; echo $$ > {pid}; sleep 300' >/dev/null 2>&1 &")
    hosts(sandbox)
    sandbox.call("host.status", 0, DISABLE)
    runs(sandbox, hook)
    number = int(sandbox.until(pid.read_text))
    os.kill(number, 0)
    sandbox.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
