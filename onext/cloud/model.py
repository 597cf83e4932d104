"""The objects of a cloud as the parts see them: small frozen values, read once from oned's XML.

States are numbers as oned sends them: a newer OpenNebula may have more than HostState and VmState name.
Times are Unix times, memory of VMs and sizes of disks are MiB, memory of hosts is KiB, CPU of VMs is in
cores, CPU of hosts in hundredths of a core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onext.oned.objects import RUNNING, VmState

Attribute = str | Mapping[str, str]
Template = Mapping[str, Attribute]  # of a repeated attribute the last one
LEASED_BY_VM = 1 << 4  # PoolObjectSQL::VM without the 32 bits of the id
UNKNOWN = -1  # the state of an object that could not be read


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface of a VM; whether its addresses are leased to it only the network can tell."""

    id: int
    kind: str  # NIC, NIC_ALIAS or PCI
    network_id: int  # -1: none
    address_range: int  # AR_ID, -1: none
    mode: str  # NETWORK_MODE: auto, dummy, …
    mac: str
    addresses: tuple[tuple[str, str], ...]  # (attribute, text): IP, IP6, IP6_GLOBAL, IP6_ULA, EXTERNAL_IP


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a VM."""

    id: int
    size: int  # MiB; 0: unknown
    type: str  # FILE, BLOCK, RBD, FS, FILESYSTEM, …
    disk_type: str
    tm_mad: str
    datastore_id: int  # -1: none, such as a volatile disk
    image_id: int
    persistent: bool
    target: str


@dataclass(frozen=True, slots=True)
class Stay:
    """A VM's last history record: where it is, or was last."""

    seq: int
    host_id: int
    host: str
    cluster_id: int
    datastore_id: int
    vm_mad: str
    tm_mad: str
    began: float
    ended: float  # 0: not yet
    action: int


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM; one with a `problem` could not be read whole.

    Then it has its id and, where they can be found, `name` and `named_host`, the host of its last history
    record; nothing may be concluded from its other values.
    """

    id: int
    name: str = ""
    uid: int = -1
    gid: int = -1
    user: str = ""
    group: str = ""
    state: int = UNKNOWN
    lcm_state: int = UNKNOWN
    previous_state: int = UNKNOWN
    began: float = 0.0  # STIME
    deploy_id: str = ""
    locked: int = 0  # LOCK/LOCKED: 0 none, 1 use, 2 manage, 3 admin, 4 all
    resched: bool = False
    cpu: float = 0.0
    memory: int = 0
    vcpu: int = 0
    nics: tuple[Nic, ...] = ()
    disks: tuple[Disk, ...] = ()
    actions: tuple[str, ...] = ()  # SCHED_ACTION/TIME as written: absolute, or "+seconds" after `began`
    template: Template = field(default_factory=dict)  # without CONTEXT, DISK, NIC, SECURITY_GROUP_RULE
    user_template: Template = field(default_factory=dict)
    passes_device: bool = False  # a RAW of one of its templates names a hostdev
    stay: Stay | None = None
    named_host: int = -1
    problem: str = ""

    @property
    def host_id(self) -> int:
        """The host of the last history record, -1 without one."""
        return self.stay.host_id if self.stay else -1

    @property
    def cluster_id(self) -> int:
        """The cluster of the last history record, -1 without one."""
        return self.stay.cluster_id if self.stay else -1

    @property
    def running(self) -> bool:
        """Whether the VM runs and is not being moved."""
        return self.state == VmState.ACTIVE and self.lcm_state == RUNNING

    @property
    def requirements(self) -> tuple[str, ...]:
        """The expressions that a host must meet: OpenNebula's own and the owner's."""
        own = scalar(self.template, "AUTOMATIC_REQUIREMENTS")
        asked = scalar(self.user_template, "SCHED_REQUIREMENTS")
        return tuple(text for text in (own, asked) if text.strip())


@dataclass(frozen=True, slots=True)
class Host:
    """A hypervisor node; one with a `problem` could not be read whole.

    Then it has its id and, where they can be found, `name` and `cluster_id`.
    """

    id: int
    name: str = ""
    state: int = UNKNOWN
    previous_state: int = UNKNOWN
    cluster_id: int = -1
    cluster: str = ""
    im_mad: str = ""
    vm_mad: str = ""
    total_cpu: int = 0
    max_cpu: int = 0
    cpu_usage: int = 0
    total_memory: int = 0
    max_memory: int = 0
    memory_usage: int = 0
    vm_ids: frozenset[int] = frozenset()
    wild_vms: int = 0  # VMs on it that OpenNebula does not know
    template: Template = field(default_factory=dict)  # without the VM vectors of monitoring
    problem: str = ""

    def text(self, key: str) -> str:
        """Return a scalar of the template, empty when it is missing."""
        return scalar(self.template, key)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group of hosts with the datastores and networks that they reach."""

    id: int
    name: str = ""
    host_ids: frozenset[int] = frozenset()
    datastore_ids: frozenset[int] = frozenset()
    network_ids: frozenset[int] = frozenset()
    plan_state: int = UNKNOWN  # PLAN/STATE of OneDRS, -1: no plan
    template: Template = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore; sizes are MiB."""

    id: int
    name: str = ""
    kind: int = UNKNOWN  # TYPE: 0 image, 1 system, 2 file, 3 backup
    tm_mad: str = ""
    cluster_ids: frozenset[int] = frozenset()
    total: int = 0
    free: int = 0
    used: int = 0
    template: Template = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Part of a network: its first addresses as text, how many there are, and who has which.

    `owners` holds the indexes in the range of each owner, packed as oned does: PoolObjectSQL::ObjectType
    above 32 bits, the id below.
    """

    id: int
    size: int
    type: str = ""  # IP4, IP6, IP6_STATIC, IP4_6, IP4_6_STATIC or ETHER
    ip: str = ""
    ip6: str = ""
    global_prefix: str = ""
    ula_prefix: str = ""
    mac: str = ""
    external_ip: str = ""
    owners: Mapping[int, frozenset[int]] = field(default_factory=dict)  # out of ALLOCATED

    @property
    def leases(self) -> frozenset[tuple[int, int]]:
        """The indexes that VMs have, each with the VM's id."""
        vms = (owner for owner in self.owners if owner >> 32 == LEASED_BY_VM)
        return frozenset((index, owner & 0xFFFFFFFF) for owner in vms for index in self.owners[owner])


@dataclass(frozen=True, slots=True)
class Network:
    """A virtual network; `group_manages` and `others_manage` are permissions to change it or its ranges."""

    id: int
    name: str = ""
    uid: int = -1
    gid: int = -1
    group_manages: bool = True
    others_manage: bool = True
    parent_id: int = -1  # the network in which this one is a reservation
    cluster_ids: frozenset[int] = frozenset()
    ranges: tuple[AddressRange, ...] = ()
    template: Template = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image; `size` in MiB, `state` and `type` as in oned's Image.h."""

    id: int
    name: str = ""
    uid: int = -1
    gid: int = -1
    state: int = -1
    type: int = -1
    size: int = 0
    datastore_id: int = -1
    running_vms: int = 0
    persistent: bool = False
    problem: str = ""


def scalar(template: Template, key: str) -> str:
    """Return a scalar of a template, empty when it is missing or a vector."""
    value = template.get(key, "")
    return value if isinstance(value, str) else ""


def vector(template: Template, key: str) -> Mapping[str, str]:
    """Return a vector of a template, empty when it is missing or a scalar."""
    value = template.get(key, "")
    return {} if isinstance(value, str) else value
