"""The metrics of availability (onext_ha_*)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hooks.availability.admission import Admission, wanted
from hooks.availability.model import Incident, Phase, Stage
from hooks.availability.policy import Policy
from onext import log
from onext.cloud.snapshot import Cloud
from onext.metrics import Family

EVERY = 600.0  # seconds between two admission checks of a cluster
_log = log.get("availability")


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


@dataclass
class Losses:
    """What each cluster can lose, checked once in a while, and not while hosts are down."""

    _found: dict[int, tuple[float, Admission]] = field(default_factory=dict)

    def look(self, cluster: int, now: float, check: Callable[[], Admission]) -> None:
        """Check a cluster again if it is time; `now` is a clock that only advances."""
        before = self._found.get(cluster)
        if before is not None and now - before[0] < EVERY:
            return
        try:
            self._found[cluster] = now, check()
        except Exception as error:  # noqa: BLE001 - a figure for people never stops what restarts VMs
            _log.warning("cluster %d: its losses were not checked: %s", cluster, error)
            self._found[cluster] = now, Admission((), (), untried=1)

    def families(self, cloud: Cloud, policies: Mapping[int, Policy]) -> Sequence[Family]:
        """Return how many hosts each cluster can lose and has to be able to lose, and the worst losses."""
        labels = {n: {"cluster": cloud.clusters[n].name} for n in policies if n in self._found}
        absorbed = [(one, float(self._found[n][1].absorbed)) for n, one in labels.items()]
        expected = [(one, float(wanted(policies[n]))) for n, one in labels.items()]
        worst = [
            ({**one, "hosts": str(hosts)}, float(self._found[n][1].worst(hosts)))
            for n, one in labels.items()
            for hosts in (1, 2)
        ]
        texts = {
            "onext_ha_absorbed_losses": "Hosts that may fail with a place for each VM, 2 at most.",
            "onext_ha_expected_losses": "Hosts that have to be able to fail, by MAX_DOWN_HOSTS.",
            "onext_ha_worst_loss_vms": "VMs without a place after the worst loss of so many hosts.",
        }
        found = zip(texts.items(), (absorbed, expected, worst), strict=True)
        return [Family(name, "gauge", text, samples) for (name, text), samples in found]
