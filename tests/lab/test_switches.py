"""What the administrator decides: which migrations, what without a tunnel, TLS, slow lines; and `onext tunnel` on nodes."""

import base64
import json
import subprocess

import pytest

from tests.lab.capture import Capture
from tests.lab.certificates import issue
from tests.lab.conftest import OpenLab
from tests.lab.laboratory import Laboratory, Network
from tests.lab.node import Node
from tests.lab.scenario import action_xml, arguments, leftovers, migrate, runs_on
from tests.lab.vm import VM

RUN = "/var/tmp/one/vmm/kvm/onext_migrate/run"


def ask(node: Node, *words: str) -> dict[str, object]:
    """Run a node command as the front-end does, over ssh's account."""
    answer = json.loads(node.run("sh", RUN, *words, user="oneadmin").stdout)
    assert isinstance(answer, dict)
    return answer


def configure(lab: Laboratory, conf: str = "", kvmrc: str = "", clusters: str = "") -> None:
    """Configure both nodes alike, as a sync does."""
    for node in lab.nodes:
        node.configure(conf, kvmrc, clusters)


def test_between_clusters(lab: Laboratory, vm: VM) -> None:
    """Within a cluster no time is spent on a tunnel; to another one it is not forgotten."""
    configure(lab, 'TUNNEL="between-clusters"\n', clusters="lab-a 100\nlab-b 101\n")
    to_cluster = migrate(vm, lab.a, lab.b, xml=action_xml(vm, "101"))
    assert to_cluster.done.exit_code == 0
    assert "went through the tunnel" in to_cluster.log
    configure(lab, 'TUNNEL="between-clusters"\n', clusters="lab-a 101\nlab-b 101\n")
    within = migrate(vm, lab.b, lab.a, xml=action_xml(vm, "101"))
    assert within.done.exit_code == 0
    assert "migrate:" not in within.log


def test_off_and_on(lab: Laboratory, vm: VM) -> None:
    """Whatever tunnels do wrong, one command takes them out of the way from the next migration on."""
    assert ask(lab.a, "off") == {"off": True}
    without = migrate(vm, lab.a, lab.b)
    assert without.done.exit_code == 0
    assert "switched off on this host" in without.log
    assert ask(lab.a, "list")["off"] is True
    ask(lab.a, "on")
    ask(lab.b, "off")  # the destination's mark is the destination's: it is asked when it is a source
    assert "switched off" in migrate(vm, lab.b, lab.a).log
    assert "went through the tunnel" in migrate(vm, lab.a, lab.b).log


def test_a_node_that_was_not_synced(lab: Laboratory, vm: VM) -> None:
    """A flush of a failing host must not end because its neighbour has an old driver; a requirement must."""
    lab.b.run("rm", "-rf", "/var/tmp/one/vmm/kvm/onext_migrate")
    configure(lab, 'REQUIRE_TUNNEL="YES"\n')
    refused = migrate(vm, lab.a, lab.b)
    assert refused.done.exit_code == 1
    assert "REQUIRE_TUNNEL=YES: not migrated" in refused.log
    assert runs_on(lab, vm) == ["lab-a"]
    configure(lab)
    direct = migrate(vm, lab.a, lab.b)
    assert direct.done.exit_code == 0
    assert "onehost sync --force lab-b" in direct.log
    assert leftovers(lab) == []


def test_check_and_list(lab: Laboratory) -> None:
    """Before the first migration an administrator wants to know whether it works, how large, how fast."""
    found = ask(lab.a, "check", "lab-b")
    assert (found["datapath"], found["mtu"]) == ("kernel", 1450)
    assert isinstance(found["mbit_s"], float)
    listed = ask(lab.a, "list")
    assert (listed["tunnels"], listed["missing"], listed["ovs"]) == ([], [], False)
    assert leftovers(lab) == []


@pytest.mark.parametrize("on_b", ["none", "broken"])
def test_ovs_on_one_node_only(use_lab: OpenLab, on_b: str) -> None:
    """A cloud is not upgraded in one night: both ends must agree on what both have, in either direction."""
    lab = use_lab(Network(ovs=True, on_b=on_b))
    configure(lab, 'ON_TUNNEL_FAILURE="refuse"\n')
    assert (ask(lab.a, "list")["ovs"], ask(lab.b, "list")["ovs"]) == (True, False)
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    there = migrate(vm, lab.a, lab.b)
    assert there.done.exit_code == 0, there.log
    assert "no ovs tunnel: lab-b: no Open vSwitch that works on this host" in there.log
    back = migrate(vm, lab.b, lab.a)
    assert back.done.exit_code == 0, back.log
    for one in (there, back):
        assert "(kernel, MTU" in one.log
        assert "went through the tunnel" in one.log
    assert runs_on(lab, vm) == ["lab-a"]
    assert leftovers(lab) == []


@pytest.mark.parametrize("ovs", [False, True])
def test_leftovers_are_reaped(use_lab: OpenLab, ovs: bool) -> None:
    """Both ends' helpers are killed at once: what they held is taken away by the probe, and what is used is not."""
    lab = use_lab(Network(ovs=ovs))
    code = (
        "import sys, os; sys.path.insert(0, '/var/tmp/one/vmm/kvm'); from onext_migrate import endpoint_device;"
        "from onext_migrate.identity import identify; from onext_migrate.endpoint_spec import EndpointSpec;"
        f"kind, port, device = {('ovs', 4789, 'br-phy') if ovs else ('kernel', 4790, 'ul0')!r};"
        "endpoint_device.build(EndpointSpec(kind, identify('10.99.0.1', '10.99.0.2', kind, port), device, 1450, port))"
    )
    lab.a.run("python3", "-c", code, user="oneadmin")
    assert lab.a.tunnels()
    shown = ask(lab.a, "list")["tunnels"]
    assert isinstance(shown, list)
    assert [(one["remote"], one["used"]) for one in shown] == [("10.99.0.2", False)]
    assert ask(lab.a, "reap")["reaped"] == [shown[0]["name"]]
    assert lab.a.tunnels() == set()


