"""One VM, host or template that cannot be read is kept as it is, and named; all others count."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hooks.power.decide import Memory, decide
from hooks.power.policy import Mode, Policy
from onext.cloud import model
from onext.cloud.snapshot import Cloud
from onext.hosts.inventory.cluster import ClusterUnreadable, observe
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.model import Cluster, Kind, Vm
from onext.settings.power import Power
from onext.xml import Element, parse
from tests.onext.hosts.inventory.recorded import Recorded, objects

NOW = 1_795_236_700.0
FIXTURES = Path(__file__).parents[3] / "fixtures"
AUTO = Policy(mode=Mode.AUTO, pack=True)


def answers(release: str = "7.0.2") -> Recorded:
    return replace(Recorded.of(FIXTURES / f"opennebula-{release}"), datastores=())


def alpha(seen: Recorded) -> Cluster:
    return observe(seen.snapshot(), 100, Power(), NOW)


def web(seen: Recorded) -> Element:
    return seen.vm("web-0")


def put(path: str, text: str) -> Callable[[Element], None]:
    def change(vm: Element) -> None:
        found = vm.find(path)
        if found is None:
            parent, _, tag = path.rpartition("/")
            above = vm.find(parent) if parent else vm
            assert above is not None
            found = ET.SubElement(above, tag)
        found.text = text

    return change


def found(cluster: Cluster, name: str = "web-0") -> Vm:
    return next(vm for vm in cluster.vms if vm.name == name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("STATE", "99"), "state 99 is unknown"),
        (put("STATE", "x"), "STATE is 'x'"),
        (put("LCM_STATE", ""), "LCM_STATE"),
        (put("TEMPLATE/CPU", "nan"), "CPU is 'nan'"),
        (put("TEMPLATE/MEMORY", "1e999"), "MEMORY is '1e999'"),
        (put("TEMPLATE/MEMORY", "-5"), "MEMORY is '-5'"),
        (put("TEMPLATE/MEMORY", "2000000000"), "no host has"),
        (put("USER_TEMPLATE/SCHED_REQUIREMENTS", "(" * 400), "requirements cannot be read"),
    ],
)
def test_C7_a_vm_that_cannot_be_read_stays_where_it_is_and_is_named(
    change: Callable[[Element], None], said: str
) -> None:
    """It stopped power for the whole cloud; taken for nothing it would be switched off with its host."""
    seen, before = answers(), alpha(answers())
    change(web(seen))
    after = alpha(seen)
    assert said in found(after).fixed
    assert found(after).host == found(before).host
    assert [problem for problem in after.problems if "web-0" in problem and said in problem]
    others = [vm for vm in before.vms if vm.name != "web-0"]
    assert [vm for vm in after.vms if vm.name != "web-0"] == others
    assert decide(after, AUTO, NOW, Memory()).reasons.keys() == {host.id for host in after.hosts}


def test_C7_a_vm_whose_host_cannot_be_read_is_found_in_the_hosts_list() -> None:
    """Its host would look empty."""
    seen, before = answers(), found(alpha(answers()))
    for history in web(seen).iterfind("HISTORY_RECORDS/HISTORY"):
        put("HID", "x")(history)
    after = found(alpha(seen))
    assert (after.host, after.id) == (before.host, before.id)
    assert after.fixed


def test_C7_an_object_that_is_no_xml_keeps_its_place() -> None:
    """One template without an end ended the round."""
    seen = answers()
    data = ET.tostring(web(seen)).replace(b"</USER_TEMPLATE>", b"<X>1</USER_TEMPLATE>")
    vms = tuple(data if one is web(seen) else one for one in seen.vms)
    after = alpha(replace(seen, vms=vms))
    broken = next(vm for vm in after.vms if vm.invalid)
    assert (broken.host, broken.name) == (found(alpha(seen)).host, "web-0")
    assert "cannot be read" in broken.fixed
    host = b"<HOST><ID>1</ID><NAME>node-a2</NAME><STATE>2</STATE><CLUSTER_ID>100</CLUSTER_ID><VMS></HOST>"
    hosts = tuple(host if one is seen.host("node-a2") else one for one in seen.hosts)
    cluster = alpha(replace(seen, hosts=hosts))
    assert "cannot be read" in next(one for one in cluster.hosts if one.id == 1).excluded
    assert len(cluster.hosts) == len(alpha(seen).hosts)


def test_C7_a_cluster_that_cannot_be_read_is_not_decided_on() -> None:
    """Without its policy it would count as switched off, and wake every host."""
    cluster = model.Cluster(100, "alpha", problem="Malformed")
    with pytest.raises(ClusterUnreadable, match=r"cluster 100 \(alpha\) cannot be read"):
        observe(Snapshot(Cloud.of(clusters=[cluster])), 100, Power(), NOW)


def test_C7_nothing_shrinks_while_a_datastore_cannot_be_read() -> None:
    """The host that its images are copied through would be switched off."""
    seen = answers().snapshot()
    broken = model.Datastore(1, problem="Malformed")
    assert not observe(seen, 100, Power(), NOW).held
    here = seen.cloud
    cloud = Cloud.of(here.hosts.values(), here.vms.values(), here.clusters.values(), [broken])
    assert "datastore 1 cannot be read" in observe(replace(seen, cloud=cloud), 100, Power(), NOW).held


def test_C7_a_vm_that_cannot_be_read_names_no_host_of_its_owner() -> None:
    """A tenant would choose which host stays on by a template that cannot be read."""
    seen = answers()
    data = ET.tostring(web(seen)).replace(b"<STATE>3</STATE>", b"<STATE>x</STATE>", 1)
    start, end = data.index(b"<HISTORY_RECORDS>"), data.index(b"</HISTORY_RECORDS>")
    forged = b"<HISTORY_RECORDS>0</HISTORY_RECORDS><HID>3</HID>"
    data = data[:start] + b"<HISTORY_RECORDS/>" + data[end + len(b"</HISTORY_RECORDS>") :]
    data = data.replace(b"<USER_TEMPLATE>", b"<USER_TEMPLATE>" + forged)
    (vm,) = objects([data])
    assert (vm.named_host, vm.name) == (-1, "web-0")
    assert vm.problem


@pytest.mark.parametrize(
    ("state", "said"), [("12", "is unknown to this version"), ("x", "cannot be read"), ("", "cannot be read")]
)
def test_C7_a_host_in_a_state_of_a_newer_release_is_left_alone(state: str, said: str) -> None:
    """It ended the round of every cluster."""
    seen = answers()
    put("STATE", state)(seen.host("node-a2"))
    cluster = alpha(seen)
    host = next(one for one in cluster.hosts if one.name == "node-a2")
    assert said in host.excluded
    assert not host.takes_vms
    assert cluster.problems


def test_C7_a_tenants_template_is_no_flavour_and_a_broken_one_is_left_out() -> None:
    """One MEMORY of nan in any template of oneadmin ended the round."""
    seen = answers()
    mine = next(one for one in seen.beside.templates if one.findtext("UID") == "0")
    before = len(alpha(seen).flavours)
    put("TEMPLATE/MEMORY", "nan")(mine)
    assert len(alpha(seen).flavours) == before - 1


HOSTILE = st.sampled_from(
    ["", "nan", "inf", "-1", "1e400", "9" * 500, "x", "(" * 500, "\u0661", "0x10", "1_0"]
)
PATHS = st.sampled_from(
    ["STATE", "LCM_STATE", "STIME", "GID", "UID", "NAME", "TEMPLATE/CPU", "TEMPLATE/MEMORY", "LOCK",
     "USER_TEMPLATE/SCHED_REQUIREMENTS", "TEMPLATE/AUTOMATIC_REQUIREMENTS", "TEMPLATE/SCHED_ACTION/TIME",
     "USER_TEMPLATE/ONEXT_POWER_PIN", "HISTORY_RECORDS/HISTORY/HID", "HISTORY_RECORDS/HISTORY/TM_MAD"]
)  # fmt: skip
WELL = answers()
TEXTS = [ET.tostring(vm) for vm in WELL.vms if not isinstance(vm, bytes)]


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.lists(st.tuples(PATHS, HOSTILE), min_size=1, max_size=4))
def test_C7_whatever_one_vm_holds_the_others_are_seen(changes: list[tuple[str, str]]) -> None:
    """Any tenant may write it."""
    vms = tuple(map(parse, TEXTS))
    seen = replace(WELL, vms=vms)
    for path, text in changes:
        if web(seen).find(path.rpartition("/")[0] or ".") is not None:
            put(path, text)(web(seen))
            if path == "NAME":
                break
    cluster = alpha(seen)
    assert {"web-1", "db-0", "off-0", "susp-0"} <= {vm.name for vm in cluster.vms}
    decide(cluster, AUTO, NOW, Memory())


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ("vm.active-locked", "locked"),
        ("vm.active-filesystem-disk", "virtiofs"),
        ("vm.active-onedrs-blocked", "ONEDRS"),
    ],
)
def test_C1_what_a_real_oned_does_not_move_is_seen_up_front(recorded: str, said: str) -> None:
    """A locked VM cost 1,399 refused calls and kept its host disabled for 23 hours in a day."""
    element = parse((FIXTURES / "opennebula-7.4.0" / f"{recorded}.xml").read_bytes())
    host = element.findall("HISTORY_RECORDS/HISTORY")[-1].findtext("HID", "")
    seen = answers("7.4.0")
    xmls = [one for one in seen.hosts if not isinstance(one, bytes)]
    hosts = tuple(one for one in xmls if one.findtext("ID") == host)
    put("CLUSTER_ID", "100")(hosts[0])
    cluster = alpha(replace(seen, vms=(element,), hosts=hosts))
    assert [vm for vm in cluster.vms if said in vm.fixed], [vm.fixed for vm in cluster.vms]


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("HISTORY_RECORDS/HISTORY/VM_MAD", "lxc", "lxc does not migrate live"),
        ("TEMPLATE/RAW", "<devices><hostdev mode='subsystem'/></devices>", "passes a device"),
        ("USER_TEMPLATE/RAW", "<devices><HostDev/></devices>", "passes a device"),
        ("USER_TEMPLATE/RAW", "<devices/>", ""),
        ("TEMPLATE/MEMORY_ENCRYPTION", "SEV", "encrypted"),
        ("TEMPLATE/MEMORY_ENCRYPTION", "NO", ""),
        ("USER_TEMPLATE/ONEDRS_BLOCKED", "no", ""),
    ],
)
def test_C1_what_cannot_move_is_seen_up_front(path: str, text: str, said: str) -> None:
    """Each drain would fail at this VM, again and again."""
    seen = answers()
    put(path, text)(web(seen))
    fixed = found(alpha(seen)).fixed
    assert said in fixed
    assert bool(fixed) is bool(said)
    assert found(alpha(seen)).kind is Kind.RUNNING


def test_C7_the_history_counts_before_a_hosts_list() -> None:
    """A VM that is on its way is in the lists of both hosts: its host would look empty too early."""
    seen = answers()
    put("STATE", "99")(web(seen))
    number = web(seen).findtext("ID")
    other = seen.host("node-a5")
    listed = other.find("VMS")
    ET.SubElement(ET.SubElement(other, "VMS") if listed is None else listed, "ID").text = number
    assert found(alpha(seen)).host == found(alpha(answers())).host
