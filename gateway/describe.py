"""From what oned answered and the worker published to the records of the API: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from gateway.records import Cluster, Condition, Host, Incident, Place, PowerPlan, Site, Vm
from onext import bounds
from onext.cloud import model
from onext.oned.objects import HostState, VmState

NAME, REASON = 128, 400  # characters
CLOSED = ("done",)  # phases of an incident in which nothing more is done
_BY_STATE = {
    HostState.MONITORED: Condition.UP,
    HostState.MONITORING_MONITORED: Condition.UP,
    HostState.INIT: Condition.UNKNOWN,
    HostState.MONITORING_INIT: Condition.UNKNOWN,
    HostState.DISABLED: Condition.DISABLED,
    HostState.MONITORING_DISABLED: Condition.DISABLED,
    HostState.ERROR: Condition.ERROR,
    HostState.MONITORING_ERROR: Condition.ERROR,
    HostState.OFFLINE: Condition.OFFLINE,
}
_BY_PHASE = {
    "off": Condition.ASLEEP,
    "waking": Condition.WAKING,
    "returning": Condition.WAKING,
    "draining": Condition.GOING,
    "closing": Condition.GOING,
    "stopping": Condition.GOING,
}
_FENCED = ("fenced", "evacuating", "done")


def host(found: model.Host, plan: PowerPlan | None, incident: Incident | None, watts: float | None) -> Host:
    """Return a host with what power and availability do with it, as far as that is given."""
    state = HostState(found.state)
    acting = incident is not None
    why = incident.reason if incident else plan.reason if plan and plan.then != "stays" else ""
    phase = plan.phase if plan else _phase(found)
    return Host(
        id=found.id,
        name=bounds.words(found.name, NAME),
        state=state.name if found.state >= 0 else "UNKNOWN",
        condition=condition(state, phase, incident) if not found.problem else Condition.UNKNOWN,
        cluster_id=found.cluster_id,
        cluster=bounds.words(found.cluster, NAME),
        vms=len(found.vm_ids),
        cpu=found.max_cpu / 100,
        cpu_used=found.cpu_usage / 100,
        memory=found.max_memory >> 10,
        memory_used=found.memory_usage >> 10,
        place=place(found.text("GEOLOCATION")),
        since=incident.since if incident else plan.since if plan else None,
        by="availability" if acting else "power" if plan and plan.phase else "",
        why=bounds.words(why, REASON),
        why_not=bounds.words(plan.reason, REASON) if plan and plan.then == "stays" else "",
        next=plan.then if plan and plan.then != "stays" else "",
        watts=watts,
    )


def condition(state: HostState, phase: str, incident: Incident | None) -> Condition:
    """Return a host's condition in one word; what was done about a failure comes before its state."""
    if incident is not None:
        return Condition.FENCED if incident.phase in _FENCED else Condition.INCIDENT
    if phase in _BY_PHASE and state in (HostState.OFFLINE, HostState.DISABLED, HostState.MONITORING_DISABLED):
        return _BY_PHASE[phase]
    return _BY_STATE.get(state, Condition.UNKNOWN)


def _phase(found: model.Host) -> str:
    """Return the phase that the host's template shows to people."""
    return bounds.words(model.vector(found.template, "ONEXT_POWER_STATE").get("PHASE", ""), 16)


def place(text: str) -> Place | None:
    """Return the place of a `GEOLOCATION` attribute, None unless it is `latitude,longitude`."""
    parts = text[:64].split(",")
    if len(parts) != 2:
        return None
    latitude, longitude = bounds.number(parts[0], -90, 90), bounds.number(parts[1], -180, 180)
    return None if latitude is None or longitude is None else Place(latitude=latitude, longitude=longitude)


def vm(found: model.Vm) -> Vm:
    """Return a VM."""
    return Vm(
        id=found.id,
        name=bounds.words(found.name, NAME),
        state=VmState(found.state).name if found.state >= 0 else "UNKNOWN",
        lcm_state=found.lcm_state,
        user_id=found.uid,
        group_id=found.gid,
        user=bounds.words(found.user, NAME),
        group=bounds.words(found.group, NAME),
        host_id=found.host_id,
        cluster_id=found.cluster_id,
        cpu=found.cpu,
        memory=found.memory,
        since=found.began,
    )


def cluster(found: model.Cluster) -> Cluster:
    """Return a cluster."""
    return Cluster(
        id=found.id,
        name=bounds.words(found.name, NAME),
        hosts=len(found.host_ids),
        datastores=len(found.datastore_ids),
        networks=len(found.network_ids),
    )


def sites(hosts: Iterable[Host]) -> Iterator[Site]:
    """Yield the places at which hosts are, to a hundredth of a degree (about a kilometre)."""
    placed: dict[str, list[Host]] = {}
    for one in hosts:
        if one.place is not None:
            placed.setdefault(f"{one.place.latitude:.2f},{one.place.longitude:.2f}", []).append(one)
    for key, here in sorted(placed.items()):
        latitude, longitude = map(float, key.split(","))
        watts = [one.watts for one in here if one.watts is not None]
        yield Site(
            id=key,
            place=Place(latitude=latitude, longitude=longitude),
            hosts=len(here),
            conditions=dict(Counter(one.condition.value for one in here)),
            vms=sum(one.vms for one in here),
            watts=sum(watts) if watts else None,
            host_ids=[one.id for one in here],
        )


def geojson(found: Iterable[Site]) -> Mapping[str, object]:
    """Return sites as a GeoJSON FeatureCollection (RFC 7946), for Grafana's Geomap."""
    features = [
        {
            "type": "Feature",
            "id": site.id,
            "geometry": {"type": "Point", "coordinates": [site.place.longitude, site.place.latitude]},
            "properties": {"hosts": site.hosts, "vms": site.vms, "watts": site.watts, **site.conditions},
        }
        for site in found
    ]
    return {"type": "FeatureCollection", "features": features}
