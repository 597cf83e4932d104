"""From the answers of a real OpenNebula to the values that decide() takes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onext.hosts.bmc.errors import WrongPassword
from onext.hosts.bmc.protocol import Power as PowerState
from onext.hosts.bmc.protocol import Reading
from onext.hosts.claims import HOST_RECORDS, HostRecord, claim_of, claim_vector
from onext.hosts.inventory.cluster import _amount as amount
from onext.hosts.inventory.cluster import chosen, held, observe
from onext.hosts.inventory.groups import ties
from onext.hosts.inventory.snapshot import loads
from onext.hosts.model import Bmc, Claim, Cluster, Kind, Phase, Record
from onext.hosts.placement.problem import Size
from onext.hosts.watt_model import Metered
from onext.oned.documents import Stored
from onext.oned.objects import HostState
from onext.settings.power import Power
from onext.xml import Element, parse
from tests.onext.hosts.inventory.recorded import Recorded, objects

NOW = 1_795_236_700.0
STORAGE_DRS = """<TEMPLATE><ONE_DRS><AUTOMATION>full</AUTOMATION>
<DS_MIGRATION_THRESHOLD>5</DS_MIGRATION_THRESHOLD></ONE_DRS></TEMPLATE>"""


def document(recordings: Path, name: str) -> Element:
    return parse((recordings / name).read_bytes())


@pytest.fixture
def answers(recordings: Path) -> Recorded:
    """Give what the recorded front-end answered at one moment."""
    return Recorded.of(recordings)


@pytest.fixture
def newer() -> Recorded:
    """Give what the recorded front-end of OpenNebula 7.4 answered."""
    return Recorded.of(Path(__file__).parents[3] / "fixtures/opennebula-7.4.0")


def alpha(answers: Recorded, beside: Mapping[str, Any] | None = None, **settings: Any) -> Cluster:
    return observe(answers.snapshot(**{"bmcs": {0: Bmc.ON}, **(beside or {})}), 100, Power(**settings), NOW)


def test_hosts_have_capacity_state_and_monitoring(answers: Recorded) -> None:
    """Everything is decided by these."""
    hosts = {host.name: host for host in alpha(answers).hosts}
    assert set(hosts) == {"node-a1", "node-a2", "node-a3", "node-a4", "node-a5"}
    first = hosts["node-a1"]
    assert first.size == Size(800, 16_384)
    assert first.state is HostState.MONITORED
    assert first.bmc is Bmc.ON
    assert hosts["node-a2"].bmc is Bmc.NONE
    assert 0 < NOW - first.monitored < 60


def test_E1_a_silent_bmc_comes_with_its_reason(answers: Recorded) -> None:
    """A wrong password, another certificate and a broken cable all read "silent"."""
    reading = Reading(PowerState.UNKNOWN, WrongPassword("it rejects this user and password"))
    seen = {"bmcs": {0: Bmc.SILENT}, "readings": {0: reading}}
    host = next(host for host in alpha(answers, seen).hosts if host.id == 0)
    assert (host.bmc, host.bmc_error) == (Bmc.SILENT, "it rejects this user and password")


def test_vms_of_every_state_are_seen(answers: Recorded) -> None:
    """A powered-off VM that nobody saw would lose its host; a stopped one holds none."""
    vms = {vm.name: vm for vm in alpha(answers).vms}
    assert vms["web-0"].kind is Kind.RUNNING
    assert vms["web-0"].size == Size(50, 512)
    assert vms["off-0"].kind is Kind.PARKED
    assert vms["susp-0"].kind is Kind.PARKED
    assert not {"stop-0", "undep-0", "hold-0", "done-0"} & set(vms)
    assert "pend-0" not in vms, "its requirements match no host of this cluster"
    assert not {"edge-0", "sched-0"} & set(vms), "they stand in another cluster"


def test_groups_tie_vms(answers: Recorded) -> None:
    """Anti-affine VMs on one host fall together; affine ones apart break their service."""
    vms = {vm.name: vm for vm in alpha(answers).vms}
    assert vms["web-0"].apart & vms["web-1"].apart
    assert not vms["db-0"].apart
    assert vms["db-0"].together == vms["cache-0"].together != ""
    assert vms["cache-0"].hosts == frozenset({1})


def test_roles_that_keep_apart_from_each_other() -> None:
    """Two roles of a group that must not meet would meet."""
    group = parse(
        "<VM_GROUP_POOL><VM_GROUP><ID>7</ID><ROLES>"
        "<ROLE><NAME>a</NAME><VMS>1,2</VMS></ROLE><ROLE><NAME>b</NAME><VMS>3</VMS></ROLE></ROLES>"
        "<TEMPLATE><ANTI_AFFINED>a,b</ANTI_AFFINED></TEMPLATE></VM_GROUP></VM_GROUP_POOL>"
    )
    found = ties(group)
    assert found.apart[1] & found.apart[3]
    assert not found.apart[1] & found.apart[2]


def test_an_offline_host_keeps_the_capacity_that_we_wrote_down(answers: Recorded) -> None:
    """Oned forgets it: nobody could say which sleeping host a waiting VM fits on."""
    host = answers.host("node-b3")
    claim = Claim(Phase.OFF, NOW, capacity={"MAX_CPU": "1600", "MAX_MEM": "33554432"})
    template = host.find("TEMPLATE")
    assert template is not None
    vector = Element("ONEXT_POWER_STATE")
    for key, value in claim_vector(claim).items():
        child = Element(key)
        child.text = value
        vector.append(child)
    template.append(vector)
    beta = {h.name: h for h in observe(answers.snapshot(), 101, Power(), NOW).hosts}
    assert beta["node-b3"].size == Size(1600, 32_768)
    assert beta["node-b3"].phase is Phase.WAKING, "no document verifies it: it may only be woken"
    stored = Stored(int(host.findtext("ID", "")), 1, 1, HostRecord("node-b3", claim))
    verified = answers.snapshot(records={stored.number: stored})
    beta = {h.name: h for h in observe(verified, 101, Power(), NOW).hosts}
    assert (beta["node-b3"].phase, beta["node-b3"].size) == (Phase.OFF, Size(1600, 32_768))


def test_hosts_with_a_role_are_excluded(answers: Recorded) -> None:
    """Storage, front-ends and whoever holds a datastore's only bridge must stay on."""
    store = next(d for d in answers.datastores if d.findtext("NAME") == "default")
    template = store.find("TEMPLATE")
    assert template is not None
    for tag, text in (("BRIDGE_LIST", "node-gone node-a2 node-a3"), ("REPLICA_HOST", "node-a4")):
        child = Element(tag)
        child.text = text
        template.append(child)
    hosts = {host.name: host for host in alpha(answers, front_end_hosts=("node-a5",)).hosts}
    assert "BRIDGE_LIST" in hosts["node-a2"].excluded
    assert not hosts["node-a3"].excluded
    assert "REPLICA_HOST" in hosts["node-a4"].excluded
    assert "front-end" in hosts["node-a5"].excluded
    hosts = {host.name: host for host in alpha(answers, front_end_hosts=("NODE-A5.example.org",)).hosts}
    assert "front-end" in hosts["node-a5"].excluded, "people write names with and without the domain"
    hosts = {host.name: host for host in alpha(answers, front_end_hosts=("10.0.0.5",)).hosts}
    assert not hosts["node-a5"].excluded


