"""A cluster from objects that are written down: each rule that decides about a host, at its limit."""

from collections.abc import Sequence
from typing import Any

import pytest

from onext.cloud import model
from onext.cloud.model import Stay
from onext.cloud.snapshot import Cloud
from onext.hosts.claims import HostRecord
from onext.hosts.inventory.cluster import exclusion, host_problem, observe, readable, vector_of
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.model import Bmc, Claim, Cluster, Host, Phase
from onext.hosts.placement.problem import Size
from onext.oned.documents import Stored
from onext.oned.objects import HostState
from onext.settings.power import Power
from onext.xml import Element, parse

NOW = 1_800_000_000.0
HERE = "this-front-end"


def node(number: int = 1, **changes: Any) -> model.Host:
    usual: dict[str, Any] = {
        "name": f"node-{number}",
        "state": 2,
        "cluster_id": 100,
        "max_cpu": 800,
        "max_memory": 1 << 20,
    }
    return model.Host(number, **{**usual, **changes})


def vm(number: int, host: int = 1, **changes: Any) -> model.Vm:
    stay = Stay(0, host, "", 100, 0, "kvm", "shared", 1.0, 0.0, 0) if host >= 0 else None
    usual: dict[str, Any] = {
        "name": f"vm-{number}",
        "state": 3,
        "lcm_state": 3,
        "uid": 5,
        "gid": 105,
        "stay": stay,
    }
    return model.Vm(number, **{**usual, **changes})


def seen(
    hosts: Sequence[model.Host],
    vms: Sequence[model.Vm] = (),
    datastores: Sequence[model.Datastore] = (),
    cluster: model.Cluster | None = None,
    power: Power | None = None,
    **beside: Any,
) -> Cluster:
    cloud = Cloud.of(hosts, vms, [cluster or model.Cluster(100, "alpha")], datastores)
    return observe(Snapshot(cloud, **beside), 100, power or Power(), NOW)


def only(**how: Any) -> Host:
    beside = {
        key: how.pop(key)
        for key in list(how)
        if key in ("bmcs", "sleepers", "records", "monitored", "vms", "power", "datastores")
    }
    (found,) = seen([node(**how)], **beside).hosts
    return found


def test_hosts_of_the_cluster_are_in_order_and_the_others_are_not_there() -> None:
    """Hosts of another cluster would be switched off by this one's policy."""
    here = seen([node(9), node(2), node(3, cluster_id=101)], [vm(1, 2), vm(2, 3), vm(3, -1, state=1)])
    assert [host.id for host in here.hosts] == [2, 9]
    assert [one.id for one in here.vms] == [1, 3]


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({"host": 1}, True),
        ({"host": 0}, True),
        ({"host": 2}, False),
        ({"host": -1, "state": 1}, True),
        ({"host": -1, "state": 1, "template": {"AUTOMATIC_REQUIREMENTS": "ID = 77"}}, False),
        ({"host": -1, "state": 1, "template": {"AUTOMATIC_REQUIREMENTS": "ID = 1"}}, True),
        ({"host": 1, "template": {"AUTOMATIC_REQUIREMENTS": "ID = 77"}}, True),
        ({"host": 0, "template": {"AUTOMATIC_REQUIREMENTS": "ID = 77"}}, True),
        ({"host": -1, "problem": "x"}, False),
        ({"host": -1, "problem": "x", "named_host": 0}, True),
        ({"host": -1, "problem": "x", "named_host": 2}, False),
    ],
)
def test_which_vms_concern_a_cluster(changes: dict[str, Any], there: bool) -> None:
    """A VM that nobody counts loses its host; one of another cluster would hold this one's hosts on."""
    host = changes.pop("host")
    here = seen([node(0), node(1), node(2, cluster_id=101)], [vm(7, host, **changes)])
    assert bool(here.vms) is there
    elsewhere = seen([node(1)], [vm(7, -1, problem="x", named_host=0)])
    assert not elsewhere.vms, "host 0 is another cluster's"


def test_a_vm_without_a_place_of_its_own_is_where_a_host_lists_it() -> None:
    """Its host would look empty."""
    here = seen([node(0), node(1, vm_ids=frozenset({7}))], [vm(7, -1, problem="x")])
    assert [(one.id, one.host) for one in here.vms] == [(7, 1)]
    assert here.problems == ("VM 7 (vm-7): it cannot be read: x",)


@pytest.mark.parametrize(
    ("automation", "plan", "datastores", "held"),
    [
        ("", -1, (), ""),
        ("manual", 0, (model.Datastore(1),), ""),
        ("Full", -1, (), "OneDRS acts by itself here (AUTOMATION = full)"),
        ("partial", -1, (), "OneDRS acts by itself here (AUTOMATION = partial)"),
        ("", 1, (), "OneDRS is applying a plan here"),
        ("", 2, (), ""),
        ("", -1, (model.Datastore(1), model.Datastore(2, problem="x")), "datastore 2 cannot be read, and so not which hosts it needs"),
    ],
)  # fmt: skip
def test_when_a_cluster_does_not_shrink(
    automation: str, plan: int, datastores: Sequence[model.Datastore], held: str
) -> None:
    """Two planners would move the same VMs."""
    cluster = model.Cluster(100, "alpha", plan_state=plan, template={"ONE_DRS": {"AUTOMATION": automation}})
    assert seen([node()], datastores=datastores, cluster=cluster).held == held


