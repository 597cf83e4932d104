"""The sandbox's answers, element by element and type by type, against what each release answered."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyone
import pytest

from sandbox import auth, markup
from sandbox.release import RELEASES
from tests.conftest import FIXTURES
from tests.fixtures_sandbox import Sandbox
from tests.sandbox import scene

pytestmark = pytest.mark.process

POOLS = (
    ("hostpool.xml", "HOST", ("hostpool.info",)),
    ("clusterpool.xml", "CLUSTER", ("clusterpool.info",)),
    ("vmpool.infoextended.xml", "VM", ("vmpool.infoextended", -2, -1, -1, -1, "")),
    ("vmpool.infoextended.all-states.xml", "VM", ("vmpool.infoextended", -2, -1, -1, -2, "")),
    ("vmpool.info.xml", "VM", ("vmpool.info", -2, -1, -1, -2, "")),
    ("vmpool.info.active.xml", "VM", ("vmpool.info", -2, -1, -1, -1, "")),
    ("hookpool.xml", "HOOK", ("hookpool.info", -2, -1, -1)),
    ("vmgrouppool.xml", "VM_GROUP", ("vmgrouppool.info", -2, -1, -1)),
    ("templatepool.xml", "VMTEMPLATE", ("templatepool.info", -2, -1, -1)),
    ("vnetpool.xml", "VNET", ("vnpool.info", -2, -1, -1)),
    ("datastorepool.xml", "DATASTORE", ("datastorepool.info",)),
    ("zonepool.xml", "ZONE", ("zonepool.info",)),
)
OBJECTS = (
    ("host.monitored-with-vms.xml", ("host.info", 6)),
    ("host.monitored-empty.xml", ("host.info", 4)),
    ("host.offline.xml", ("host.info", 7)),
    ("host.error.xml", ("host.info", 8)),
    ("vm.active.xml", ("vm.info", 14)),
    ("vm.active-migrated.xml", ("vm.info", 4)),
    ("vm.active-with-exporter-and-vmgroup.xml", ("vm.info", 0)),
    ("vm.poweroff.xml", ("vm.info", 7)),
    ("vm.suspended.xml", ("vm.info", 8)),
    ("vm.stopped.xml", ("vm.info", 9)),
    ("vm.undeployed.xml", ("vm.info", 10)),
    ("vm.done.xml", ("vm.info", 11)),
    ("vm.hold.xml", ("vm.info", 12)),
    ("vm.pending.xml", ("vm.info", 13)),
    ("vmgroup.xml", ("vmgroup.info", 0)),
    ("zone.xml", ("zone.info", 0)),
    ("zone.raftstatus.xml", ("zone.raftstatus",)),
)


# What depends on which VMs and attributes the recorder had made, not on the release.
_OF_THE_SCENE = re.compile(
    r"(?:^|/)(VMS|VMS/ID|USER_TEMPLATE/\w+|MONITORING|MONITORING/.*|TEMPLATE/(SUBMIT_ON_HOLD|TEMPLATE_ID|LOGO)"
    r"|VMGROUP/\w+|HOST/TEMPLATE/(RACK|NOTE/A))$"
)


class Played(NamedTuple):
    """A sandbox that plays a release and holds the recordings' scene, and what that release answered."""

    sandbox: Sandbox
    recordings: Path

    @property
    def same_scene(self) -> bool:
        """Whether every object of the recordings is in the scene, with the same values."""
        return self.recordings.name == "opennebula-7.0.2"

    def compared(self, document: str) -> list[Any]:
        """Return what has to be the same: everything, or in another scene the elements and their form."""
        rows = scene.comparable(document)
        return (
            rows if self.same_scene else sorted({row[:2] for row in rows if not _OF_THE_SCENE.search(row[0])})
        )