def test_the_other_servers_of_the_zone_are_left_on(answers: Recorded) -> None:
    """The next leader would be switched off by this one."""
    zone = {"front_ends": frozenset({"node-a3.example.org", "192.0.2.7"})}
    assert [host.name for host in alpha(answers, zone).hosts if "front-end" in host.excluded] == ["node-a3"]


def test_what_was_measured_beats_the_model(answers: Recorded) -> None:
    """Savings by a guess, where a meter is there, are believed by nobody."""
    known = {0: Metered("bmc", 140.0, 11.0, NOW)}
    hosts = {host.id: host for host in alpha(answers, {"metered": known}).hosts}
    assert (hosts[0].curve.idle, hosts[0].curve.off, hosts[0].curve.source) == (140.0, 11.0, "bmc")
    assert hosts[1].curve.source == "model"


def test_the_load_of_a_host_is_what_monitoring_found(recordings: Path) -> None:
    """A busy host's watts would be taken for idle ones."""
    assert loads(document(recordings, "hostpool.monitoring.xml"))[0] == pytest.approx(70 / 800)


def test_a_pin_counts_only_when_an_administrator_set_it(answers: Recorded) -> None:
    """Any tenant could keep hosts awake with one line in a template."""
    element = answers.vm("web-1")
    pin = Element("ONEXT_POWER_PIN")
    pin.text = "yes"
    template, group = element.find("USER_TEMPLATE"), element.find("GID")
    assert template is not None
    assert group is not None
    template.append(pin)
    assert fixed(alpha(answers), "web-1"), "oneadmin's own VM"
    group.text = "105"
    assert not fixed(alpha(answers), "web-1")
    assert fixed(alpha(answers, {"pins_count": True}), "web-1"), "restricted by oned"


