"""A large pool at once, for benchmarks: hosts that are monitored, and VMs that run on them, evenly."""

import time
from typing import TYPE_CHECKING

from sandbox import assembly
from sandbox.life.domains import follow
from sandbox.state.cluster import Cluster
from sandbox.state.history import BY_HAND
from sandbox.state.host import Host
from sandbox.state.names import LCM, HostState, VMState
from sandbox.state.network import Range, VNet
from sandbox.state.resources import Image
from sandbox.state.vm import VM
from sandbox.state.world import OWN, reserving
from sandbox.template import Template

if TYPE_CHECKING:
    from sandbox.frontend import FrontEnd

_NETWORK = """VN_MAD="dummy" BRIDGE="br1" BRIDGE_TYPE="linux" NETWORK_ADDRESS="10.64.0.0"
NETWORK_MASK="255.255.0.0" GATEWAY="10.64.0.1" DNS="10.64.0.1" SECURITY_GROUPS="0" PHYDEV="" VLAN_ID=""
OUTER_VLAN_ID="" """
_GUEST = """CPU=0.5 VCPU=1 MEMORY=512 HYPERVISOR="dummy" LOGO="images/logos/linux.png" FLAVOURS="green"
PROMETHEUS_EXPORTER="9101" SUBMIT_ON_HOLD="YES" DISK=[IMAGE_ID=0] NIC=[NETWORK_ID=0]
GRAPHICS=[LISTEN="127.0.0.1",TYPE="VNC"] OS=[ARCH="x86_64"] CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY=""]"""


def populate(front: "FrontEnd", hosts: int, vms: int) -> None:
    """Fill an empty front-end: cluster 100 `pool`, its hosts `node-0000` …, the VMs `vm-00000` …."""
    world = front.world
    cluster = world.clusters.add(Cluster(name="pool", id=OWN, template=reserving(), datastores=[0, 1, 2]))
    for store in world.datastores:
        store.cluster_ids.append(OWN)
    world.images.add(Image(name="disk0", size=1024, datastore=world.datastores.get(1)))
    network = VNet(name="net-large", template=Template.parse(_NETWORK), cluster_ids=[OWN])
    world.vnets.add(network)
    cluster.vnets.append(network.id)
    mac = "02:00:0a:40:00:0a"
    network.ranges = [
        Range(0, {"TYPE": "IP4", "IP": "10.64.0.10", "MAC": mac, "SIZE": str(max(vms, 1) + 100)})
    ]
    places = [_host(front, cluster, number) for number in range(hosts)]
    for number in range(vms):
        _guest(front, places[number % hosts], number)


def _host(front: "FrontEnd", cluster: Cluster, number: int) -> Host:
    host = Host(
        name=f"node-{number:04}",
        im_mad="dummy",
        vm_mad="dummy",
        template=reserving(),
        machine=front.world.machine(),
    )
    host.template.put("IM_MAD", "dummy")
    host.template.put("VM_MAD", "dummy")
    host.cluster_id, host.cluster = cluster.id, cluster.name
    cluster.hosts.append(front.world.hosts.add(host).id)
    host.learn(cluster.reserved())
    host.measure(front.pace.keep)
    host.prev_state = HostState.MONITORED
    return host


def _guest(front: "FrontEnd", host: Host, number: int) -> None:
    ours, owners = assembly.split(Template.parse(_GUEST))
    vm = VM(name=f"vm-{number:05}", template=ours, user_template=owners, stime=int(time.time()))
    front.world.vms.add(vm)
    assembly.complete(front.world, vm)
    front.vm_life.stays.arrive(vm, host, 0, BY_HAND)
    stay = vm.stay
    stay.petime = stay.rstime = stay.pstime
    vm.state = vm.prev_state = VMState.ACTIVE
    vm.lcm = vm.prev_lcm = LCM.RUNNING
    vm.deploy_id = f"{host.name}:{vm.name}:dummy"
    follow(front.world.hosts, vm)
    vm.measure(front.pace.keep)
