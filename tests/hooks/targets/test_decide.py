"""Which targets there are: every guard of an administrator against what tenants write."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from hooks.targets.decide import Decision, decide, groups
from hooks.targets.inventory import Host, Inventory, Vm
from hooks.targets.leases import Leases
from hooks.targets.networks import VM, AddressRange, VirtualNetwork
from onext.settings.targets import Job, Targets

from .scene import EXAMPLE, INVENTORY, NODE, OTHERS, V4, V6, everywhere, given, leasing, reasons, vms, with_vm

FOREIGN = ip_address("10.0.0.8")


def test_a_target_and_its_labels() -> None:
    """Dashboards join on one_vm_id and one_host_id; maps need the place."""
    (target,) = decide(with_vm(labels="app=web", wanted="9100/m"), Targets(), everywhere).of("vms")
    assert target.address == "10.0.0.7:9100"
    assert target.labels == {
        "one_vm_id": "42",
        "one_vm_name": "web",
        "one_host_id": "3",
        "one_cluster_id": "100",
        "geolocation": "52.5,13.4",
        "app": "web",
        "__metrics_path__": "/m",
    }


def test_hosts_are_targets_of_every_job() -> None:
    """A job that is switched off has no file; the others hold each monitored host once."""
    settings = Targets(jobs={"node_exporter": Job(port=9100), "scaphandre": Job(port=8080, enabled=False)})
    decision = decide(INVENTORY, settings, everywhere)
    assert decision.jobs == ("vms", "hosts-node_exporter")
    (target,) = decision.of("hosts-node_exporter")
    assert target.address == "node-a1:9100"
    assert target.labels["one_host_id"] == "3"
    assert target.labels["geolocation"] == "52.5,13.4"


def test_exporters_of_7_4_are_targets_where_they_answered() -> None:
    """Every host without Open vSwitch or SMART would be down for good, and a sleeping one would alert."""
    hosts = (NODE, Host(4, "node-a2", 100), Host(5, "node-a3", 100, monitored=False))
    answering = frozenset({("node-a1", 9475), ("node-a2", 9633), ("node-a3", 9475), ("node-a2", 9845)})
    decision = decide(Inventory(hosts=hosts, answering=answering), Targets(), everywhere)
    found = {job: [target.address for target in decision.of(job)] for job in decision.jobs}
    assert found["hosts-ovs_exporter"] == ["node-a1:9475"]
    assert found["hosts-smartctl_exporter"] == ["node-a2:9633"]
    assert found["hosts-lvm_exporter"] == ["node-a2:9845"]
    assert found["hosts-mysql_exporter"] == []
    assert found["hosts-node_exporter"] == ["node-a1:9100", "node-a2:9100"]
    woken = (*hosts[:2], Host(5, "node-a3", 100))
    decision = decide(Inventory(hosts=woken, answering=answering), Targets(), everywhere)
    assert [one.address for one in decision.of("hosts-ovs_exporter")] == ["node-a1:9475", "node-a3:9475"]


@pytest.mark.parametrize("name", ["../vms", "a/b", "", "x" * 65, "a b", ".hidden", "é"])
def test_S4_a_job_names_no_other_file(name: str) -> None:
    """A job named like a path writes outside the folder of the targets."""
    with pytest.raises(ValueError, match="jobs"):
        Targets.model_validate({"jobs": {name: {"port": 9100}}})


def test_a_host_named_by_its_ipv6_address() -> None:
    """Without brackets the port would become part of the address."""
    inventory = Inventory(hosts=(Host(1, "2001:db8::1", 0),))
    assert decide(inventory, Targets(), everywhere).of("hosts-scaphandre")[0].address == "[2001:db8::1]:8080"


@pytest.mark.parametrize(
    ("inventory", "reason"),
    [
        (with_vm(wanted="10.0.0.8:9100"), "no network assigns 10.0.0.8 to this VM"),
        (with_vm(addresses=()), "has no address"),
        (with_vm(addresses=(FOREIGN,)), "no network assigns 10.0.0.8 to this VM"),
        (with_vm(leasing(V4, scrape="NO")), "no network that an administrator opened"),
        (with_vm(leasing(V4, scrape="")), "no network that an administrator opened"),
        (with_vm(leasing(V4, vm=41)), "no network assigns 10.0.0.7 to this VM"),
        (with_vm(leasing(V4, administered=False)), "no network assigns 10.0.0.7 to this VM"),
        (given(ip_address("127.0.0.1")), "is loopback"),
        (given(ip_address("0.1.2.3")), "is this network"),
        (given(ip_address("169.254.169.254")), "is link-local"),
        (given(ip_address("fe80::1")), "is link-local"),
        (given(ip_address("::1")), "is loopback"),
        (given(ip_address("::ffff:10.0.0.7")), "IPv4 address in disguise"),
        (given(ip_address("::10.0.0.7")), "IPv4 address in disguise"),
        (given(ip_address("2002:a00:7::")), "IPv4 address in disguise"),
        (given(ip_address("64:ff9b::a9fe:a9fe")), "IPv4 address in disguise"),
        (given(ip_address("2001:0:4136:e378:8000:63bf:3fff:fdd2")), "IPv4 address in disguise"),
        (given(ip_address("224.0.0.1")), "is multicast"),
        (given(ip_address("0.0.0.0")), "is unspecified"),
        (given(ip_address("255.255.255.255")), "is reserved"),
        (given(ip_address("fd00:ec2::254")), "metadata service"),
        (with_vm(labels="job=x"), "'job' is reserved"),
        (with_vm(wanted="no"), "is not port"),
    ],
)
def test_every_refusal_has_its_reason(inventory: Inventory, reason: str) -> None:
    """Each of these would let a tenant read what only Prometheus can reach, or forge labels."""
    assert vms(inventory) == []
    (found,) = reasons(inventory)
    assert reason in found


@pytest.mark.parametrize("wanted", ["9100", "10.0.0.7:9100"])
def test_infrastructure_is_never_a_target(wanted: str) -> None:
    """A VM that leases a host's or a BMC's address by mistake or malice must not reach it."""
    inventory = replace(with_vm(wanted=wanted), protected=frozenset({V4}))
    assert vms(inventory) == []
    assert "belongs to a front-end, a host or a BMC" in reasons(inventory)[0]


def test_B2_unknown_addresses_of_hosts_refuse_every_vm() -> None:
    """With DNS down a VM with a host's address would be scraped in its owner's name."""
    names = tuple(f"node-{number}" for number in range(5))
    inventory = replace(INVENTORY, unprotected=names)
    assert vms(inventory) == []
    assert "addresses of node-0, node-1, node-2 and 2 more are unknown" in reasons(inventory)[0]
    assert vms(inventory, Targets(allow_foreign_targets=True, networks=[ip_network("10.0.0.0/8")])) == []
    assert decide(inventory, Targets(), everywhere).of("hosts-node_exporter")  # hosts do not depend on it


def test_forbidden_prefixes_win() -> None:
    """What the administrator forbids is forbidden also where a network is open."""
    settings = Targets(networks=[ip_network("10.0.0.0/8")], forbidden=[ip_network("10.0.0.0/28")])
    assert vms(INVENTORY, settings) == []
    assert "settings forbid" in reasons(INVENTORY, settings)[0]


def test_prefixes_of_the_settings_open_networks() -> None:
    """An administrator may list prefixes instead of marking networks."""
    settings = Targets(networks=[ip_network("10.0.0.0/24")])
    assert vms(with_vm(leasing(V4, scrape="")), settings) == ["10.0.0.7:9100"]


@pytest.mark.parametrize("wanted", ["9100", "10.0.0.8:9100"])
def test_S4_a_prefix_of_the_settings_opens_no_address_that_is_not_assigned(wanted: str) -> None:
    """A tenant who writes an address of an open prefix into a NIC would have it scraped."""
    settings = Targets(networks=[ip_network("10.0.0.0/8")])
    inventory = with_vm(addresses=(FOREIGN,), wanted=wanted)
    assert vms(inventory, settings) == []
    assert "no network assigns 10.0.0.8 to this VM" in reasons(inventory, settings)[0]


def test_the_first_assigned_address_is_the_vms_own() -> None:
    """An invented address before the real one must neither be scraped nor hide it."""
    assert vms(with_vm(addresses=(FOREIGN, V4))) == ["10.0.0.7:9100"]


def test_foreign_addresses_only_where_allowed_and_inside_prefixes() -> None:
    """A foreign address is a way out of the VM: two keys of the administrator open it."""
    inventory = with_vm(wanted="10.0.0.8:9100 192.0.2.1:9100")
    settings = Targets(allow_foreign_targets=True, networks=[ip_network("10.0.0.0/24")])
    assert vms(inventory, settings) == ["10.0.0.8:9100"]
    assert "no network that an administrator opened" in reasons(inventory, settings)[0]
    assert vms(inventory) == []


ADDRESSES = st.ip_addresses()


@examples(
    claimed=st.lists(ADDRESSES, max_size=4),
    assigned=st.lists(ADDRESSES, max_size=3),
    of_others=st.lists(ADDRESSES, max_size=3),
    wanted=st.lists(st.one_of(ADDRESSES, st.integers(0, 70000)), max_size=4),
    labels=st.sampled_from(["", "app=x", "a=b,c=d", "one_vm_id=7"]),
    prefixes=st.lists(st.sampled_from(["0.0.0.0/0", "::/0", "10.0.0.0/8"]), max_size=2),
)
def test_S4_nothing_that_a_tenant_writes_brings_in_an_address(
    claimed: list[object],
    assigned: list[object],
    of_others: list[object],
    wanted: list[object],
    labels: str,
    prefixes: list[str],
) -> None:
    """Prometheus would send requests to addresses that were never leased to the VM."""
    text = " ".join(
        str(word) if isinstance(word, int) else f"[{word}]:9100" if ":" in str(word) else f"{word}:9100"
        for word in wanted
    )
    networks: list[VirtualNetwork] = [
        leasing(*assigned),  # type: ignore[arg-type]
        leasing(*of_others, *claimed, vm=7, number=2),  # type: ignore[arg-type]
        leasing(*claimed, number=3, administered=False),  # type: ignore[arg-type]
    ]
    inventory = with_vm(*networks, addresses=tuple(claimed), wanted=text, labels=labels)
    settings = Targets.model_validate({"networks": prefixes})
    for target in decide(inventory, settings, everywhere).of("vms"):
        address = ip_address(target.address.rpartition(":")[0].strip("[]"))
        assert address in assigned
        assert target.labels["one_vm_id"] == "42"


def test_limits_of_a_vm_and_of_a_user() -> None:
    """One tenant must not fill Prometheus: the first targets stay, the others are refused."""
    many = with_vm(wanted="1 2 3 4 5")
    assert vms(many) == [f"10.0.0.7:{port}" for port in (1, 2, 3, 4)]
    assert "more than 4 targets of one VM" in reasons(many)[0]
    networks = [leasing(V4, vm=vm, number=vm) for vm in (41, 42, 43)]
    machines = (replace(EXAMPLE, id=43), replace(EXAMPLE, id=41), EXAMPLE)
    two = replace(INVENTORY, vms=machines, leases=Leases.of_networks(networks))
    settings = Targets(per_user=2)
    decision = decide(two, settings, everywhere)
    assert [target.labels["one_vm_id"] for target in decision.of("vms")] == ["41", "42"]
    assert decision.refusals[0].reason == "more than 2 targets of user 5"


def test_the_same_target_twice_is_one() -> None:
    """`9100, 10.0.0.7:9100` would be scraped twice."""
    twice = with_vm(wanted="9100, 10.0.0.7:9100")
    assert (vms(twice), reasons(twice)) == (["10.0.0.7:9100"], [])


def test_one_port_with_two_paths_is_said_to_be_refused() -> None:
    """Both would have one `instance`, and Prometheus would mix their samples; one that is lost must be listed."""
    paths = with_vm(wanted="9100/a 9100/b")
    assert vms(paths) == ["10.0.0.7:9100"]
    assert reasons(paths) == ["'9100/b': another target has this address and port, with another path"]


@pytest.mark.parametrize(
    ("family", "routes", "expected"),
    [
        ("auto", {4, 6}, "[2001:db8::7]:9100"),
        ("auto", {4}, "10.0.0.7:9100"),
        ("ipv4", {4, 6}, "10.0.0.7:9100"),
        ("ipv6", {4, 6}, "[2001:db8::7]:9100"),
        ("ipv6", {4}, None),
        ("auto", set(), None),
    ],
)
def test_the_address_family_is_one_with_a_route(family: str, routes: set[int], expected: str | None) -> None:
    """An IPv6 target on a front-end without IPv6 is down for ever."""
    inventory = with_vm(addresses=(V4, V6))
    settings = Targets.model_validate({"family": family})
    decision = decide(inventory, settings, lambda address: address.version in routes)
    assert [target.address for target in decision.of("vms")] == ([expected] if expected else [])
    if not expected:
        assert "no route" in decision.refusals[0].reason


def test_S3_refusals_of_one_vm_are_bounded() -> None:
    """A thousand words of one VM would bury what others have to be told."""
    assert len(reasons(with_vm(wanted="x " * 500))) == 8
    assert len(reasons(with_vm(wanted=" ".join(f"{port}" for port in range(1, 200))))) == 8
    assert all(len(reason) < 300 for reason in reasons(with_vm(wanted="x" * 1000, labels="")))


def test_one_tenant_changes_nothing_for_others() -> None:
    """What is refused leaves that target out, and nothing else changes."""
    bad = replace(EXAMPLE, id=1, wanted="x" * 5000, labels="job=x")
    assert vms(replace(INVENTORY, vms=(bad, EXAMPLE))) == vms(INVENTORY)


@examples(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["9100", "1 2 3 4 5 6", "x", ""]))))
def test_the_order_of_the_pool_does_not_matter(wanted: list[tuple[int, str]]) -> None:
    """Files that change without a reason make Prometheus drop and start targets."""
    found = tuple({number: replace(EXAMPLE, id=number, wanted=text) for number, text in wanted}.values())
    settings = Targets(per_user=5)

    def of(*machines: Vm) -> Decision:
        return decide(replace(INVENTORY, vms=machines), settings, everywhere)

    assert of(*found) == of(*reversed(found))


def test_groups_are_what_file_sd_takes() -> None:
    """Prometheus refuses a file with a label that is no text."""
    decision = decide(INVENTORY, Targets(), everywhere)
    for group in json.loads(json.dumps(groups(decision.targets))):
        assert isinstance(group["targets"], list)
        assert all(isinstance(value, str) for value in group["labels"].values())


def test_S4_an_address_of_several_vms_is_no_ones_target() -> None:
    """Both VMs of a VRRP pair are scraped at their common address: one's metrics get the other's labels."""
    common, mine = ip_address("10.0.0.100"), V4
    part = AddressRange(ip=int(common), owners={VM | 42: frozenset({0}), OTHERS: frozenset({0})})
    networks = leasing(mine), VirtualNetwork(2, administered=True, scrape="YES", ranges=(part,))
    wanted = with_vm(*networks, addresses=(common, mine), wanted=f"9100,{common}:9101")
    assert vms(wanted) == ["10.0.0.7:9100"]
    (reason,) = reasons(wanted)
    assert "10.0.0.100 is assigned to several VMs (SHARED address range)" in reason
    alone = replace(part, owners={VM | 42: frozenset({0})})
    networks = leasing(mine), VirtualNetwork(2, administered=True, scrape="YES", ranges=(alone,))
    assert vms(with_vm(*networks, addresses=(mine,), wanted=f"{common}:9101")) == ["10.0.0.100:9101"]


@pytest.mark.parametrize(
    ("number", "named"),
    [(1, "node-1"), (3, "node-1, node-2, node-3"), (5, "node-1, node-2, node-3 and 2 more")],
)
def test_B2_whose_address_is_unknown_is_named(number: int, named: str) -> None:
    """All VMs are refused until it is corrected: an administrator has to see where."""
    names = tuple(f"node-{one}" for one in range(1, number + 1))
    (reason,) = reasons(replace(INVENTORY, unprotected=names))
    assert reason == f"'9100': no VM is scraped while the addresses of {named} are unknown"


def test_addresses_without_a_route_are_named() -> None:
    """The first three: a VM may have dozens."""
    addresses = tuple(ip_address(f"10.0.0.{number}") for number in range(1, 6))
    decision = decide(given(*addresses), Targets(), lambda _: False)
    assert decision.refusals[0].reason == "'9100': the front-end has no route to 10.0.0.1, 10.0.0.2, 10.0.0.3"
