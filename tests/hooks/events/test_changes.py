"""Which event follows from two states, with which facts; which sink gets it, and with which signature."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from hooks.events import filters, signature
from hooks.events.changes import Change, Known, difference
from hooks.events.facts import Facts, Object, facts, of_host, unknown
from hooks.events.signature import InvalidKey, Key
from onext.cloud.model import AddressRange, Cluster, Disk, Host, Image, Network, Stay, Vm
from onext.cloud.snapshot import Cloud
from onext.settings.events import EventSink

VM = Object("vm", 7)
BASE: Facts = {"state": "ACTIVE", "lcm_state": 3, "host": 1, "name": "a"}


@pytest.mark.parametrize(
    ("changes", "verb"),
    [
        ({}, None),
        ({"name": "b"}, "updated"),
        ({"state": "POWEROFF"}, "state"),
        ({"lcm_state": 16}, "state"),
        ({"host": 2}, "moved"),
        ({"host": 2, "state": "POWEROFF"}, "moved"),
        ({"cpu": 2}, "updated"),
    ],
)
def test_a_change_is_named_by_what_matters_most(changes: Facts, verb: str | None) -> None:
    """A receiver that waits for moves would miss them, or get an event for nothing."""
    found = list(difference({VM: Known(BASE, "e1")}, {VM: {**BASE, **changes}}))
    assert [one.type for one in found] == ([f"io.opennebula.onext.vm.{verb}"] if verb else [])
    for one in found:
        assert one.before == {key: BASE[key] for key in changes if key in BASE}
        assert (one.facts, one.late) == ({**BASE, **changes}, False)


@pytest.mark.parametrize(
    ("before", "after", "verb"),
    [("", "192.0.2.1", "updated"), ("192.0.2.1", "192.0.2.2", "moved"), ("192.0.2.1", "192.0.2.1", None)],
)
def test_an_edge_node_moves_when_its_address_changes(before: str, after: str, verb: str | None) -> None:
    """A portal would show the machine where it was, or as moved when it had only joined."""
    node = Object("edge", 3)
    found = list(difference({node: Known({"address": before}, "e1")}, {node: {"address": after}}))
    assert [one.type.rpartition(".")[2] for one in found] == ([verb] if verb else [])


def test_objects_come_and_go_and_what_cannot_be_read_stays() -> None:
    """A portal would show a VM that is gone, or delete one that could not be read for a moment."""
    gone = {VM: Known(BASE, "e1", gone=True)}
    (back,) = difference(gone, {VM: BASE}, late=True)
    assert (back.type, back.before, back.late) == ("io.opennebula.onext.vm.created", {}, True)
    assert list(difference(gone, {})) == []
    there = {VM: Known(BASE, "e1")}
    (deleted,) = difference(there, {})
    assert (deleted.type, deleted.facts, deleted.before) == ("io.opennebula.onext.vm.deleted", BASE, {})
    assert list(difference(there, {}, unknown=[VM])) == []
    new = {Object("vm", 9): BASE, Object("host", 3): BASE, Object("vm", 2): BASE}
    assert [str(one.object) for one in difference({}, new)] == ["host/3", "vm/2", "vm/9"]
    assert len({one.id for one in difference({}, new)}) == 3
    assert all(len(one.id) == 32 for one in difference({}, new))


def test_facts_are_an_allow_list() -> None:
    """A secret out of a template would leave the cloud, or a figure be another one's."""
    disk = Disk(0, 10, "FILE", "FILE", "ssh", 1, 1, persistent=False, target="vda")
    stay = Stay(4, 1, "h", 100, 0, "kvm", "ssh", 0.0, 0.0, 0)
    cloud = Cloud.of(
        [
            Host(1, "h" * 129, 2, cluster_id=100, max_cpu=8, max_memory=9, vm_ids=frozenset({7, 8})),
            Host(2, "x", 99),
            Host(3, problem="?"),
        ],
        vms=[
            Vm(7, "a", 2, 3, state=3, lcm_state=16, cpu=1.5, memory=64, disks=(disk, disk), stay=stay,
               user_template={"PASSWORD": "x"}),
            Vm(8, "b\n", state=99),
        ],
        clusters=[Cluster(100, "c", frozenset({1, 2}), frozenset({5}), frozenset())],
        networks=[Network(4, "n", 2, 3, ranges=(AddressRange(0, 9, owners={(1 << 36) | 7: frozenset({1, 2})}), AddressRange(1, 5)))],
        images=[Image(6, "i", 2, 3, 1, 0, 50, 5, 2, persistent=True)],
    )  # fmt: skip
    assert facts(cloud) == {
        Object("vm", 7): {
            "name": "a", "state": "ACTIVE", "lcm_state": 16, "host": 1, "cluster": 100, "history": 4, "uid": 2, "gid": 3,
            "cpu": 1.5, "memory_mib": 64, "disk_mib": 20,
        },
        Object("vm", 8): {
            "name": "b?", "state": "STATE_99", "lcm_state": -1, "host": -1, "cluster": -1, "history": -1, "uid": -1, "gid": -1,
            "cpu": 0.0, "memory_mib": 0, "disk_mib": 0,
        },
        Object("host", 1): {
            "name": "h" * 127 + "…", "state": "MONITORED", "cluster": 100, "cpu": 8, "memory_kib": 9, "vms": 2,
            "geolocation": "", "power": "",
        },
        Object("host", 2): {
            "name": "x", "state": "STATE_99", "cluster": -1, "cpu": 0, "memory_kib": 0, "vms": 0, "geolocation": "", "power": "",
        },
        Object("cluster", 100): {"name": "c", "hosts": 2, "datastores": 1, "networks": 0},
        Object("network", 4): {"name": "n", "uid": 2, "gid": 3, "addresses": 14, "leases": 2},
        Object("image", 6): {
            "name": "i", "state": "READY", "uid": 2, "gid": 3, "size_mib": 50, "datastore": 5, "running_vms": 2,
            "persistent": 1,
        },
    }  # fmt: skip
    assert unknown(cloud) == {Object("host", 3)}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("59.25,18.5", "59.25,18.5"),
        ("-180,180", "-180,180"),
        ("-181,0", ""),
        ("0,180.5", ""),
        ("59.25", ""),
        ("1,2,3", ""),
        ("a,b", ""),
        ("", ""),
        ("1," + "0" * 61 + "2" + "9", ""),
        (" " * 58 + "1, 2.5", "1,2.5"),
        (" " * 59 + "1, 2.5", "1,2"),
    ],
)
def test_a_place_is_a_pair_of_coordinates(text: str, place: str) -> None:
    """A map would show a host in the sea, or text that a manager of the host wrote."""
    assert of_host(Host(1, template={"GEOLOCATION": text}))["geolocation"] == place