@pytest.fixture(scope="module", params=["7.0.2", "7.4.0"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Make the scene once for all comparisons with a release."""
    options = ("--step", "0.02", "--monitor", "3600", "--release", request.param)
    running = Sandbox(tmp_path_factory.mktemp("scene") / "one", *options)
    try:
        scene.build(running)
        yield Played(running, FIXTURES / f"opennebula-{request.param}")
    finally:
        running.stop()


@pytest.mark.parametrize(("name", "element", "call"), POOLS, ids=[row[0] for row in POOLS])
def test_pool(built: Played, name: str, element: str, call: tuple[str, ...]) -> None:
    """A part that reads this pool would work in the sandbox and fail on a real front-end, or the reverse."""
    wanted = scene.members(scene.recorded(built.recordings, name), element)
    answered = scene.members(built.sandbox.call(*call), element)
    if built.same_scene:
        left_out = {"big-1000", "big-60000", "big-200000"} - set(wanted)  # the recorder did so in one file
        assert [member for member in answered if member not in left_out] == list(wanted)
    else:
        wanted = {member: xml for member, xml in wanted.items() if member in answered}
    assert wanted
    for member in wanted:
        assert built.compared(answered[member]) == built.compared(wanted[member])


@pytest.mark.parametrize(("name", "call"), OBJECTS, ids=[row[0] for row in OBJECTS])
def test_object(built: Played, name: str, call: tuple[str, ...]) -> None:
    """The same for one object in each of its states."""
    assert built.compared(built.sandbox.call(*call)) == built.compared(scene.recorded(built.recordings, name))


def test_a_disabled_host(built: Played) -> None:
    """A host that is switched off on purpose must look as oned shows it: monitored, and DISABLED."""
    wanted = scene.comparable(scene.recorded(built.recordings, "host.disabled.xml"))
    built.sandbox.call("host.status", 6, 1)
    built.sandbox.control("monitor")
    answered = scene.comparable(built.sandbox.call("host.info", 6))
    built.sandbox.call("host.status", 6, 0)
    assert [leaf[:3] for leaf in answered] == [leaf[:3] for leaf in wanted]
    assert ("HOST/STATE", False, "integer", "4") in answered


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("hostpool.monitoring.xml", ("hostpool.monitoring", 0)),
        ("vmpool.monitoring.xml", ("vmpool.monitoring", -2, 0)),
    ],
)
def test_monitoring(built: Played, name: str, call: tuple[str, ...]) -> None:
    """The exporter and the planner would misread what hosts and guests use."""
    wanted = re.findall(r"<MONITORING>.*?</MONITORING>", scene.recorded(built.recordings, name), re.DOTALL)
    answered = re.findall(r"<MONITORING>.*?</MONITORING>", built.sandbox.call(*call), re.DOTALL)
    shapes = {tuple((leaf.path, leaf.cdata) for leaf in scene.leaves(record)) for record in wanted}
    assert {tuple((leaf.path, leaf.cdata) for leaf in scene.leaves(record)) for record in answered} == shapes


def test_raw_documents_have_no_white_space(built: Played) -> None:
    """Streaming readers, and sizes in benchmarks, would not see what oned sends."""
    for call, name in (
        (("hostpool.info",), "hostpool.raw.xml"),
        (POOLS[2][2], "vmpool.infoextended.raw.xml"),
    ):
        answered, wanted = built.sandbox.call(*call), scene.recorded(built.recordings, name)
        assert not re.search(r">\s+<", answered)
        assert not built.same_scene or abs(len(answered) - len(wanted)) < len(wanted) / 100


@pytest.mark.parametrize(
    ("hook", "name", "hid"),
    [
        (0, "host-monitored.decoded.xml", 0),
        (3, "host-error.decoded.xml", 8),
        (5, "host-offline.decoded.xml", 7),
    ],
)
def test_host_payload(built: Played, hook: int, name: str, hid: int) -> None:
    """Hooks would be tried with payloads that no front-end ever sends."""
    payload = decoded(built.sandbox, hook, f"<HOST>\n  <ID>{hid}</ID>")
    wanted = scene.recorded(built.recordings, f"hooks/{name}")
    same_host = {"HOST/ID", "HOST/NAME", "HOST/VMS", "HOST/VMS/ID", "HOST/HOST_SHARE/MEM_USAGE"}
    assert [row[:2] for row in built.compared(payload)] == [row[:2] for row in built.compared(wanted)]
    assert not built.same_scene or {row for row in scene.comparable(payload) if row[0] in same_host} == {
        row for row in scene.comparable(wanted) if row[0] in same_host
    }


def test_vm_payload_on_argv(built: Played) -> None:
    """A hook that takes its payload as an argument would get another string than from oned."""
    payload = decoded(built.sandbox, 2, "<VM>\n  <ID>0</ID>")
    wanted = scene.recorded(built.recordings, "hooks/vm-running.decoded.xml")
    assert built.compared(payload) == built.compared(wanted)


def test_api_payload(built: Played) -> None:
    """An API hook would get another document than from oned."""
    payload = decoded(built.sandbox, 4, "<CALL_INFO>")
    wanted = scene.recorded(built.recordings, "hooks/api-one.vm.allocate.decoded.xml")
    assert built.compared(payload) == built.compared(wanted)


def decoded(sandbox: Sandbox, hook: int, beginning: str) -> str:
    """Return the first payload in a hook's log that begins so."""

    def find() -> str | None:
        log = sandbox.call("hook.info", hook)
        words = re.findall(r"<ARGUMENTS>(?:tag=vmrun )?([^<]*)</ARGUMENTS>", log)
        documents = (base64.b64decode(word, validate=True).decode() for word in words)
        return next((document for document in documents if document.startswith(beginning)), None)

    return str(sandbox.until(find))


@pytest.mark.parametrize("name", ["host-monitored", "host-offline", "vm-running.after-live-migrate"])
def test_payloads_are_printed_as_nokogiri_prints_them(recordings: Path, name: str) -> None:
    """The bytes that a hook reads would differ from oned's in white space."""
    wanted = base64.b64decode((recordings / f"hooks/{name}.stdin.b64").read_text(), validate=True).decode()
    flat = re.sub(r">\n\s*<", "><", wanted)
    assert markup.pretty(flat) == wanted


def test_hook_log(built: Played) -> None:
    """`onehook log`, and tests that read it, would not find what they look for."""
    wanted = scene.recorded(built.recordings, "hook.host-monitored.info-with-log.xml")
    answered = built.sandbox.call("hook.info", 0)
    one = re.compile(r"<HOOK_EXECUTION_RECORD>.*?</HOOK_EXECUTION_RECORD>", re.DOTALL)
    assert {tuple(row[:2] for row in scene.comparable(run)) for run in one.findall(answered)} == {
        tuple(row[:2] for row in scene.comparable(run)) for run in one.findall(wanted)
    }


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (
            "known-user.special-characters",
            ("alice", "ed25519/" + "ab" * 32, "base64url-_~+/=.:;<>&\"' \t\nline2"),
        ),
        ("unknown-user", ("newbob", "-", "tok-bob")),
        ("known-user.1500-byte-secret", ("alice", "ed25519/" + "ab" * 32, "T" * 1500)),
    ],
)
def test_what_a_driver_reads(recordings: Path, name: str, fields: tuple[str, str, str]) -> None:
    """An authentication driver would be tried with another document than oned's."""
    assert auth.authn(*fields) == (recordings / f"auth/authn.{name}.xml").read_text()


