"""How oned's hook manager treats a hook: when it fires, what it is given, and how many run at once."""

import base64
from collections.abc import Mapping

import pytest

from onext.oned.errors import OnedError
from onext.oned.objects import HostState, VmState
from onext.xml import Element, parse
from tests.live.front_end import wait_until
from tests.live.recorder import Recorder
from tests.live.scene import HostStatus, Scene

pytestmark = pytest.mark.live

SLOTS = 10
ARGUMENT_LIMIT = 128 * 1024  # bytes that Linux takes as one word of a command line
NOT_STARTED = 255


def host_hook(
    recorder: Recorder, state: str, arguments: str = "ARGUMENTS = $TEMPLATE\nARGUMENTS_STDIN = yes"
) -> str:
    """Return the registration of a hook on a host's state."""
    return f'RESOURCE = HOST\nSTATE = {state}\nCOMMAND = "{recorder.command}"\n{arguments}\n'


def payload(data: bytes) -> Element:
    """Return the object that a payload holds."""
    return parse(base64.b64decode(data, validate=True))


def test_a_state_hook_fires_only_when_the_state_changes(scene: Scene) -> None:
    """A host would be located again with each monitoring, or never after it came back."""
    recorder = scene.recorder()
    scene.hook(host_hook(recorder, "MONITORED"))
    host = scene.host()
    assert len(recorder.wait_for(1)) == 1
    scene.monitored_again(host)
    assert len(recorder.events()) == 1
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    scene.switch(host, HostStatus.ENABLED, until=HostState.MONITORED)
    states = [payload(event.stdin).findtext("PREV_STATE") for event in recorder.wait_for(2)]
    assert states == [str(HostState.INIT.value), str(HostState.DISABLED.value)]


def test_a_changed_template_or_cluster_is_no_event(scene: Scene) -> None:
    """What an administrator changes by hand is found by the round, or not at all."""
    recorder, cluster, host = scene.recorder(), scene.cluster(), scene.host()
    for state in ("MONITORED", "DISABLED"):
        scene.hook(host_hook(recorder, state))
    scene.oned.update_host(host, {"A": "1"})
    scene.oned.call("cluster.addhost", cluster, host)
    assert recorder.settled() == []
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    assert len(recorder.wait_for(1)) == 1


def test_payload_on_standard_input(scene: Scene) -> None:
    """Each hook reads this form: the bare object in strict base64, without a line end, and no argument."""
    recorder, host = scene.recorder(), scene.host()
    scene.hook(host_hook(recorder, "DISABLED"))
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    (event,) = recorder.wait_for(1)
    assert event.arguments == ()
    assert not event.stdin.endswith(b"\n")
    root = payload(event.stdin)
    assert (root.tag, root.findtext("ID"), root.findtext("STATE")) == ("HOST", str(host), "4")


def test_payload_as_an_argument(scene: Scene) -> None:
    """A hook that was registered without ARGUMENTS_STDIN gets the same text as one word, among others."""
    recorder, host = scene.recorder(), scene.host()
    scene.hook(host_hook(recorder, "DISABLED", 'ARGUMENTS = "tag=1 $TEMPLATE"'))
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    (event,) = recorder.wait_for(1)
    tag, data = event.arguments
    assert tag == "tag=1"
    assert payload(data.encode()).findtext("ID") == str(host)


def test_a_large_payload_needs_standard_input(scene: Scene) -> None:
    """A host with many guests or devices would never be reported: 128 KiB do not fit into an argument."""
    as_argument, as_input, host = scene.recorder(), scene.recorder(), scene.host()
    scene.oned.update_host(host, {"FILLER": "x" * ARGUMENT_LIMIT})
    failing = scene.hook(host_hook(as_argument, "DISABLED", "ARGUMENTS = $TEMPLATE"))
    scene.hook(host_hook(as_input, "DISABLED"))
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    (event,) = as_input.wait_for(1)
    assert len(event.stdin) > ARGUMENT_LIMIT
    assert payload(event.stdin).findtext("TEMPLATE/FILLER") == "x" * ARGUMENT_LIMIT
    wait_until("the other one is logged", lambda: scene.exit_codes(failing) == [NOT_STARTED])
    assert as_argument.events() == []


def test_ten_hooks_run_at_once_and_the_next_waits(scene: Scene) -> None:
    """A hook of ours that waits keeps all others of the front-end from starting."""
    slow, next_one, host = scene.recorder(), scene.recorder(), scene.host()
    for _ in range(SLOTS):
        scene.hook(host_hook(slow, "DISABLED"))
    scene.hook(host_hook(next_one, "OFFLINE"))
    slow.hold()
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    slow.wait_for(SLOTS)
    scene.switch(host, HostStatus.OFFLINE, until=HostState.OFFLINE)
    assert next_one.settled() == []
    slow.release()
    next_one.wait_for(1)


def test_a_failing_hook_is_logged_and_not_retried(scene: Scene) -> None:
    """Whoever counts on a retry loses the event: a hook that cannot do its work must keep it elsewhere."""
    recorder, host = scene.recorder(), scene.host()
    recorder.fail_with(3)
    hook = scene.hook(host_hook(recorder, "DISABLED"))
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    recorder.wait_for(1)
    wait_until("the failure is logged", lambda: scene.exit_codes(hook) == [3])
    assert len(recorder.settled()) == 1


def test_vm_hooks_see_allocation_running_and_the_end(scene: Scene) -> None:
    """The files of scrape targets follow these: PENDING at allocation, RUNNING, DONE."""
    recorder, host, datastore = scene.recorder(), scene.host(), scene.system_datastore()
    command = f'COMMAND = "{recorder.command}"\nARGUMENTS = $TEMPLATE\nARGUMENTS_STDIN = yes\n'
    for on in (
        "RUNNING",
        "CUSTOM\nSTATE = PENDING\nLCM_STATE = LCM_INIT",
        "CUSTOM\nSTATE = DONE\nLCM_STATE = LCM_INIT",
    ):
        scene.hook(f"RESOURCE = VM\nON = {on}\n{command}")
    guest = scene.guest('SCHED_REQUIREMENTS="NAME = nowhere"\n')  # the scheduler would be faster than we are
    scene.oned.call("vm.action", "release", guest)
    recorder.wait_for(1)
    scene.oned.call("vm.deploy", guest, host, False, datastore)
    scene.wait_for_running(guest)
    recorder.wait_for(2)
    scene.end_guest(guest)
    seen = [payload(event.stdin) for event in recorder.wait_for(3)]
    assert {root.findtext("ID") for root in seen} == {str(guest)}
    assert [int(root.findtext("STATE", "")) for root in seen] == [
        VmState.PENDING,
        VmState.ACTIVE,
        VmState.DONE,
    ]


REFUSED: Mapping[str, str] = {
    "a state that only passes": "RESOURCE = HOST\nSTATE = MONITORING_MONITORED",
    "a VM state without CUSTOM": "RESOURCE = VM\nSTATE = POWEROFF\nLCM_STATE = LCM_INIT",
    "a VM state without its LCM_STATE": "RESOURCE = VM\nON = CUSTOM\nSTATE = POWEROFF",
    "two unquoted words": "RESOURCE = HOST\nSTATE = MONITORED\nARGUMENTS = tag $TEMPLATE",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=list(REFUSED))
def test_registrations_that_oned_refuses(scene: Scene, text: str) -> None:
    """The installer would stop half-way with a template that oned does not take."""
    with pytest.raises(OnedError):
        scene.oned.call("hook.allocate", f'NAME="{scene.name("hook")}"\nTYPE="state"\nCOMMAND="x"\n{text}\n')