@pytest.mark.parametrize(
    ("claim", "size", "found"),
    [
        (None, (800, 2 << 20), Size(800, 2048)),
        (None, (800, (2 << 20) - 1), Size(800, 2047)),
        (Claim(Phase.OFF, NOW, capacity={"MAX_CPU": "1600", "MAX_MEM": "4194304"}), (0, 0), Size(1600, 4096)),
        (
            Claim(Phase.OFF, NOW, capacity={"MAX_CPU": "1600", "MAX_MEM": "4194304"}),
            (800, 2 << 20),
            Size(800, 2048),
        ),
        (Claim(Phase.OFF, NOW), (0, 0), Size(0, 0)),
        (None, (0, 0), Size(0, 0)),
    ],
)
def test_how_large_a_host_is(claim: Claim | None, size: tuple[int, int], found: Size) -> None:
    """VMs would be planned onto room that is not there, or a sleeping host fit nobody."""
    records = {1: Stored(1, 1, 1, HostRecord("node-1", claim))}
    assert only(max_cpu=size[0], max_memory=size[1], records=records).size == found


@pytest.mark.parametrize(
    ("phase", "said", "sleeper", "found"),
    [
        (Phase.OFF, Bmc.SILENT, True, Bmc.OFF),
        (Phase.STOPPING, Bmc.SILENT, True, Bmc.OFF),
        (Phase.WAKING, Bmc.SILENT, True, Bmc.OFF),
        (Phase.OFF, Bmc.SILENT, False, Bmc.SILENT),
        (Phase.OFF, Bmc.ON, True, Bmc.ON),
        (Phase.DRAINING, Bmc.SILENT, True, Bmc.SILENT),
        (None, Bmc.SILENT, True, Bmc.SILENT),
        (None, None, True, Bmc.NONE),
    ],
)
def test_when_silence_is_sleep(phase: Phase | None, said: Bmc | None, sleeper: bool, found: Bmc) -> None:
    """A host that is broken would count as asleep, or one that sleeps hold the cluster."""
    claim = Claim(phase, NOW) if phase else None
    records = {1: Stored(1, 1, 1, HostRecord("node-1", claim))}
    host = only(
        bmcs={1: said} if said else {},
        sleepers=frozenset({1} if sleeper else ()),
        records=records,
    )
    assert (host.bmc, host.sleeper) == (found, sleeper)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("", (100.0, 250.0)),
        ("80,200", (80.0, 200.0)),
        (" 80 , 200 ,", (80.0, 200.0)),
        ("0,1e5", (0.0, 100_000.0)),
        (",".join(str(n) for n in range(11)), tuple(float(n) for n in range(11))),
        (",".join(str(n) for n in range(12)), (100.0, 250.0)),
        (",".join(str(n) for n in range(13)), (100.0, 250.0)),
        ("80", (100.0, 250.0)),
        ("80,x", (100.0, 250.0)),
        ("80,x,200", (100.0, 250.0)),
        ("-1,200", (100.0, 250.0)),
        ("80,100001", (100.0, 250.0)),
    ],
)
def test_the_watts_of_a_host_are_its_own_or_the_settings(text: str, points: tuple[float, ...]) -> None:
    """Half a curve would be believed, and the wrong hosts switched off first."""
    curve = only(template={"ONEXT_POWER_WATTS": text}).curve
    assert (curve.points, curve.off, curve.source) == (points, 8.0, "model")


@pytest.mark.parametrize(
    ("actions", "due"),
    [
        ((), float("inf")),
        ((str(NOW),), NOW),
        ((str(NOW - 1),), float("inf")),
        ((str(NOW + 60), str(NOW + 30), str(NOW + 90)), NOW + 30),
        (("+100",), NOW + 50),
        (("+40",), float("inf")),
        (("x", "-5", "1e12", str(NOW + 30)), NOW + 30),
    ],
)
def test_when_the_next_action_of_a_hosts_vms_is_due(actions: tuple[str, ...], due: float) -> None:
    """A host would be switched off a minute before its VM starts, or stay on for one of last year."""
    assert only(vms=[vm(7, actions=actions, began=NOW - 50)]).due == due
    two = [vm(7, actions=(str(NOW + 60),)), vm(8, actions=actions, began=NOW - 50)]
    assert only(vms=two).due == min(due, NOW + 60)


