"""Availability as the worker sees it: probe hosts, look at every enabled cluster, decide, act."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hooks.availability import availability_metrics, brakes, evidence, gather, observe, probe
from hooks.availability.act import Executor
from hooks.availability.decide import Round, decide, suspicious
from hooks.availability.effects import Effects
from hooks.availability.evidence import Judgement
from hooks.availability.gather import Subject
from hooks.availability.model import Cluster, Incident, Phase
from hooks.availability.observe import Situation
from hooks.availability.placement import Places
from hooks.availability.policy import TEMPLATE_KEY, Mode, Policy, read
from hooks.availability.records import CONFIRMATION, INCIDENT, MAINTENANCE, PAUSE, Order
from onext import bounds, log, metrics
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import ConfigError
from onext.hosts.inventory.groups import Ties, ties
from onext.oned.documents import Documents, Kind
from onext.oned.objects import HostState
from onext.part import Check, Context, Key, Part, Retry, Underway
from onext.payload import valid_host_name

NAME = "availability"
_log = log.get(NAME)
_OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)


@dataclass
class Memory:
    """What this process keeps between rounds; every clock in it only advances."""

    heard: probe.Heard = field(default_factory=probe.Heard)
    ports: probe.Ports = field(default_factory=probe.Ports)
    phases: dict[int, tuple[tuple[Phase, float], float]] = field(default_factory=dict)
    firsts: dict[int, tuple[float, float]] = field(default_factory=dict)
    cleaned: set[int] = field(default_factory=set)
    fenced: dict[int, float] = field(default_factory=dict)  # by cluster
    invalid: set[int] = field(default_factory=set)

    def waited(self, incidents: Mapping[int, Incident]) -> Mapping[int, float]:
        """Return for how many seconds this process has seen each incident in its phase."""
        now = time.monotonic()
        self.phases = {
            host: self.phases[host] if self.phases.get(host, (None,))[0] == key else (key, now)
            for host, one in incidents.items()
            if (key := (one.phase, one.since))
        }
        return {host: now - since for host, (_, since) in self.phases.items()}

    def suspected(self, incidents: Mapping[int, Incident]) -> Mapping[int, float]:
        """Return for how many seconds this process has known each incident."""
        now = time.monotonic()
        self.firsts = {
            host: self.firsts[host] if self.firsts.get(host, (None,))[0] == one.first else (one.first, now)
            for host, one in incidents.items()
        }
        return {host: now - since for host, (_, since) in self.firsts.items()}


_memory = Memory()


@dataclass(frozen=True)
class Records:
    """The documents of one round; an invalid incident is no incident, and its host is left alone."""

    incidents: Mapping[int, Incident]
    confirmed: Mapping[int, Order]
    paused: Collection[int]
    maintenance: Collection[int]
    invalid: Mapping[int, str]


@dataclass(frozen=True)
class Look:
    """One cluster: what is, what is wanted, and what the evidence about suspects amounts to."""

    cluster: Cluster
    policy: Policy
    judgements: Mapping[int, Judgement]


def records(context: Context) -> Records:
    """Read every document of this part; raise an OnedError."""
    incidents = Documents(context.oned, INCIDENT, context.now).all()
    return Records(
        {number: one.value for number, one in incidents.items() if one.value is not None},
        _orders(context, CONFIRMATION),
        frozenset(_orders(context, PAUSE)),
        frozenset(_orders(context, MAINTENANCE)),
        {number: one.problem for number, one in incidents.items() if one.value is None},
    )


def _orders(context: Context, kind: Kind[Order]) -> dict[int, Order]:
    found = Documents(context.oned, kind, context.now).all()
    return {number: one.value for number, one in found.items() if one.value is not None}


def bmc_config(context: Context) -> BmcConfig:
    """Read bmc.yaml; raise Retry where it cannot be used."""
    try:
        return BmcConfig.load(context.paths.own_etc / "bmc.yaml")
    except ConfigError as error:
        raise Retry(str(error)) from error


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - any key means: look at everything
    """Look at every enabled cluster, whichever key came."""
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
            outcomes.append(f"cluster {number} is not there")
            continue
        outcomes.append(_cluster(context, cloud, config, kept, number, probed, (raft.server_id, raft.term)))
    _memory.cleaned &= kept.incidents.keys()
    metrics.write(context.paths.metrics, NAME, availability_metrics.families(cloud, kept.incidents))
    return Underway("; ".join(outcomes))


def _report_invalid(kept: Records) -> None:
    for host in kept.invalid.keys() - _memory.invalid:
        _log.error("%s; the host is left alone until the record is removed", kept.invalid[host])
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
    looked = look(context, cloud, config, kept, number, probed)
    policy, cluster = looked.policy, looked.cluster
    if policy.mode is Mode.OFF and not cluster.incidents:
        return f"{cluster.name}: off"
    around = Round(
        cluster, policy, looked.judgements, context.now(),
        _memory.waited(kept.incidents), _memory.suspected(kept.incidents),
        frozenset(_memory.cleaned), spares(cloud, number),
    )  # fmt: skip
    closed = {
        host.id for host in cluster.hosts if host.claimed or host.maintenance
    } | cluster.incidents.keys()
    places = Places(cloud, number, closed, vm_groups(cloud))
    world = _effects(context, cloud, config, kept, number, leader)
    executor = Executor(world, policy, brakes.proofs_needed(cluster), _memory.cleaned)
    outcome = executor.run(decide(around, places.place))
    for host, text in outcome.items():
        _log.debug("host %d: %s", host, text)
    return f"{cluster.name}: {policy.mode.value}, {len(cluster.incidents)} incidents"


def look(
    context: Context, cloud: Cloud, config: BmcConfig, kept: Records, number: int, probed: Mapping[int, bool]
) -> Look:
    """Return one cluster with the evidence about its suspects; changes nothing."""
    policy = read(observe.chosen(cloud, number, TEMPLATE_KEY), context.settings.availability)
    situation = Situation(
        silent={host: _memory.heard.silent(host) for host in probed},
        answering=frozenset(host for host, answered in probed.items() if answered),
        fence=frozenset(config.entries),
        maintenance=frozenset(kept.maintenance) | frozenset(kept.invalid),
        claimed=frozenset(host.id for host in cloud.hosts.values() if "ONEXT_POWER_STATE" in host.template),
        incidents=kept.incidents,
        trusted=restricted(cloud),
        quiet=time.monotonic() - _memory.fenced.get(number, float("-inf")),
        paused=number in kept.paused,
    )
    cluster = observe.cluster(cloud, number, situation)
    around = Round(cluster, policy, {}, context.now())
    suspects = [h.id for h in cluster.hosts if h.id in cluster.incidents or suspicious(around, h)]
    needed = brakes.proofs_needed(cluster)
    judgements = {
        host: evidence.judge(
            gather.gather(subject(context, cloud, kept, host), config, context.settings), needed
        )
        for host in suspects[:MOST_SUSPECTS]
    }
    return Look(cluster, policy, judgements)


MOST_SUSPECTS = 32  # hosts that are examined in one round; with more all is held anyway


def subject(context: Context, cloud: Cloud, kept: Records, number: int) -> Subject:
    """Return who can be asked about a host: two peers of its cluster that serve."""
    host = cloud.hosts[number]
    peers = [
        other.name
        for other in cloud.hosts.values()
        if other.cluster_id == host.cluster_id and other.id != number and _serves(other, kept)
    ]
    order, incident = kept.confirmed.get(number), kept.incidents.get(number)
    valid = order is not None and incident is not None and abs(order.incident - incident.first) < 1.0
    address = _memory.ports.where(host.name, context.settings.geolocation.ssh_config)
    return Subject(number, host.name, _monitored(context, host), peers, order if valid else None, address)


def _serves(host: Host, kept: Records) -> bool:
    return host.state in _OPEN and host.id not in kept.incidents and valid_host_name(host.name)


def _monitored(context: Context, host: Host) -> float | None:
    """Return the seconds since the last monitoring, None where the host is not monitored or never was."""
    if host.state in (HostState.OFFLINE, HostState.ERROR, HostState.MONITORING_ERROR):
        return None
    records_ = context.oned.document("host.monitoring", host.id).iterfind("MONITORING")
    times = [bounds.number(one.findtext("TIMESTAMP"), 0, 1e12) for one in records_]
    last = max((when for when in times if when is not None), default=None)
    return None if last is None else max(0.0, context.now() - last)


def spares(cloud: Cloud, number: int) -> tuple[int, ...]:
    """Return the hosts that power management has asleep in a cluster."""
    return tuple(
        host.id
        for host in cloud.hosts.values()
        if host.cluster_id == number and _phase(host) == "off" and host.state == HostState.OFFLINE
    )


def _phase(host: Host) -> str:
    vector = host.template.get("ONEXT_POWER_STATE", {})
    return "" if isinstance(vector, str) else vector.get("PHASE", "")


def vm_groups(cloud: Cloud) -> Ties:
    """Return what VM groups ask of VMs."""
    return ties(cloud.document("vmgrouppool.info", -2, -1, -1))


def restricted(cloud: Cloud) -> bool:
    """Return whether oned.conf keeps tenants from the attributes that choose priority and action."""
    found = cloud.document("system.config").iterfind(".//VM_RESTRICTED_ATTR")
    words = {(item.text or "").upper() for item in found}
    return all(name in words for name in observe.RESTRICTED)


def _effects(
    context: Context, cloud: Cloud, config: BmcConfig, kept: Records, number: int, leader: tuple[int, int]
) -> Effects:
    def report(host: int, text: str) -> None:
        _log.warning("host %d: %s", host, text)

    def wake(host: int) -> None:
        context.oned.update_host(host, {"ONEXT_HA_SPARE": f"{context.now():.0f}"})

    def fenced(_host: int) -> None:
        _memory.fenced[number] = time.monotonic()

    return Effects(
        context, config, *leader, lambda host: subject(context, cloud, kept, host),
        observe.shared_datastores(cloud), restricted(cloud), report, wake, timeline_folder(context), fenced,
    )  # fmt: skip


def timeline_folder(context: Context) -> Path:
    """Return where the timelines of incidents are."""
    return context.paths.state / NAME


def sweep(context: Context) -> Iterable[Key]:
    """Ask for a round once a minute; between two of them the part asks again by itself."""
    return [Key(NAME, "pool", 0)] if context.settings.availability.clusters else []


def checks(context: Context) -> Iterable[Check]:
    """Check that fencing is possible, that invalid records are noticed, and that no other hook competes."""
    settings = context.settings.availability
    if not settings.clusters:
        yield Check(
            "clusters", "ok", "none: availability does nothing", "name them in `availability: clusters:`"
        )
        return
    try:
        config = BmcConfig.load(context.paths.own_etc / "bmc.yaml")
    except ConfigError as error:
        yield Check("bmc.yaml", "fail", str(error), "no host can be fenced until it can be read")
        return
    unproven = [number for number, entry in config.entries.items() if not gather.identified(entry)]
    if unproven:
        text = f"{len(unproven)} entries name no uuid or serial: their BMC proves no death"
        yield Check("identity", "warn", text, "onext power bmc check shows what each BMC reports")
    yield Check("fencing", "ok", f"{len(config.entries)} hosts have a BMC or fence agent")


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True)
