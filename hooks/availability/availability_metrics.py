"""The metrics of availability (onext_ha_*)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hooks.availability.model import Incident, Phase, Stage
from onext.cloud.snapshot import Cloud
from onext.metrics import Family


def families(cloud: Cloud, incidents: Mapping[int, Incident]) -> Sequence[Family]:
    """Return hosts by phase, and VMs by stage, of all incidents that are open."""
    phases = Counter((_cluster(cloud, one), one.phase) for one in incidents.values())
    clusters = sorted({_cluster(cloud, one) for one in incidents.values()})
    hosts = [
        ({"cluster": name, "phase": phase.value}, float(phases[name, phase]))
        for name in clusters
        for phase in Phase
    ]
    stages = Counter(entry.stage for one in incidents.values() for entry in one.entries)
    vms = [({"stage": stage.value}, float(stages[stage])) for stage in Stage]
    return [
        Family("onext_ha_incidents", "gauge", "Open incidents.", [({}, float(len(incidents)))]),
        Family("onext_ha_hosts", "gauge", "Hosts with an open incident, by its phase.", hosts),
        Family("onext_ha_vms", "gauge", "VMs of open incidents, by how far each is.", vms),
    ]


def _cluster(cloud: Cloud, incident: Incident) -> str:
    found = cloud.clusters.get(incident.cluster)
    return found.name if found is not None else str(incident.cluster)
