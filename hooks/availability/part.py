"""The availability part of the worker: probe hosts, check every enabled cluster, decide, act."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hooks.availability import (
    availability_metrics,
    brakes,
    cluster_view,
    collect_evidence,
    evidence,
    probe,
    published_incidents,
    rival,
    subjects,
)
from hooks.availability.act import Executor
from hooks.availability.admission import admission
from hooks.availability.cluster_view import Situation
from hooks.availability.collect_evidence import Subject
from hooks.availability.configuration_checks import checks
from hooks.availability.decide import Round, decide, suspicious
from hooks.availability.effects import Effects
from hooks.availability.evidence import Judgement
from hooks.availability.memory import Memory
from hooks.availability.model import Cluster
from hooks.availability.placement import Places
from hooks.availability.policy import TEMPLATE_KEY, Mode, Policy, read
from hooks.availability.round_records import Records, orphans, records, spares
from hooks.availability.timeline import Timeline
from hooks.availability.world import Failed
from onext import bounds, log, metrics
from onext.cloud.snapshot import Cloud
from onext.hosts import maintenance
from onext.hosts.actions.actuator import Event
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import ConfigError
from onext.hosts.deciders import DECIDERS, Decider, Mandate
from onext.hosts.inventory.groups import Ties, ties
from onext.hosts.notify import teller
from onext.oned.client import Raft
from onext.oned.documents import Documents
from onext.oned.errors import Unreachable
from onext.oned.objects import HostState
from onext.part import Context, Key, Part, Retry, Underway
from onext.payload import valid_host_name

NAME = "availability"
_log = log.get(NAME)
_PRUNE = 3600.0  # seconds between two prunings of the timelines
LEASE = 120.0  # seconds for which the right to decide on a cluster binds others
ALARM = "alarm"
_OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)


_memory = Memory()


@dataclass(frozen=True)
class Assessment:
    """One cluster: what is, what is wanted, and what the evidence about suspects amounts to."""

    cluster: Cluster
    policy: Policy
    judgements: Mapping[int, Judgement]


def bmc_config(context: Context) -> BmcConfig:
    """Read bmc.yaml; raise Retry where it cannot be used."""
    try:
        return BmcConfig.load(context.paths.own_etc / "bmc.yaml")
    except ConfigError as error:
        raise Retry(str(error)) from error


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - any key means all clusters
    """Process every enabled cluster, whichever key came."""
    settings = context.settings.availability
    if not settings.clusters:
        return ""
    raft = context.oned.raft()
    if not raft.acts:
        raise Retry("this server does not lead: no host is judged")
    config, kept = bmc_config(context), records(context)
    for host, one in kept.incidents.items():
        context.reader.changed("host", host)
        for entry in one.entries:
            context.reader.changed("vm", entry.vm)
    cloud = context.cloud()
    _report_invalid(kept)
    probed = _probe(context, cloud)
    outcomes = []
    for number in settings.clusters:
        if number not in cloud.clusters or cloud.clusters[number].problem:
            outcomes.append(f"cluster {number} not found")
            continue
        outcomes.append(_isolated(context, cloud, config, kept, number, probed, raft))
    _report_orphans(context, cloud, kept)
    if time.monotonic() - _memory.pruned > _PRUNE:
        Timeline(timeline_folder(context)).prune(settings.history_days)
        _memory.pruned = time.monotonic()
    _memory.cleaned &= kept.incidents.keys()
    _memory.heartbeats.forget(kept.incidents)
    if context.settings.gateway.enabled:
        published_incidents.publish(
            context.paths, kept.incidents.values(), Timeline(timeline_folder(context))
        )
    families = [*availability_metrics.families(cloud, kept.incidents), *_losses(context, cloud, kept)]
    metrics.write(context.paths.metrics, NAME, families)
    return Underway("; ".join(outcomes))


def _losses(context: Context, cloud: Cloud, kept: Records) -> Sequence[metrics.Family]:
    """Return what each enabled cluster can lose."""
    settings = context.settings.availability
    numbers = [n for n in settings.clusters if n in cloud.clusters and not cloud.clusters[n].problem]
    policies = {n: read(cluster_view.chosen(cloud, n, TEMPLATE_KEY), settings) for n in numbers}
    policies = {n: one for n, one in policies.items() if one.mode is not Mode.OFF}
    if not kept.incidents:
        for n in policies:
            order = partial(cluster_view.priority, trusted=restricted(cloud))
            check = partial(admission, cloud, n, vm_groups(cloud), order)
            _memory.losses.look(n, time.monotonic(), check)
    return _memory.losses.families(cloud, policies)


def _isolated(
    context: Context, cloud: Cloud, config: BmcConfig, kept: Records, number: int, probed: Mapping[int, bool],
    raft: Raft,
) -> str:  # fmt: skip
    """Run one cluster; what fails there does not keep the others from their turn, and is reported once."""
    try:
        text = _cluster(context, cloud, config, kept, number, probed, (raft.server_id, raft.term))
    except (Retry, Unreachable):
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of a cluster
        message = f"cluster {number}: the round failed: {type(error).__name__}: {error}"
        if _memory.failed.get(number) != message:
            _log.exception("%s", message)
        _memory.failed[number] = message
        return message
    _memory.failed.pop(number, None)
    return text


def _report_orphans(context: Context, cloud: Cloud, kept: Records) -> None:
    found = orphans(context, cloud, kept)
    for host in found.keys() - _memory.orphans:
        _log.error("%s; its open incident is not decided", found[host])
    _memory.orphans = set(found)


def _report_invalid(kept: Records) -> None:
    for host in kept.invalid.keys() - _memory.invalid:
        _log.error("%s; the host is not touched until the record is removed", kept.invalid[host])
    _memory.invalid = set(kept.invalid)


def _probe(context: Context, cloud: Cloud) -> Mapping[int, bool]:
    """Probe the hosts of enabled clusters that should be up."""
    enabled = set(context.settings.availability.clusters)
    hosts = {
        host.id: _memory.ports.where(host.name, context.settings.geolocation.ssh_config)
        for host in cloud.hosts.values()
        if host.cluster_id in enabled and host.state != HostState.OFFLINE and valid_host_name(host.name)
    }
    answers = probe.greetings(hosts)
    _memory.heard.note(answers)
    return answers


def _cluster(
    context: Context, cloud: Cloud, config: BmcConfig, kept: Records, number: int, probed: Mapping[int, bool],
    leader: tuple[int, int],
) -> str:  # fmt: skip
    assessed = assess(context, cloud, config, kept, number, probed)
    policy, cluster = assessed.policy, assessed.cluster
    if policy.mode is Mode.OFF and not cluster.incidents:
        return f"{cluster.name}: off"
    cluster = _memory.readiness[number].fill(cluster, cloud, context.settings.geolocation.ssh_config)
    around = Round(
        cluster, policy, assessed.judgements, context.now(),
        _memory.waited(kept.incidents), _memory.suspected(kept.incidents),
        frozenset(_memory.cleaned), spares(cloud, kept, number),
    )  # fmt: skip
    closed = {
        host.id for host in cluster.hosts if host.claimed or host.maintenance
    } | cluster.incidents.keys()
    places = Places(cloud, number, closed, vm_groups(cloud))
    planned = decide(around, places.place)
    world = _effects(context, cloud, config, kept, number, leader)
    executor = Executor(world, policy, brakes.proofs_needed(cluster), _memory.cleaned)
    try:
        _release_stale(world, assessed.cluster, kept)
        outcome = executor.run(planned)
    finally:
        if world.mandate is not None:
            world.mandate.release()
    for host, text in outcome.items():
        _log.debug("host %d: %s", host, text)
    for host in _memory.obstructed[number].note(executor.failed):
        world.alarm(host, f"its incident does not proceed: {bounds.words(executor.failed[host], 300)}")
    return f"{cluster.name}: {policy.mode.value}, {len(cluster.incidents)} incidents"


def _release_stale(world: Effects, cluster: Cluster, kept: Records) -> None:
    """Release our claims on hosts without an incident: its record was removed by hand."""
    for host in cluster.hosts:
        if host.held and host.id not in kept.stored:
            try:
                world.claim(host.id, "")
            except Failed as error:
                _log.warning("host %d: its claim was not released: %s", host.id, error)


def assess(
    context: Context, cloud: Cloud, config: BmcConfig, kept: Records, number: int, probed: Mapping[int, bool]
) -> Assessment:
    """Return one cluster with the evidence about its suspects; changes nothing."""
    policy = read(cluster_view.chosen(cloud, number, TEMPLATE_KEY), context.settings.availability)
    other = rival.registered(cloud) if kept.incidents and policy.mode is Mode.AUTO else ""
    policy = replace(policy, mode=Mode.ADVISE) if other else policy
    claims = {host.id: kept.claim(host) for host in cloud.hosts.values()}
    holders = {host: claim.holder for host, claim in claims.items() if claim is not None}
    situation = Situation(
        silent={host: _memory.heard.silent(host) for host in probed},
        answering=frozenset(host for host, answered in probed.items() if answered),
        fence=frozenset(config.entries),
        rebooted=subjects.rebooted(_memory, cloud, kept, number, holders),
        armed=_memory.leases.granter.armed(),
        maintenance=frozenset(kept.maintenance) | frozenset(kept.invalid),
        claimed=frozenset(
            host for host, holder in holders.items() if holder not in (NAME, maintenance.HOLDER)
        ),
        held=frozenset(host for host, holder in holders.items() if holder == NAME),
        bmcs={host: config.fingerprint(host) for host in config.entries},
        incidents=kept.incidents,
        trusted=restricted(cloud),
        quiet=_quiet(context, kept, number),
        paused=number in kept.paused,
        rival=other,
    )
    cluster = cluster_view.cluster(cloud, number, situation)
    around = Round(cluster, policy, {}, context.now())
    suspects = [h.id for h in cluster.hosts if h.id in cluster.incidents or suspicious(around, h)]
    needed = brakes.proofs_needed(cluster)
    chosen = sorted(suspects, key=lambda host: _memory.examined.get(host, 0.0))[:MOST_SUSPECTS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        judged = list(pool.map(lambda host: _judge(context, cloud, config, kept, host, needed), chosen))
    _memory.examined = {host: _memory.examined.get(host, 0.0) for host in suspects}
    _memory.examined.update(dict.fromkeys(chosen, time.monotonic()))
    return Assessment(cluster, policy, {host: one for host, one in zip(chosen, judged, strict=True) if one})


MOST_SUSPECTS = 32  # hosts that are examined in one round, those first that waited longest
AT_ONCE = 8


def _judge(
    context: Context, cloud: Cloud, config: BmcConfig, kept: Records, host: int, needed: int
) -> Judgement | None:
    """Return the verdict on a host; None where its evidence could not be collected."""
    try:
        found = collect_evidence.collect(subject(context, cloud, kept, host), config, context.settings)
    except Exception as error:  # noqa: BLE001 - one host's answers never stop the others
        _log.warning("host %d: its evidence was not collected: %s: %s", host, type(error).__name__, error)
        return None
    return evidence.judge(found, needed)


def _quiet(context: Context, kept: Records, cluster: int) -> float:
    """Return the seconds since the last fencing in a cluster, by this process or in an open record."""
    own = time.monotonic() - _memory.fenced.get(cluster, float("-inf"))
    now = context.now()
    times = [one.fenced for one in kept.incidents.values() if one.cluster == cluster and one.fenced]
    return min([own, *(now - when for when in times if when <= now)])


def subject(context: Context, cloud: Cloud, kept: Records, number: int) -> Subject:
    """Return who can be asked about a host."""
    return subjects.subject(context, _memory, cloud, kept, number)


def vm_groups(cloud: Cloud) -> Ties:
    """Return what VM groups ask of VMs."""
    return ties(cloud.document("vmgrouppool.info", -2, -1, -1))


def restricted(cloud: Cloud) -> bool:
    """Return whether oned.conf keeps tenants from the attributes that choose priority and action."""
    found = cloud.document("system.config").iterfind(".//VM_RESTRICTED_ATTR")
    words = {(item.text or "").upper() for item in found}
    return all(name in words for name in cluster_view.RESTRICTED)


def _effects(
    context: Context, cloud: Cloud, config: BmcConfig, kept: Records, number: int, leader: tuple[int, int]
) -> Effects:
    tell = teller(context.settings.power, cloud.clusters[number].name)

    def report(host: int, text: str) -> None:
        name = cloud.hosts[host].name if host in cloud.hosts else str(host)
        tell(Event(host, name, ALARM, text))

    def fenced(_host: int) -> None:
        _memory.fenced[number] = time.monotonic()

    return Effects(
        context, config, *leader, lambda host: subject(context, cloud, kept, host),
        cluster_view.shared_datastores(cloud), restricted(cloud), report, timeline_folder(context), fenced,
        kept.stored, mandate(context, number, leader),
    )  # fmt: skip


def mandate(context: Context, cluster: int, leader: tuple[int, int]) -> Mandate:
    """Return the right to decide on a cluster, which power management takes in the same way."""
    me = Decider(NAME, *leader, 0.0, LEASE)
    documents = Documents(context.oned, DECIDERS, context.now)
    return Mandate(documents, cluster, me, context.now, time.monotonic, _memory.watch)


def timeline_folder(context: Context) -> Path:
    """Return where the timelines of incidents are."""
    return context.paths.state / NAME


def sweep(context: Context) -> Iterable[Key]:
    """Ask for a round once a minute; between two of them the part asks again by itself."""
    return [Key(NAME, "pool", 0)] if context.settings.availability.clusters else []


def background(context: Context) -> None:
    """Keep granting leases."""
    _memory.leases.ensure(context)


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True, background=background)
