"""What the gateway shows of availability: each incident with its VMs and its timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hooks.availability.model import Incident
from hooks.availability.timeline import Timeline
from onext import log, published
from onext.paths import Paths

NAME = "availability"  # of the document
_log = log.get("availability")
_MOST = 200  # entries of a timeline, the newest


def publish(paths: Paths, incidents: Iterable[Incident], timeline: Timeline) -> None:
    """Publish all incidents; a full disk is reported, and never stops a round."""
    try:
        published.write(paths, NAME, document(incidents, timeline))
    except OSError as error:
        _log.warning("incidents were not published for the gateway: %s", error)


def document(incidents: Iterable[Incident], timeline: Timeline) -> Mapping[str, object]:
    """Return the document; times are Unix times."""
    return {"incidents": [_incident(one, timeline) for one in sorted(incidents, key=lambda one: one.host)]}


def _incident(one: Incident, timeline: Timeline) -> Mapping[str, object]:
    steps = [step for step in timeline.entries(one.host) if float(str(step["at"])) >= one.first - 1]
    return {
        "id": one.host,
        "name": one.name,
        "cluster_id": one.cluster,
        "phase": one.phase.value,
        "first": one.first,
        "since": one.since,
        "reason": one.reason,
        "proof": one.proof,
        "vms": [
            {"vm_id": entry.vm, "stage": entry.stage.value, "target_id": entry.target, "reason": entry.reason}
            for entry in one.entries
        ],
        "timeline": [
            {"at": step["at"], "what": step.get("what", ""), "lines": step.get("lines", [])}
            for step in steps[-_MOST:]
        ],
    }