@pytest.mark.parametrize(
    ("template", "name", "front_ends", "why"),
    [
        ({}, "node-a", (), ""),
        ({"ONEXT_POWER_EXCLUDE": "no"}, "node-a", (), ""),
        *(({"ONEXT_POWER_EXCLUDE": yes}, "node-a", (), "ONEXT_POWER_EXCLUDE is set") for yes in ("yes", "TRUE", "1")),
        ({"ONEXT_POWER_ROLE": "storage"}, "node-a", (), "its role: storage"),
        ({}, "node-a", ("NODE-A.example.org",), "it runs a front-end, Prometheus or storage"),
        ({}, "Node-A.example.org", ("node-a",), "it runs a front-end, Prometheus or storage"),
        ({}, HERE, (), "it runs a front-end, Prometheus or storage"),
        ({}, "10.0.0.5", ("10.0.0.6",), ""),
        ({}, "10.0.0.5", ("10.0.0.5",), "it runs a front-end, Prometheus or storage"),
        ({}, "fe80::a.b", ("fe80::a.c",), ""),
    ],
)  # fmt: skip
def test_what_a_host_says_of_itself(
    template: dict[str, str], name: str, front_ends: tuple[str, ...], why: str
) -> None:
    """The front-end that wakes all others would switch itself off."""
    assert exclusion(lambda key: template.get(key, ""), name, front_ends, HERE) == why


def test_hosts_that_datastores_need_stay_on() -> None:
    """Images could not be copied any more, and no VM start."""
    stores = [
        model.Datastore(1, "images", template={"BRIDGE_LIST": "node-1 node-2 node-3"}),
        model.Datastore(2, "remote", template={"REPLICA_HOST": "node-4"}),
        model.Datastore(3, "lost", template={"BRIDGE_LIST": "node-1 elsewhere"}),
        model.Datastore(4, "none", template={"BRIDGE_LIST": ""}),
    ]
    hosts = [node(1, state=8), node(2, state=1), node(3), node(4), node(5)]
    found = {host.id: host.excluded for host in seen(hosts, datastores=stores).hosts}
    assert found == {
        1: "",
        2: "datastore images needs an enabled host of its BRIDGE_LIST",
        3: "",
        4: "it is REPLICA_HOST of datastore remote",
        5: "",
    }


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        ({}, HostState.MONITORED, ""),
        ({"state": 99}, HostState.INIT, "its state 99 is unknown to this version"),
        ({"problem": "x"}, HostState.MONITORED, "it cannot be read: x"),
    ],
)
def test_C7_a_host_that_cannot_be_read_is_left_and_named(
    changes: dict[str, Any], state: HostState, why: str
) -> None:
    """It ended the round of every cluster."""
    assert host_problem(node(**changes)) == why
    here = seen([node(1, **changes)])
    assert (here.hosts[0].state, here.hosts[0].excluded) == (state, why)
    assert here.problems == ((f"host 1: {why}",) if why else ())


def test_requirements_see_a_host_as_oned_does() -> None:
    """A VM would find no host, or one that its owner excluded."""
    host = node(
        1,
        previous_state=3,
        im_mad="kvm",
        vm_mad="qemu",
        cluster="alpha",
        template={"RACK": "7", "V": {"A": "1"}},
    )
    asked = (
        "ID=1",
        'NAME="node-1"',
        "STATE=2",
        "PREV_STATE=3",
        "IM_MAD=kvm",
        "VM_MAD=qemu",
        "CLUSTER_ID=100",
        "CLUSTER=alpha",
        "RACK=7",
    )
    for text in asked:
        waits = vm(7, -1, state=1, template={"AUTOMATIC_REQUIREMENTS": text})
        assert seen([host], [waits]).vms, text
    assert not seen([host], [vm(7, -1, state=1, template={"AUTOMATIC_REQUIREMENTS": "V=1"})]).vms


def template(uid: str, memory: str) -> Element:
    return parse(
        f"<VMTEMPLATE><UID>{uid}</UID><TEMPLATE><CPU>1</CPU><MEMORY>{memory}</MEMORY></TEMPLATE></VMTEMPLATE>"
    )


def test_only_oneadmins_templates_are_flavours() -> None:
    """A tenant would raise the buffer with a template that he never starts."""
    templates = (template("0", "512"), template("5", "9999"), template("0", "x"))
    assert seen([node()], templates=templates).flavours == (Size(100, 512),)


def test_a_host_brings_what_was_found_of_it() -> None:
    """A host without monitoring would count as fresh, or a pinned one take the buffer."""
    host = only(monitored={1: NOW - 5}, wild_vms=2, template={"PIN_POLICY": "pinned"})
    assert (host.monitored, host.wild, host.pinned, host.bmc_error) == (NOW - 5, 2, True, "")
    bare = only()
    assert (bare.monitored, bare.wild, bare.pinned, bare.due) == (0.0, 0, False, float("inf"))


def test_a_vector_of_one_object_is_read_or_empty() -> None:
    """The guard would read no policy and switch off what the manager excluded."""
    element = parse("<CLUSTER><TEMPLATE><A><B>1</B></A><C>text</C></TEMPLATE></CLUSTER>")
    assert (vector_of(element, "A"), vector_of(element, "C"), vector_of(element, "D")) == ({"B": "1"}, {}, {})
    with pytest.raises(KeyError):
        readable(Cloud.of(), 100)