def fixed(cluster: Cluster, name: str) -> str:
    return next(vm.fixed for vm in cluster.vms if vm.name == name)


def test_devices_and_local_disks_fix_a_vm(answers: Recorded) -> None:
    """Such a VM cannot move live: its host stays."""
    template = answers.vm("web-1").find("TEMPLATE")
    assert template is not None
    template.append(Element("PCI"))
    assert "PCI" in fixed(alpha(answers), "web-1")
    records = answers.vm("web-0").findall("HISTORY_RECORDS/HISTORY")
    driver = records[-1].find("TM_MAD")
    assert driver is not None
    driver.text = "ssh"
    assert "own datastore" in fixed(alpha(answers), "web-0")


@pytest.mark.parametrize(
    ("topology", "said"),
    [
        ("<PIN_POLICY>CORE</PIN_POLICY>", "NUMA"),
        ("<HUGEPAGE_SIZE>2</HUGEPAGE_SIZE>", "NUMA"),
        ("<PIN_POLICY>NONE</PIN_POLICY><CORES>1</CORES>", ""),
    ],
)
def test_pinned_cpus_and_huge_pages_fix_a_vm(answers: Recorded, topology: str, said: str) -> None:
    """Another host may not have such CPUs or pages free; cores and sockets alone are no tie."""
    template = answers.vm("web-1").find("TEMPLATE")
    assert template is not None
    for old in template.findall("TOPOLOGY"):
        template.remove(old)
    template.append(parse(f"<TOPOLOGY>{topology}</TOPOLOGY>"))
    found = fixed(alpha(answers), "web-1")
    assert said in found
    assert bool(found) is bool(said)


@pytest.mark.parametrize(
    ("mode", "model", "places"),
    [
        ("", "", "node-a1 node-a2 node-a3"),
        ("Haswell", "", "node-a1 node-a3"),
        ("", "Haswell", "node-a1 node-a3"),
        ("host-passthrough", "Haswell", "node-a1 node-a2 node-a3"),
        ("kvm64", "Haswell", "node-a2 node-a3"),
        ("Turin", "", "node-a3"),
    ],
)
def test_a_vm_goes_only_where_its_cpu_model_is(newer: Recorded, mode: str, model: str, places: str) -> None:
    """A host is emptied onto one whose CPU lacks the cluster's EVC_MODE: libvirt refuses every migration."""
    for host, models in {"node-a1": "Haswell Nehalem", "node-a2": "kvm64 Nehalem", "node-a3": None}.items():
        template = newer.host(host).find("TEMPLATE")
        assert template is not None
        listed = template.find("KVM_CPU_MODELS")
        assert listed is not None, "the dummy driver lists models, as a hypervisor does"
        listed.text = models
    cluster = next(one for one in newer.clusters if one.findtext("NAME") == "alpha").find("TEMPLATE")
    template = newer.vm("web-1").find("TEMPLATE")
    assert cluster is not None
    assert template is not None
    cluster.append(parse(f"<EVC_MODE>{mode}</EVC_MODE>"))
    template.append(parse(f"<CPU_MODEL><MODEL>{model}</MODEL></CPU_MODEL>"))
    found = alpha(newer)
    (vm,) = (vm for vm in found.vms if vm.name == "web-1")
    first_three = {
        host.id: host.name for host in found.hosts if host.name in ("node-a1", "node-a2", "node-a3")
    }
    allowed = set(first_three) if vm.hosts is None else vm.hosts
    assert sorted(first_three[host] for host in allowed if host in first_three) == places.split()


