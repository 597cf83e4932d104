"""Hosts: states, capacity, what was measured. The rules are those of src/host/Host.cc and HostShare.cc."""

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.errors import InternalError
from sandbox.markup import ids, tag, text
from sandbox.state import machine
from sandbox.state.names import HostState
from sandbox.state.pool_object import PoolObject
from sandbox.state.pools import check_name
from sandbox.state.share import Share, without
from sandbox.template import Template

_MEASURED_DISK = {"FREE_DISK": 20480, "MAX_DISK": 20480, "USED_DISK": 9720}  # MiB
_LONGEST = 63


def check_hostname(name: str) -> None:
    """Refuse what hostname_is_valid refuses: options, separators, anything that a shell would see."""
    if not 1 < len(name) <= _LONGEST:
        raise InternalError(
            "Invalid HOSTNAME, HOSTNAME length should be greater than 1, but smaller than 64 characters"
        )
    if name[0] in "-._":
        raise InternalError(f"Invalid HOSTNAME, first character can't be '{name[0]}'")
    for letter in name:
        if not (letter.isascii() and letter.isalnum()) and letter not in "-._":
            raise InternalError(f"Invalid HOSTNAME, '{letter}' is invalid character for a HOSTNAME")
    if name[-1] in "-._":
        raise InternalError(f"Invalid HOSTNAME, last character can't be '{name[-1]}'")
    check_name(name)


@dataclass(kw_only=True)
class Machine:
    """The hardware behind a host, and its next monitoring message."""

    cpu: int = 800
    memory: int = 16777216
    alive: bool = True  # a dead one, or one that the network cut off, sends no monitoring
    running: set[int] = field(default_factory=set)  # the VMs that it runs, whatever oned believes
    measured: dict[str, str] = field(default_factory=dict)  # overrides and additions, e.g. power
    static: dict[str, str] = field(default_factory=dict)
    pci_devices: str = ""


