"""Which targets there are: every guard of an administrator against what tenants write."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.targets.decide import Decision, decide, groups
from hooks.targets.inventory import Guest, Interface, Inventory, Node
from hooks.targets.networks import Range, VirtualNetwork
from hooks.targets.user_template import Address
from onext.settings.targets import Job, Targets

V4, V6 = ip_address("10.0.0.7"), ip_address("2001:db8::7")
NET = VirtualNetwork(
    1,
    "tenants",
    allowed=True,
    ranges=(
        Range(ip_address("10.0.0.2"), ip_address("10.0.0.99")),
        Range(ip_address("2001:db8::"), ip_address("2001:db8::ffff")),
        Range(ip_address("127.0.0.1"), ip_address("127.0.0.9")),
        Range(ip_address("169.254.0.1"), ip_address("169.254.255.254")),
        Range(ip_address("fe80::"), ip_address("fe80::ffff")),
        Range(ip_address("::ffff:10.0.0.1"), ip_address("::ffff:10.0.0.99")),
    ),
)
OTHER = VirtualNetwork(2, "not allowed", allowed=False, ranges=NET.ranges)
GUEST = Guest(
    42, "web", user=5, host=3, cluster=100, wanted="9100", labels="", interfaces=(Interface(V4, 1),)
)
NODE = Node(3, "node-a1", 100, "52.5,13.4")
INVENTORY = Inventory((GUEST,), (NODE,), (NET, OTHER))


def everywhere(_: Address) -> bool:
    return True


def with_guest(**changes: object) -> Inventory:
    return replace(INVENTORY, guests=(replace(GUEST, **changes),))  # type: ignore[arg-type]


def vms(inventory: Inventory, settings: Targets | None = None) -> list[str]:
    decision = decide(inventory, settings or Targets(), everywhere)
    return [target.address for target in decision.of("vms")]


def reasons(inventory: Inventory, settings: Targets | None = None) -> list[str]:
    return [one.reason for one in decide(inventory, settings or Targets(), everywhere).refusals]


def test_a_target_and_its_labels() -> None:
    """Dashboards join on one_vm_id and one_host_id; maps need the place."""
    (target,) = decide(with_guest(labels="app=web", wanted="9100/m"), Targets(), everywhere).of("vms")
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


def test_a_host_named_by_its_ipv6_address() -> None:
    """Without brackets the port would become part of the address."""
    inventory = Inventory(nodes=(Node(1, "2001:db8::1", 0),))
    assert decide(inventory, Targets(), everywhere).of("hosts-scaphandre")[0].address == "[2001:db8::1]:8080"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"wanted": "10.0.0.8:9100"}, "none of this VM's addresses"),
        ({"interfaces": ()}, "has no address"),
        ({"interfaces": (Interface(V4, 2),)}, "no network that an administrator allowed"),
        ({"interfaces": (Interface(V4, -1),)}, "no network that an administrator allowed"),
        ({"interfaces": (Interface(ip_address("10.9.9.9"), 1),)}, "no network that an administrator allowed"),
        ({"interfaces": (Interface(ip_address("127.0.0.1"), 1),)}, "is loopback"),
        ({"interfaces": (Interface(ip_address("169.254.169.254"), 1),)}, "is link-local"),
        ({"interfaces": (Interface(ip_address("fe80::1"), 1),)}, "is link-local"),
        ({"interfaces": (Interface(ip_address("::ffff:10.0.0.7"), 1),)}, "IPv4 address in disguise"),
        ({"interfaces": (Interface(ip_address("2002:a00:7::"), 1),)}, "IPv4 address in disguise"),
        ({"interfaces": (Interface(ip_address("224.0.0.1"), 1),)}, "is multicast"),
        ({"interfaces": (Interface(ip_address("0.0.0.0"), 1),)}, "is unspecified"),
        ({"interfaces": (Interface(ip_address("255.255.255.255"), 1),)}, "is reserved"),
        ({"interfaces": (Interface(ip_address("fd00:ec2::254"), 1),)}, "metadata service"),
        ({"labels": "job=x"}, "'job' is reserved"),
        ({"wanted": "no"}, "is not port"),
    ],
)
def test_every_refusal_has_its_reason(changes: dict[str, object], reason: str) -> None:
    """Each of these would let a tenant read what only Prometheus can reach, or forge labels."""
    inventory = with_guest(**changes)
    assert vms(inventory) == []
    (found,) = reasons(inventory)
    assert reason in found


@pytest.mark.parametrize("wanted", ["9100", "10.0.0.7:9100"])
def test_infrastructure_is_never_a_target(wanted: str) -> None:
    """A VM that leases a host's or a BMC's address by mistake or malice must not reach it."""
    inventory = replace(with_guest(wanted=wanted), infrastructure=frozenset({V4}))
    assert vms(inventory) == []
    assert "belongs to a front-end, a host or a BMC" in reasons(inventory)[0]


def test_forbidden_prefixes_win() -> None:
    """What the administrator forbids is forbidden also where a network is allowed."""
    settings = Targets(networks=[ip_network("10.0.0.0/8")], forbidden=[ip_network("10.0.0.0/28")])
    assert vms(INVENTORY, settings) == []
    assert "settings forbid" in reasons(INVENTORY, settings)[0]


def test_prefixes_of_the_settings_allow() -> None:
    """An administrator may list prefixes instead of marking networks; external addresses need it."""
    outside = Interface(ip_address("203.0.113.9"), 2)
    assert vms(with_guest(interfaces=(outside,)), Targets(networks=[ip_network("203.0.113.0/24")])) == [
        "203.0.113.9:9100"
    ]


def test_foreign_addresses_only_where_allowed_and_inside_prefixes() -> None:
    """A foreign address is a way out of the VM: two keys of the administrator open it."""
    inventory = with_guest(wanted="10.0.0.8:9100 192.0.2.1:9100")
    settings = Targets(allow_foreign_targets=True, networks=[ip_network("10.0.0.0/24")])
    assert vms(inventory, settings) == ["10.0.0.8:9100"]
    assert "no network that an administrator allowed" in reasons(inventory, settings)[0]


def test_limits_of_a_vm_and_of_a_user() -> None:
    """One tenant must not fill Prometheus: the first targets stay, the others are refused."""
    many = with_guest(wanted="1 2 3 4 5")
    assert vms(many) == [f"10.0.0.7:{port}" for port in (1, 2, 3, 4)]
    assert "more than 4 targets of one VM" in reasons(many)[0]
    two = replace(INVENTORY, guests=(replace(GUEST, id=43), replace(GUEST, id=41), GUEST))
    settings = Targets(per_user=2)
    decision = decide(two, settings, everywhere)
    assert [target.labels["one_vm_id"] for target in decision.of("vms")] == ["41", "42"]
    assert decision.refusals[0].reason == "more than 2 targets of user 5"


def test_the_same_target_twice_is_one() -> None:
    """`9100, 10.0.0.7:9100` would be scraped twice."""
    twice = with_guest(wanted="9100, 10.0.0.7:9100")
    assert (vms(twice), reasons(twice)) == (["10.0.0.7:9100"], [])


def test_one_port_with_two_paths_is_said_to_be_refused() -> None:
    """Both would have one `instance`, and Prometheus would mix their samples; one that is lost must be listed."""
    paths = with_guest(wanted="9100/a 9100/b")
    assert vms(paths) == ["10.0.0.7:9100"]
    assert reasons(paths) == ["'9100/b': its address and port are a target already, with another path"]


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
    inventory = with_guest(interfaces=(Interface(V4, 1), Interface(V6, 1)))
    settings = Targets.model_validate({"family": family})
    decision = decide(inventory, settings, lambda address: address.version in routes)
    assert [target.address for target in decision.of("vms")] == ([expected] if expected else [])
    if not expected:
        assert "no route" in decision.refusals[0].reason


def test_one_tenant_changes_nothing_for_others() -> None:
    """What is refused leaves that target out, and nothing else changes."""
    bad = replace(GUEST, id=1, wanted="x" * 5000, labels="job=x")
    assert vms(replace(INVENTORY, guests=(bad, GUEST))) == vms(INVENTORY)


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["9100", "1 2 3 4 5 6", "x", ""]))))
def test_the_order_of_the_pool_does_not_matter(wanted: list[tuple[int, str]]) -> None:
    """Files that change without a reason make Prometheus drop and start targets."""
    guests = tuple({number: replace(GUEST, id=number, wanted=text) for number, text in wanted}.values())
    settings = Targets(per_user=5)

    def of(*given: Guest) -> Decision:
        return decide(replace(INVENTORY, guests=given), settings, everywhere)

    assert of(*guests) == of(*reversed(guests))


def test_groups_are_what_file_sd_takes() -> None:
    """Prometheus refuses a file with a label that is no text."""
    decision = decide(INVENTORY, Targets(), everywhere)
    for group in json.loads(json.dumps(groups(decision.targets))):
        assert isinstance(group["targets"], list)
        assert all(isinstance(value, str) for value in group["labels"].values())