def test_what_a_driver_reads_of_an_unknown_user_in_7_4() -> None:
    """The driver would take an empty stored key for one that it has to compare with."""
    wanted = (FIXTURES / "opennebula-7.4.0/auth/authn.unknown-user.xml").read_text()
    assert auth.authn("newbob", RELEASES["7.4.0"].unknown_password, "tok-bob") == wanted


def test_trimming(sandboxes: Callable[..., Sandbox]) -> None:
    """Settings with blanks around them would be other ones in the sandbox than on a front-end."""
    steps = json.loads((FIXTURES / "opennebula-7.4.0/trimming.json").read_text())
    new = sandboxes("--monitor", "3600", "--step", "0.02")
    oid = new.call("vm.allocate", f"CPU=1 MEMORY=64 {steps[0]['sent']}", True)
    assert f"<NAME>{steps[0]['name']}</NAME>" in new.call("vm.info", oid)
    for step, mode in zip(steps[:3], (None, 1, 0), strict=True):
        if mode is not None:
            new.call("vm.update", oid, step["sent"], mode)
        kept = re.search(r"<USER_TEMPLATE>.*</USER_TEMPLATE>", new.call("vm.info", oid), re.DOTALL)
        assert kept
        assert scene.leaves(kept[0]) == scene.leaves(step["kept"])
    old = sandboxes("--monitor", "3600", "--release", "7.0.2")
    oid = old.call("vm.allocate", 'CPU=1 MEMORY=64 A=" a "', True)
    assert "<A><![CDATA[ a ]]></A>" in old.call("vm.info", oid)