@pytest.mark.parametrize(
    ("state", "phase"), [({"PHASE": "off"}, "off"), ({"PHASE": "x"}, ""), ({}, ""), ("off", "")]
)
def test_a_phase_of_power_is_one_of_a_few_words(state: str | dict[str, str], phase: str) -> None:
    """Text that a manager of the host wrote would leave the cloud."""
    assert of_host(Host(1, template={"ONEXT_POWER_STATE": state}))["power"] == phase


@pytest.mark.parametrize(
    ("types", "clusters", "kind", "thing", "passes"),
    [
        ((), (), "vm.state", VM, True),
        (("*.state",), (), "vm.state", VM, True),
        (("*",), (), "vm.state", VM, False),
        (("vm.*.*",), (), "vm.state", VM, False),
        (("host.*", "vm.moved"), (), "vm.moved", VM, True),
        ((), (100,), "vm.state", VM, True),
        ((), (101, 102), "vm.state", VM, False),
        ((), (7,), "cluster.updated", Object("cluster", 7), True),
        ((), (100,), "cluster.updated", Object("cluster", 7), False),
        (("vm.*",), (101,), "vm.state", VM, False),
    ],
)
def test_a_sink_gets_what_its_settings_name(
    types: tuple[str, ...], clusters: tuple[int, ...], kind: str, thing: Object, passes: bool
) -> None:
    """A tenant's receiver would get what is not meant for it, or miss its own events."""
    change = Change("1", f"io.opennebula.onext.{kind}", thing, {"cluster": 100})
    assert filters.accepts(EventSink(name="s", types=types, clusters=clusters))(change) is passes


@pytest.mark.parametrize(
    ("prefix", "size", "reason"),
    [
        ("whsec_", 23, "a symmetric key has 24 to 64 bytes"),
        ("whsec_", 24, ""),
        ("whsec_", 64, ""),
        ("whsec_", 65, "a symmetric key has 24 to 64 bytes"),
        ("whsk_", 31, "an ed25519 key has 32 bytes"),
        ("whsk_", 32, ""),
        ("whsk_", 33, "an ed25519 key has 32 bytes"),
        ("whpk_", 32, "a signing key begins with whsec_ or whsk_"),
    ],
)
def test_a_key_has_the_length_of_the_specification(prefix: str, size: int, reason: str) -> None:
    """Receivers could not verify any event, or a key be guessed."""
    text = prefix + base64.b64encode(b"k" * size).decode()
    if reason:
        with pytest.raises(InvalidKey) as refused:
            Key.parse(text)
        assert str(refused.value) == reason
    else:
        key = Key.parse(text)
        assert (key.secret, key.asymmetric) == (b"k" * size, prefix == "whsk_")
        assert "k" * size not in repr(key)


def test_while_a_key_is_rotated_both_sign() -> None:
    """A receiver that has the old or the new key refuses every event."""
    keys = [Key(b"a" * 24), Key(b"b" * 24)]
    found = signature.headers(keys, "id", 17, b"body")
    signed = [
        base64.b64encode(hmac.new(key.secret, b"id.17.body", hashlib.sha256).digest()).decode()
        for key in keys
    ]
    assert found == {
        "webhook-id": "id",
        "webhook-timestamp": "17",
        "webhook-signature": f"v1,{signed[0]} v1,{signed[1]}",
    }
    assert Key(b"a" * 32, asymmetric=True).sign("id", 17, b"body").startswith("v1a,")
    with pytest.raises(InvalidKey, match="is base64"):
        Key.parse("whsec_!")
