"""Reasons for which nothing is fenced or restarted now, although a host seems to have failed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from hooks.availability.alarms import kind_of
from hooks.availability.evidence import Judgement, Verdict
from hooks.availability.model import Cluster, Host, Incident, Phase
from hooks.availability.policy import Mode, Policy
from onext.oned.objects import HostState

QUORUM = 0.51
_SAME_TEXT = 3  # hosts that failed with the same words within a minute
_TOGETHER = 60.0
# what oned writes before the words of a driver: `Sat Nov 21 04:47:44 2026 : Error monitoring Host a (8): `
_OPENING = re.compile(
    r"^(?:\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} : )?(?:Error monitoring Host [^ ]{1,128} \(\d+\):)?"
)


def proofs_needed(cluster: Cluster) -> int:
    """Return how many independent proofs a death needs: two where one of two hosts would judge the other."""
    return 2 if len(_counted(cluster)) <= 2 else 1


def held(cluster: Cluster, incident: Incident, judgement: Judgement, policy: Policy) -> str:
    """Return why the incident is held, empty where it may proceed."""
    return next(_reasons(cluster, incident, judgement, policy), "")


def down(cluster: Cluster) -> list[Host]:
    """Return the hosts that are down and not on purpose."""
    return [host for host in _counted(cluster) if host.id not in cluster.answering or _failed(cluster, host)]


def _counted(cluster: Cluster) -> list[Host]:
    """Return the hosts that should be up: those off on purpose or in maintenance do not count."""
    return [
        host
        for host in cluster.hosts
        if host.state is not HostState.OFFLINE and not host.claimed and not host.maintenance
    ]


def _failed(cluster: Cluster, host: Host) -> bool:
    incident = cluster.incidents.get(host.id)
    return incident is not None and incident.phase is not Phase.RETURNING


def _reasons(cluster: Cluster, incident: Incident, judgement: Judgement, policy: Policy) -> Iterator[str]:
    if cluster.paused:
        yield "availability is paused in this cluster"
    if cluster.rival:
        yield f"{cluster.rival} is registered, which restarts VMs, too: delete that hook"
    if policy.mode is not Mode.AUTO:
        yield "; ".join([f"MODE is {policy.mode.value}", *policy.complaints[:1]])
    host = next((one for one in cluster.hosts if one.id == incident.host), None)
    if host is not None and host.maintenance:
        yield "the host is in maintenance"
    if host is not None and host.state is HostState.OFFLINE:
        yield "the host is OFFLINE: a person or power management set that"
    if host is not None and host.claimed:
        yield "power management holds the host"
    if incident.host in policy.deny:
        yield "the host is listed in DENY"
    yield from _mass_failure(cluster, incident, policy)
    if judgement.verdict in (Verdict.ALIVE, Verdict.DEGRADED):
        yield f"evidence shows life: {judgement.reasons[0] if judgement.reasons else judgement.verdict.value}"
    if judgement.verdict is Verdict.ISOLATED and not policy.fence_isolated:
        yield "isolated: its storage heartbeat shows life, and ISOLATION is not fence"


def _mass_failure(cluster: Cluster, incident: Incident, policy: Policy) -> Iterator[str]:
    counted, failed = _counted(cluster), down(cluster)
    if len(failed) > policy.max_down:
        yield f"{len(failed)} hosts are down, MAX_DOWN_HOSTS is {policy.max_down}"
    answering = sum(host.id in cluster.answering for host in counted)
    if len(counted) >= 3 and answering < QUORUM * len(counted):
        yield f"only {answering} of {len(counted)} hosts answer: the front-end's own network may have failed"
    if text := _common_text(cluster, incident):
        yield f"several hosts failed within a minute with the same error: {text}"


def _common_text(cluster: Cluster, incident: Incident) -> str:
    """Return the error text that hosts share which fell together: an illness of the front-end or a driver."""
    together = [
        words
        for other in cluster.incidents.values()
        if abs(other.first - incident.first) <= _TOGETHER and (words := _words(other))
    ]
    text, count = next(iter(Counter(together).most_common(1)), ("", 0))
    return text[:120] if count >= _SAME_TEXT else ""


def _words(incident: Incident) -> str:
    """Return oned's error without what differs from host to host: time, name, figures."""
    text = _OPENING.sub("", incident.error)
    return kind_of(text.replace(incident.name, "HOST") if incident.name else text).strip()