def test_a_lock_looks_as_recorded(quiet: Sandbox) -> None:
    """What cannot move would not be seen."""
    quiet.call("vm.lock", 0, 1, False)
    try:
        locked = quiet.call("vm.info", 0)
    finally:
        quiet.call("vm.unlock", 0)
    one = re.compile(r"<DEPLOY_ID.*<(MONITORING)", re.DOTALL)
    wanted = one.search((FIXTURES / "opennebula-7.4.0/vm.active-locked.xml").read_text())
    answered = one.search(locked)
    assert wanted
    assert answered
    assert re.findall(r"<(\w+)", answered[0]) == re.findall(r"<(\w+)", wanted[0])


def test_configuration(built: Played) -> None:
    """`onext doctor` reads AUTH_MAD and its entries from this answer."""
    answered = {leaf.path for leaf in scene.leaves(built.sandbox.call("system.config"))}
    wanted = {
        leaf.path for leaf in scene.leaves(scene.recorded(built.recordings, "system.config.excerpt.xml"))
    }
    concerned = (
        "AUTH_MAD/",
        "AUTH_MAD_CONF/",
        "HM_MAD/",
        "SESSION",
        "HOOK_LOG_CONF",
        "DEFAULT_UMASK",
        "SCHED_MAD/",
    )
    of_interest = {path for path in wanted if path.partition("/")[2].startswith(concerned)}
    assert of_interest <= answered
    assert built.sandbox.call("system.version") == (built.recordings / "version.txt").read_text().strip()


def test_pyone_reads_it_all(built: Played) -> None:
    """The binding that users know must find every answer in the schema that it was made from."""
    one = pyone.OneServer(built.sandbox.endpoint, session=built.sandbox.session)
    assert [host.NAME for host in one.hostpool.info().HOST][-1] == "node-a1"
    assert one.host.info(6).MONITORING.CAPACITY.FREE_CPU >= 0
    assert one.vm.info(0).TEMPLATE["NIC"]["IP"] == "10.10.0.10"
    assert one.vm.info(3).USER_TEMPLATE["DESCRIPTION"] == "cache with & and <xml> chars"
    assert len(one.vmpool.infoextended(-2, -1, -1, -1).VM) == 15
    assert len(one.vmpool.info(-2, -1, -1, -1).VM) == 15
    assert one.vmpool.monitoring(-2, 0).MONITORING[0].TIMESTAMP
    assert one.vnpool.info(-2, -1, -1).VNET[0].USED_LEASES == 14
    assert one.vmgrouppool.info(-2, -1, -1).VM_GROUP[0].ROLES.ROLE[0].NAME == "front"
    assert one.datastorepool.info().DATASTORE[1].NAME == "default"
    assert one.templatepool.info(-2, -1, -1).VMTEMPLATE[0].NAME == "small"
    assert one.hookpool.info(-2, -1, -1).HOOK[0].NAME == "hostdis"
    assert one.userpool.info().USER[-1].NAME == "oneadmin"
    assert one.grouppool.info().GROUP[-1].NAME == "oneadmin"
    assert one.acl.info().ACL[0].RIGHTS
    assert one.zonepool.info().ZONE[0].NAME == "OpenNebula"
    assert one.image.info(0).SIZE == 1024
    assert one.imagepool.info(-2, -1, -1).IMAGE[0].NAME == "disk0"
    assert one.cluster.info(100).HOSTS.ID == [0, 1, 2, 3, 4]
