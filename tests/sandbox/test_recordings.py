"""The sandbox's answers, element by element and type by type, against what OpenNebula 7.0.2 answered."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pyone
import pytest

from sandbox import auth, markup
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Make the scene once for all comparisons."""
    running = Sandbox(tmp_path_factory.mktemp("scene") / "one", "--step", "0.02", "--monitor", "3600")
    try:
        scene.build(running)
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize(("name", "element", "call"), POOLS, ids=[row[0] for row in POOLS])
def test_pool(built: Sandbox, recordings: Path, name: str, element: str, call: tuple[str, ...]) -> None:
    """A part that reads this pool would work in the sandbox and fail on a real front-end, or the reverse."""
    wanted = scene.members(scene.recorded(recordings, name), element)
    answered = scene.members(built.call(*call), element)
    left_out = {"big-1000", "big-60000", "big-200000"} - set(wanted)  # the recorder did so in one file
    assert [member for member in answered if member not in left_out] == list(wanted)
    for member in wanted:
        assert scene.comparable(answered[member]) == scene.comparable(wanted[member])


@pytest.mark.parametrize(("name", "call"), OBJECTS, ids=[row[0] for row in OBJECTS])
def test_object(built: Sandbox, recordings: Path, name: str, call: tuple[str, ...]) -> None:
    """The same for one object in each of its states."""
    assert scene.comparable(built.call(*call)) == scene.comparable(scene.recorded(recordings, name))


def test_a_disabled_host(built: Sandbox, recordings: Path) -> None:
    """A host that is switched off on purpose must look as oned shows it: monitored, and DISABLED."""
    wanted = scene.comparable(scene.recorded(recordings, "host.disabled.xml"))
    built.call("host.status", 6, 1)
    built.control("monitor")
    answered = scene.comparable(built.call("host.info", 6))
    built.call("host.status", 6, 0)
    assert [leaf[:3] for leaf in answered] == [leaf[:3] for leaf in wanted]
    assert ("HOST/STATE", False, "integer", "4") in answered


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("hostpool.monitoring.xml", ("hostpool.monitoring", 0)),
        ("vmpool.monitoring.xml", ("vmpool.monitoring", -2, 0)),
    ],
)
def test_monitoring(built: Sandbox, recordings: Path, name: str, call: tuple[str, ...]) -> None:
    """The exporter and the planner would misread what hosts and guests use."""
    wanted = re.findall(r"<MONITORING>.*?</MONITORING>", scene.recorded(recordings, name), re.DOTALL)
    answered = re.findall(r"<MONITORING>.*?</MONITORING>", built.call(*call), re.DOTALL)
    shapes = {tuple((leaf.path, leaf.cdata) for leaf in scene.leaves(record)) for record in wanted}
    assert {tuple((leaf.path, leaf.cdata) for leaf in scene.leaves(record)) for record in answered} == shapes


def test_raw_documents_have_no_white_space(built: Sandbox, recordings: Path) -> None:
    """Streaming readers, and sizes in benchmarks, would not see what oned sends."""
    for call, name in (
        (("hostpool.info",), "hostpool.raw.xml"),
        (POOLS[2][2], "vmpool.infoextended.raw.xml"),
    ):
        answered, wanted = built.call(*call), scene.recorded(recordings, name)
        assert not re.search(r">\s+<", answered)
        assert abs(len(answered) - len(wanted)) < len(wanted) / 100


@pytest.mark.parametrize(
    ("hook", "name", "hid"),
    [
        (0, "host-monitored.decoded.xml", 0),
        (3, "host-error.decoded.xml", 8),
        (5, "host-offline.decoded.xml", 7),
    ],
)
def test_host_payload(built: Sandbox, recordings: Path, hook: int, name: str, hid: int) -> None:
    """Hooks would be tried with payloads that no front-end ever sends."""
    payload = decoded(built, hook, f"<HOST>\n  <ID>{hid}</ID>")
    wanted = scene.recorded(recordings, f"hooks/{name}")
    same_host = {"HOST/ID", "HOST/NAME", "HOST/VMS", "HOST/VMS/ID", "HOST/HOST_SHARE/MEM_USAGE"}
    assert [row[:2] for row in scene.comparable(payload)] == [row[:2] for row in scene.comparable(wanted)]
    assert {row for row in scene.comparable(payload) if row[0] in same_host} == {
        row for row in scene.comparable(wanted) if row[0] in same_host
    }


def test_vm_payload_on_argv(built: Sandbox, recordings: Path) -> None:
    """A hook that takes its payload as an argument would get another string than from oned."""
    payload = decoded(built, 2, "<VM>\n  <ID>0</ID>")
    wanted = scene.recorded(recordings, "hooks/vm-running.decoded.xml")
    assert scene.comparable(payload) == scene.comparable(wanted)


def test_api_payload(built: Sandbox, recordings: Path) -> None:
    """An API hook would get another document than from oned."""
    payload = decoded(built, 4, "<CALL_INFO>")
    wanted = scene.recorded(recordings, "hooks/api-one.vm.allocate.decoded.xml")
    assert scene.comparable(payload) == scene.comparable(wanted)


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


def test_hook_log(built: Sandbox, recordings: Path) -> None:
    """`onehook log`, and tests that read it, would not find what they look for."""
    wanted = scene.recorded(recordings, "hook.host-monitored.info-with-log.xml")
    answered = built.call("hook.info", 0)
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


def test_configuration(built: Sandbox, recordings: Path) -> None:
    """`onext doctor` reads AUTH_MAD and its entries from this answer."""
    answered = {leaf.path for leaf in scene.leaves(built.call("system.config"))}
    wanted = {leaf.path for leaf in scene.leaves(scene.recorded(recordings, "system.config.excerpt.xml"))}
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
    assert built.call("system.version") == (recordings / "version.txt").read_text().strip()


def test_pyone_reads_it_all(built: Sandbox) -> None:
    """The binding that users know must find every answer in the schema that it was made from."""
    one = pyone.OneServer(built.endpoint, session=built.session)
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
