"""What the exporter serves: every metric's name, type and meaning, in the order of the page.

HOST, DATASTORE, VM, SERVER, and where marked others, are OpenNebula's own, name by name (src/oneprometheus);
HELP states where a unit is not what the name promises, because the shipped dashboards and rules need the
names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """One metric: its name, type and HELP text."""

    name: str
    type: Literal["gauge", "counter"]
    help: str

    @property
    def head(self) -> bytes:
        """The two lines before the samples."""
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.type}\n".encode()


def _gauge(name: str, text: str) -> Family:
    return Family(f"opennebula_{name}", "gauge", text)


def _counter(name: str, text: str) -> Family:
    return Family(f"opennebula_{name}", "counter", text)


_CENTI = "in hundredths of a core: 800 are 8 cores, no ratio"
HOST = (
    _gauge("host_total", "Hosts in OpenNebula."),
    _gauge(
        "host_state",
        "STATE: 0 init, 2 monitored, 3 error, 4 disabled, 8 offline (1, 5, 6, 7: being monitored).",
    ),
    _gauge("host_mem_total_bytes", "Memory of the host."),
    _gauge(
        "host_mem_maximum_bytes", "Memory that may be given to VMs: overcommitment and reservation count."
    ),
    _gauge("host_mem_usage_bytes", "Memory given to VMs."),
    _gauge("host_cpu_total_ratio", f"CPU of the host, {_CENTI}."),
    _gauge("host_cpu_maximum_ratio", f"CPU that may be given to VMs, {_CENTI}."),
    _gauge("host_cpu_usage_ratio", f"CPU given to VMs, {_CENTI}."),
    _gauge("host_vms", "VMs bound to the host, also those that are powered off or suspended."),
    _gauge("host_info", "1; the host's name and cluster are in the labels."),
)
DATASTORE = (
    _gauge("datastore_total", "Datastores in OpenNebula."),
    _gauge("datastore_total_bytes", "Capacity of the datastore."),
    _gauge("datastore_used_bytes", "Used capacity of the datastore."),
    _gauge("datastore_free_bytes", "Free capacity of the datastore."),
    _gauge("datastore_images", "Images in the datastore."),
)
VM = (
    _gauge("vm_total", "VMs in OpenNebula, all states but done."),
    _gauge("vm_host_id", "Host of the VM's last history record; -1 without one."),
    _gauge(
        "vm_state",
        "STATE: 0 init, 1 pending, 2 hold, 3 active, 4 stopped, 5 suspended, 6 done, 8 poweroff,"
        " 9 undeployed, 10 cloning.",
    ),
    _gauge("vm_lcm_state", "LCM_STATE; has a meaning in state 3 (active) only."),
    _gauge("vm_mem_total_bytes", "Memory of the VM."),
    _gauge("vm_cpu_ratio", "CPU that the VM requests, in cores: not a ratio, may be above 1."),
    _gauge("vm_cpu_vcpus", "Virtual CPUs; 1 where the template has no VCPU."),
    _gauge("vm_disks", "Disks of the VM."),
    _gauge("vm_disk_size_bytes", "Size of one disk."),
    _gauge("vm_nics", "Network interfaces, passed-through ones too, aliases not."),
    _gauge("vm_ut_flavours", "FLAVOURS of the user template; -1 when it is missing or not a number."),
    _gauge("vm_info", "1; the VM's name, user and group are in the labels."),
)
NETWORK = (
    _gauge("vnet_free_lease_ratio", "Part of an address range's leases that is free, 0 to 1, two digits."),
)  # of 7.4
ZONE = (
    _gauge("ha_is_leader", "1 when this server leads its HA group."),  # these three are of 7.4
    _gauge("ha_members", "Servers of HA groups, of all zones."),
    _gauge("ha_error_members", "Servers of HA groups that do not answer, or neither lead nor follow."),
    _gauge("zone_state", "STATE of the zone: 0 enabled, 1 disabled."),
    _gauge(
        "zone_server_state",
        "STATE of a server in its HA group: 0 solo, 1 candidate, 2 follower, 3 leader; no answer, no sample.",
    ),
)
QUOTA = (
    _gauge("quota_used", "What a user or group uses of a resource that has quotas."),
    _gauge("quota_limit", "The limit of a resource; no sample without a limit."),
)
SERVICE = (
    _gauge(
        "service_state",
        "State of a OneFlow service: 0 pending, 1 deploying, 2 running, 3 undeploying, 4 warning, 5 done,"
        " 6, 7, 9, 13, 14 failed, 8 scaling, 10 cooldown, 11, 12 its networks, 15 hold.",
    ),
    _gauge("service_info", "1; the service's name, user and group are in the labels."),
)
BACKUP = (
    _gauge("backupjob_vms", "VMs of a backup job, by the state of their backup."),
    _gauge("backupjob_last_timestamp", "Unix time of a backup job's last run; 0: it never ran."),
    _gauge(
        "backupjob_overdue_seconds",
        "Seconds since a scheduled run of a backup job should have begun, 0 when none is due.",
    ),
)
SERVER = (
    _gauge("oned_state", "1 when systemd runs opennebula.service."),
    _gauge("scheduler_state", "1 when systemd runs opennebula-scheduler.service."),
    _gauge("flow_state", "1 when systemd runs opennebula-flow.service."),
    _gauge("hem_state", "1 when systemd runs opennebula-hem.service."),
    _gauge("gate_state", "1 when systemd runs opennebula-gate.service."),
    _gauge("fireedge_state", "1 when systemd runs opennebula-fireedge.service."),  # of 7.4
)
POWER = (
    _gauge("vm_power_consumption_uW", "Power of the VM in microwatts; no sample where it is unknown."),
    _gauge(
        "vm_power_watts",
        "Power of the VM's process as RAPL sees it, not wall power; no sample where it is unknown.",
    ),
    _gauge("host_power_watts", "Power of the host's CPUs and memory as RAPL sees it, not wall power."),
    _counter("host_energy_joules_total", "Energy of the host's CPUs and memory as RAPL counts it."),
    _counter(
        "power_implausible_total",
        "Implausible figures of a host or its VMs since the exporter started; they are left out.",
    ),
    _gauge("power_source_up", "Whether the host's power exporter returned figures at the last request."),
)
SELF = (
    _gauge("up", "1 when oned answered everything; 0: hosts, VMs or datastores are old or missing."),
    _gauge("data_age_seconds", "Age of a collector's data; above 0 only while oned does not answer."),
    _gauge("part_metrics_age_seconds", "Age of the figures that a part of onext wrote."),
    _gauge("scrape_duration_seconds", "Time that a collector took for this scrape."),
    _counter(
        "scrape_errors_total", "Failures of a collector since the exporter started: calls, objects, files."
    ),
    _gauge("exporter_info", "1; the version of onext and the zone are in the labels."),
)
_ALL = (*HOST, *DATASTORE, *VM, *NETWORK, *ZONE, *QUOTA, *SERVICE, *BACKUP, *SERVER, *POWER, *SELF)
FAMILIES = {family.name: family for family in _ALL}
