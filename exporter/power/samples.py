"""From readings to samples: a VM's power counts only from the host where it is in OpenNebula."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.exposition import Samples
from exporter.power.rounds import Host


def samples(hosts: Mapping[int, Host], vm_hosts: Mapping[int, int]) -> Samples:
    """Return the metrics of power; `vm_hosts` is the host of each VM by id."""
    found = Samples()
    for number, host in hosts.items():
        for source in host.tried:
            up = host.reading is not None and host.reading.source == source
            found.add("opennebula_power_source_up", int(up), one_host_id=number, source=source)
        for source in {**host.tried, **host.implausible}:  # from 0 on, so that an increase is seen
            count = host.implausible[source]
            found.add("opennebula_power_implausible_total", count, one_host_id=number, source=source)
        if (reading := host.reading) is None:
            continue
        labels = {"one_host_id": number, "source": reading.source}
        if reading.watts is not None:
            found.add("opennebula_host_power_watts", round(reading.watts, 6), **labels)
        if reading.joules is not None:
            found.add("opennebula_host_energy_joules_total", round(reading.joules, 6), **labels)
        for vm, watts in reading.vms.items():
            if vm_hosts.get(vm) == number:
                found.add("opennebula_vm_power_watts", round(watts, 6), one_vm_id=vm)
                found.add("opennebula_vm_power_consumption_uW", round(watts * 1e6), one_vm_id=vm)
    return found