def test_the_next_migration_reaps(lab: Laboratory, vm: VM) -> None:
    """Both ends crashed long ago, towards a host that is gone: the next migration cleans up."""
    add = ["ip", "link", "add", "oxt0123456789a", "type", "vxlan", "id", "5", "dev", "ul0", "dstport", "4799"]
    lab.a.run(*add, "remote", "10.99.0.77")
    assert migrate(vm, lab.a, lab.b).done.exit_code == 0
    assert leftovers(lab) == []


def test_the_previous_protocol(lab: Laboratory) -> None:
    """Nodes are synced one after the other: an old source must find its tunnel on a new node, and leave none."""
    opening = {"protocol": 1, "kind": "kernel", "local": "10.99.0.2", "remote": "10.99.0.1", "salt": 0}
    held = subprocess.Popen(lab.b.command("sh", RUN, "hold"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert held.stdin is not None
    assert held.stdout is not None
    with held, held.stdin:
        held.stdin.write(json.dumps(opening).encode() + b"\n")
        held.stdin.flush()
        ready = json.loads(held.stdout.readline())
        assert (ready["ready"], ready["mtu"], ready["built"]) == (True, 1450, True)
        assert lab.b.tunnels()
    assert leftovers(lab) == []


def test_as_a_local_action(lab: Laboratory, vm: VM) -> None:
    """With `-l migrate` OpenNebula calls the driver on the front-end, in base64: the source does the work."""
    front_end = lab.b  # it reaches node a over ssh, as a front-end does
    encoded = base64.b64encode(action_xml(vm))
    done = front_end.run(*arguments(vm, lab.a, "lab-b"), user="oneadmin", stdin=encoded)
    assert "went through the tunnel" in done.stderr
    assert runs_on(lab, vm) == ["lab-b"]
    refused = front_end.run(*arguments(vm, lab.a, "nobody"), user="oneadmin", stdin=encoded, check=False)
    assert refused.exit_code == 1
    assert leftovers(lab) == []


def test_hosts_with_another_way_to_make_addresses(lab: Laboratory, vm: VM) -> None:
    """A hardened host's devices get no address of their MAC: its tunnels would have none, and all go direct."""
    default = "/proc/sys/net/ipv6/conf/default/addr_gen_mode"
    configure(lab, 'ON_TUNNEL_FAILURE="refuse"\n')
    for node in lab.nodes:
        node.sh(f"echo 1 >{default}")
    try:
        result = migrate(vm, lab.a, lab.b)
    finally:
        for node in lab.nodes:
            node.sh(f"echo 0 >{default}")
    assert result.done.exit_code == 0, result.log


def test_the_probe(lab: Laboratory) -> None:
    """A monitoring probe prints what monitord can read, whatever the node lacks."""
    said = lab.a.run("sh", "/var/tmp/one/im/kvm-probes.d/host/system/onext_tunnels.sh", user="oneadmin")
    assert said.stdout == "ONEXT_TUNNELS=0\n"


def test_taken_names_give_way(lab: Laboratory, vm: VM) -> None:
    """A VNI in use on the same port is not a reason to go without a tunnel."""
    vni = lab.a.run(
        "python3",
        "-c",
        (
            "import sys; sys.path.insert(0, '/var/tmp/one/vmm/kvm'); from onext_migrate.identity import identify;"
            "print(identify('10.99.0.1', '10.99.0.2', 'kernel', 4790).vni)"
        ),
    ).stdout.strip()
    lab.b.run(
        "ip",
        "link",
        "add",
        "theirs",
        "type",
        "vxlan",
        "id",
        vni,
        "remote",
        "10.99.0.1",
        "dev",
        "ul0",
        "dstport",
        "4790",
    )
    try:
        result = migrate(vm, lab.a, lab.b)
        assert "theirs" in lab.b.devices()
    finally:
        lab.b.run("ip", "link", "delete", "theirs")
    assert result.done.exit_code == 0, result.log
    assert "taken, trying another" in result.log
    assert "went through the tunnel" in result.log
    assert leftovers(lab) == []


def test_tls(lab: Laboratory, vm: VM) -> None:
    """VXLAN encrypts nothing: with TLS the VM's memory cannot be read in the tunnel either."""
    for node in lab.nodes:
        issue(lab.folder / "ca", node.name, node.folder / "etc/pki/qemu")
        node.stop_libvirt()
        node.start_libvirt()
    configure(lab, 'TLS="YES"\n')
    with Capture(lab, vm.marker) as capture:
        result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert capture.bytes["vxlan"] > 50_000_000
    assert not any(capture.markers.values()), capture.markers


@pytest.mark.parametrize(
    "option", ['AUTO_CONVERGE="YES"', 'BANDWIDTH="500"', 'PARALLEL="2"', 'POSTCOPY_AFTER="1"\nBANDWIDTH="10"']
)
def test_options_for_slow_lines(lab: Laboratory, vm: VM, option: str) -> None:
    """Each of them works through the tunnel, merged with the node's own kvmrc."""
    configure(lab, option + "\n", kvmrc='MIGRATE_OPTIONS="--unsafe"\n')
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "went through the tunnel" in result.log
    assert ("post-copy after 1 s" in result.log) == ("POSTCOPY" in option)
    assert runs_on(lab, vm) == ["lab-b"]
    assert leftovers(lab) == []