@dataclass(kw_only=True)
class Host(PoolObject):
    """A host and its machine."""

    KIND: ClassVar[str] = "HOST"

    im_mad: str
    vm_mad: str
    cluster_id: int = 0
    cluster: str = "default"
    state: HostState = HostState.INIT
    prev_state: HostState = HostState.INIT
    share: Share = field(default_factory=Share)
    vms: list[int] = field(default_factory=list)
    machine: Machine = field(default_factory=Machine)
    monitored: bool = False  # once: its devices and NUMA nodes are known
    records: list[tuple[int, str]] = field(default_factory=list)  # (time, MONITORING as XML)

    def clusters(self) -> tuple[int]:
        """Return the one cluster."""
        return (self.cluster_id,)

    def enable(self) -> None:
        """Continue: at once where an old capacity is known, else by monitoring."""
        known = self.state == HostState.DISABLED and self.share.total_cpu > 0
        self.state = HostState.MONITORED if known else HostState.INIT

    def disable(self) -> None:
        """Be monitored, and left alone by the scheduler."""
        self.state = HostState.DISABLED

    def offline(self) -> None:
        """Be left alone by everything; the capacity is forgotten."""
        self.state = HostState.OFFLINE
        share = self.share
        share.total_cpu = share.total_mem = share.max_cpu = share.max_mem = 0
        for name in ("TOTALCPU", "TOTALMEMORY"):
            self.template.remove(name)
        self.records.append((int(time.time()), self._monitoring("<CAPACITY/><SYSTEM/>")))

    def fail(self, reason: str) -> None:
        """Note a failure of monitoring; DISABLED and OFFLINE stay what they are."""
        if self.state not in (HostState.DISABLED, HostState.OFFLINE):
            self.state = HostState.ERROR
        self.template.put(
            "ERROR", f"{time.ctime()} : Error monitoring Host {self.name} ({self.id}): {reason}"
        )

    def note_zombies(self) -> None:
        """Write into the template which VMs run here that oned has elsewhere (Host::update_zombies)."""
        strangers = sorted(self.machine.running - set(self.vms))
        for name in ("ZOMBIES", "TOTAL_ZOMBIES"):
            self.template.remove(name)
        if strangers:
            self.template.put("TOTAL_ZOMBIES", len(strangers))
            self.template.put("ZOMBIES", ", ".join(map(str, strangers)))

    def take(self, vm: int, cpu: int, memory: int) -> None:
        """Count a VM's capacity."""
        if vm not in self.vms:
            self.vms.append(vm)
            self.share.count(1, cpu, memory)

    def give_back(self, vm: int, cpu: int, memory: int) -> None:
        """Count a VM's capacity no longer."""
        if vm in self.vms:
            self.vms.remove(vm)
            self.share.count(-1, cpu, memory)

    def lacks(self, cpu: int, memory: int) -> str:
        """Return what is missing for so much more, in oned's words; nothing where it fits."""
        return self.share.lacks(cpu, memory)

    def learn(self, reserved: tuple[str, str]) -> None:
        """Apply the probes' values of the machine itself (`update_info`)."""
        if self.state == HostState.OFFLINE:
            return
        self.template.remove("ERROR")
        self.template.merge(self._static())
        if self.state != HostState.DISABLED:
            self.state = HostState.MONITORED
        self.monitored = True
        self.share.total_cpu, self.share.total_mem = self.machine.cpu, self.machine.memory
        self.reserve(reserved)

    def _static(self) -> Template:
        static = machine.STATIC | {
            "HOSTNAME": self.name,
            "HYPERVISOR": self.vm_mad,
            "TOTALCPU": str(self.machine.cpu),
            "TOTALMEMORY": str(self.machine.memory),
        }
        return Template({name: [value] for name, value in (static | self.machine.static).items()})

    def reserve(self, inherited: tuple[str, str]) -> None:
        """Take RESERVED_CPU and RESERVED_MEM, the cluster's where the host has none, off the capacity."""
        cpu = self.template.get("RESERVED_CPU") or inherited[0]
        memory = self.template.get("RESERVED_MEM") or inherited[1]
        self.share.max_cpu = without(self.share.total_cpu, cpu)
        self.share.max_mem = without(self.share.total_mem, memory)

    def measure(self, keep: float) -> None:
        """Take one message of the probes; forget those older than `keep` seconds."""
        now = int(time.time())
        self.records = [record for record in self.records if record[0] > now - keep][-100:]
        self.records.append((now, self._monitoring(self._measured())))

    def _measured(self) -> str:
        share, measured = self.share, dict(self.machine.measured)
        used_cpu = min(int(measured.pop("USED_CPU", share.cpu_usage * 7 // 10)), self.machine.cpu)
        used_mem = min(int(measured.pop("USED_MEMORY", share.mem_usage + 524288)), self.machine.memory)
        free_cpu, free_mem = self.machine.cpu - used_cpu, self.machine.memory - used_mem
        capacity = (
            ("FREE_CPU", free_cpu),
            ("FREE_MEMORY", free_mem),
            ("USED_CPU", used_cpu),
            ("USED_MEMORY", used_mem),
        )
        system = {"NETRX": "50104108822222", "NETTX": "1241307203246698"} | measured
        return (
            tag("CAPACITY", "".join(text(name, value) for name, value in capacity))
            + tag("SYSTEM", "".join(text(name, system[name]) for name in sorted(system)))
            + machine.numa_monitoring_xml(free_mem, used_mem)
        )

    def _monitoring(self, body: str) -> str:
        return tag("MONITORING", tag("TIMESTAMP", int(time.time())) + tag("ID", self.id) + body)

    def last_record(self) -> str:
        """Return the last MONITORING element."""
        return self.records[-1][1] if self.records else "<MONITORING/>"

    def xml(self) -> str:
        """Return the host as one.host.info does."""
        return self._head() + self.last_record() + "</HOST>"

    def payload(self) -> str:
        """Return the host as hooks and one.hostpool.info show it: without what was measured."""
        return self._head() + "<MONITORING/></HOST>"

    def pooled(self) -> bytes:
        """Return the host as it travels in one.hostpool.info."""
        return self.wire("pooled", self.payload)

    def _head(self) -> str:
        return (
            "<HOST>"
            + tag("ID", self.id)
            + tag("NAME", self.name)
            + tag("STATE", int(self.state))
            + tag("PREV_STATE", int(self.prev_state))
            + text("IM_MAD", self.im_mad)
            + text("VM_MAD", self.vm_mad)
            + tag("CLUSTER_ID", self.cluster_id)
            + tag("CLUSTER", self.cluster)
            + self._share_xml()
            + ids("VMS", sorted(self.vms))
            + self.template.xml()
        )

    def _share_xml(self) -> str:
        share = self.share
        disks = _MEASURED_DISK if self.monitored else dict.fromkeys(_MEASURED_DISK, 0)
        return tag(
            "HOST_SHARE",
            tag("MEM_USAGE", share.mem_usage)
            + tag("CPU_USAGE", share.cpu_usage)
            + tag("TOTAL_MEM", share.total_mem)
            + tag("TOTAL_CPU", share.total_cpu)
            + tag("MAX_MEM", share.max_mem)
            + tag("MAX_CPU", share.max_cpu)
            + tag("RUNNING_VMS", share.running_vms)
            + tag("VMS_THREAD", 1)
            + tag(
                "DATASTORES",
                text("DISK_USAGE", 0) + "".join(text(name, size) for name, size in disks.items()),
            )
            + tag("PCI_DEVICES", self.machine.pci_devices if self.monitored else "")
            + tag("NUMA_NODES", machine.numa_xml(self.machine.memory) if self.monitored else ""),
        )

    def touch_monitoring(self) -> None:
        """Forget the rendered monitoring only."""
        self._rendered.pop("info", None)