def test_a_vm_moves_again_after_its_disks_changed_datastores(newer: Recorded) -> None:
    """Storage DRS moves disks of running VMs: meanwhile such a VM must stay, afterwards it must move again."""
    element = newer.vm("feat-0")
    records = element.findall("HISTORY_RECORDS/HISTORY")
    assert records[-1].findtext("DS_ID") == "100", "it was moved to another datastore on its host"
    (vm,) = (vm for vm in alpha(newer).vms if vm.name == "feat-0")
    assert (vm.kind, vm.fixed) == (Kind.RUNNING, "")
    state = element.find("LCM_STATE")
    assert state is not None
    state.text = "4"  # MIGRATE, as oned reports it during a live datastore migration
    (vm,) = (vm for vm in alpha(newer).vms if vm.name == "feat-0")
    assert vm.kind is Kind.BUSY


def test_a_host_for_pinned_cpus_is_known(answers: Recorded) -> None:
    """Its room would count as buffer for VMs that may not go there."""
    template = answers.host("node-a1").find("TEMPLATE")
    assert template is not None
    template.append(parse("<PIN_POLICY>PINNED</PIN_POLICY>"))
    assert {host.name: host.pinned for host in alpha(answers).hosts if host.pinned} == {"node-a1": True}


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("<TEMPLATE><ONE_DRS><AUTOMATION>full</AUTOMATION></ONE_DRS></TEMPLATE>", "AUTOMATION = full"),
        ("<TEMPLATE><ONE_DRS><AUTOMATION>PARTIAL</AUTOMATION></ONE_DRS></TEMPLATE>", "partial"),
        ("<TEMPLATE><ONE_DRS><AUTOMATION>manual</AUTOMATION></ONE_DRS></TEMPLATE>", ""),
        (STORAGE_DRS, "AUTOMATION = full"),
        ("<PLAN><STATE>1</STATE></PLAN>", "applying"),
        ("<PLAN><STATE>2</STATE></PLAN>", ""),
    ],
)
def test_we_hold_back_where_onedrs_acts(inner: str, said: str) -> None:
    """Two planners in one cluster move the same VMs."""
    (cluster,) = objects([f"<CLUSTER><ID>1</ID><NAME>a</NAME>{inner}</CLUSTER>".encode()])
    found = held(cluster)
    assert said in found
    assert bool(found) is bool(said)


def test_claims_and_records_survive_a_document() -> None:
    """A front-end that takes over continues by these alone."""
    claim = Claim(
        Phase.STOPPING, NOW, 2, 7, 120.0, "a b", {"MAX_CPU": "800"}, 1, NOW, 0.0, hard=True, by_hand=True
    )
    record = Record(NOW, 90.0, "", NOW, (NOW - 5,), 10.0, 20.0, 3, 1)
    host = HostRecord("node", claim, record)
    assert HOST_RECORDS.decode(HOST_RECORDS.encode(host)) == host
    assert claim_of(claim_vector(claim)) == replace(claim, verified=False)
    assert claim_of(None) is None
    unreadable = claim_of({"PHASE": "whatever"})
    assert unreadable is not None
    assert unreadable.phase is Phase.QUARANTINED
    with pytest.raises(ValueError, match="PROVEN"):
        HOST_RECORDS.decode({"HOST": "node", "PAST_PROVEN": "nan"})


def test_a_clusters_policy_is_read(answers: Recorded) -> None:
    """The cluster would run with defaults."""
    cluster = next(c for c in answers.clusters if c.findtext("ID") == "100")
    template = cluster.find("TEMPLATE")
    assert template is not None
    template.append(parse("<ONEXT_POWER><MODE>auto</MODE></ONEXT_POWER>"))
    assert chosen(answers.snapshot().cloud, 100, "ONEXT_POWER") == {"MODE": "auto"}
    assert chosen(answers.snapshot().cloud, 101, "ONEXT_POWER") == {}


def test_a_kept_size_that_is_no_number_is_no_room() -> None:
    """VMs would be planned onto a host of which nothing is known."""
    kept = [amount(text) for text in ("800", "800.7", "x", None, "nan", "1e16", "0")]
    assert kept == [800, 800, 0, 0, 0, 0, 0]
