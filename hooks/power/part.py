"""The power part of the worker: any event causes one round, in which each cluster is processed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hooks.power import cluster_metrics, ledger, power_readings, published_plan
from hooks.power.after_round import keep, remember_moves, report_problems
from hooks.power.decide import Decision, Memory, PowerOff, decide
from hooks.power.guard import Guard
from hooks.power.needed_hosts import short
from hooks.power.policy import TEMPLATE_KEY, Policy, read
from hooks.power.round import act, under_way
from hooks.power.round_snapshot import fresh, snapshot, touched
from hooks.power.round_state import RoundState, Tally
from onext import lock, log, metrics, published
from onext.cloud.model import Host
from onext.hosts.actions.actuator import Actuator, Event, Limits
from onext.hosts.actions.effects import Access, Effects
from onext.hosts.bmc.check import findings
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import ConfigError
from onext.hosts.bmc.failure_log import FailureLog
from onext.hosts.claims import STATE_KEY
from onext.hosts.deciders import DECIDERS, Decider, Mandate
from onext.hosts.inventory.cluster import ClusterUnreadable, chosen, observe
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.model import Cluster
from onext.hosts.notify import VmEvent, teller
from onext.oned.documents import Documents
from onext.oned.errors import OnedError, Unreachable
from onext.part import Check, Context, Key, Part, Retry, Underway

NAME = "power"
HOUR = 3600.0
BMC_FILE = "bmc.yaml"
WAIT_KEY = "ONEXT_POWER_WAIT"
_log = log.get(NAME)
_bmc_failures = FailureLog(_log)


_state = RoundState()


@dataclass(frozen=True)
class Assessment:
    """One cluster: what is, what is wanted, what was decided."""

    cluster: Cluster
    policy: Policy
    decision: Decision


def book(context: Context) -> BmcConfig:
    """Read bmc.yaml; raise Retry where it cannot be used."""
    try:
        return BmcConfig.load(context.paths.own_etc / BMC_FILE)
    except ConfigError as error:
        raise Retry(str(error)) from error


def assess(context: Context, seen: Snapshot, cluster_id: int, state: RoundState) -> Assessment:
    """Decide on one cluster; changes nothing. Raises KeyError without the cluster, and ClusterUnreadable."""
    settings, now = context.settings.power, context.now()
    policy = read(chosen(seen.cloud, cluster_id, TEMPLATE_KEY), settings)
    recent = [when for when in state.migrations.get(cluster_id, ()) if now - when < HOUR]
    state.migrations[cluster_id] = recent
    cluster = replace(observe(seen, cluster_id, settings, now), migrations=len(recent))
    cluster = state.moves.apply(cluster, now)
    return Assessment(cluster, policy, decide(cluster, policy, now, state.memories.get(cluster_id, Memory())))


def actuator(context: Context, entries: BmcConfig, assessment: Assessment, state: RoundState) -> Actuator:
    """Return the one who acts for this server, in its Raft term; raise Retry when it may not act."""
    raft = context.oned.raft()
    if not raft.acts:
        raise Retry("this server does not lead: nothing is done")
    settings = context.settings.power
    limits = Limits(
        lease=settings.lease,
        soft_off=settings.soft_off_timeout,
        wake=assessment.policy.wake_timeout,
        failures=assessment.policy.wake_failures,
        left_alone=settings.left_alone_hours * HOUR,
        min_hosts=assessment.policy.min_hosts,
        parallel_on=assessment.policy.max_parallel_on,
    )
    curves = {host.id: host.curve for host in assessment.cluster.hosts}
    world = Effects(context, entries, raft.server_id, raft.term, access(context))
    cluster = assessment.cluster
    me = Decider(NAME, raft.server_id, raft.term, 0.0, settings.lease)
    documents = Documents(context.oned, DECIDERS, context.now)
    return Actuator(
        world,
        limits,
        state.leases,
        teller(settings, cluster.name),
        curves.__getitem__,
        forbids=Guard(context, entries, cluster.id, {host.id: host.excluded for host in cluster.hosts}),
        mandate=Mandate(documents, cluster.id, me, world.now, world.monotonic, state.watch),
    )


def access(context: Context) -> Access:
    """Return how the settings have hosts reached; ssh is that of the section geolocation."""
    settings = context.settings
    return Access(settings.power.bmc_timeout, settings.geolocation.ssh_config, settings.power.front_end_hosts)


@contextmanager
def alone(context: Context, patience: float = 5.0) -> Iterator[None]:
    """Keep the worker and the commands of this server out of each other's way.

    Raises Busy when another one is at work for longer than `patience` seconds.
    """
    with lock.held(
        context.paths.state / "power.lock", patience, "another round or order of power is under way"
    ):
        yield


def reconcile(context: Context, keys: Sequence[Key]) -> str:
    """Process all clusters of the settings, whichever key came."""
    settings = context.settings.power
    if not keys:
        return ""
    if not settings.clusters:
        return _cleared(context)
    with alone(context):
        _state.load(context.paths.state)
        entries = book(context)
        seen = snapshot(context, entries, _state.moves.begun)
        _bmc_failures.report(seen.readings)
        _state.forget(settings.clusters)
        said = [_isolated(context, entries, seen, cluster) for cluster in settings.clusters]
        keep("memory", lambda: _state.save(context.paths.state))
        keep("ledger", lambda: _enter(context))
        keep("watts", lambda: power_readings.read(context, entries, seen))
        keep("plan", lambda: _publish(context))
    families = cluster_metrics.families(_state.seen.values(), _state.tallies)
    keep(
        "metrics",
        lambda: metrics.write(context.paths.metrics, NAME, [*families, power_readings.implausible_family()]),
    )
    text = "; ".join(said)
    return Underway(text) if any(isinstance(line, Underway) for line in said) else text


def _publish(context: Context) -> None:
    if context.settings.gateway.enabled:
        document = published_plan.document(_state.seen.values(), context.paths.state, context.now())
        published.write(context.paths, NAME, document)


def _cleared(context: Context) -> str:
    """Drop the figures of clusters that were taken out of the settings."""
    _state.forget(())
    keep("metrics", lambda: metrics.remove(context.paths.metrics, NAME))
    keep("plan", lambda: published.remove(context.paths, NAME))
    return ""


def _enter(context: Context) -> None:
    for number, (cluster, *_) in _state.seen.items():
        standing = ledger.entry(cluster, _state.tallies.get(number, Tally()), context.now())
        ledger.enter(context.paths.state, number, standing)


def _isolated(context: Context, entries: BmcConfig, seen: Snapshot, cluster: int) -> str:
    """Run one cluster; what fails there does not keep the others from their turn."""
    try:
        return run(context, entries, seen, cluster, _state)
    except (Retry, Unreachable):
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of a cluster: the others have their turn
        message = f"cluster {cluster}: the round failed: {type(error).__name__}: {error}"
        if _state.failed.get(cluster) != message:
            _log.exception("%s", message)
        _state.failed[cluster] = message
        return message


def run(context: Context, entries: BmcConfig, seen: Snapshot, cluster_id: int, state: RoundState) -> str:
    """Decide and act on one cluster; return the result, and whether more is to come soon."""
    try:
        found = assess(context, seen, cluster_id, state)
        if any(isinstance(action, PowerOff) for action in found.decision.actions):
            seen = fresh(context, seen)
            found = assess(context, seen, cluster_id, state)
    except (KeyError, ClusterUnreadable) as error:
        state.seen.pop(cluster_id, None)
        return f"cluster {cluster_id} not found" if isinstance(error, KeyError) else str(error)
    state.memories[cluster_id] = found.decision.memory
    state.seen[cluster_id] = (found.cluster, found.policy, found.decision, context.now())
    acting = replace(actuator(context, entries, found, state), decided=seen.taken)
    try:
        outcome = act(acting, found.cluster, found.decision.actions)
    finally:
        acting.release_mandate()
        remember_moves(found.cluster, acting, state, context.now())
        report_problems(found.cluster, state)
    touched(context, outcome, state.moves.begun)
    begun = acting.world.migrations if isinstance(acting.world, Effects) else []
    state.migrations[cluster_id] += begun
    tally = state.tallies.setdefault(cluster_id, Tally())
    gb = len(begun) * _mean_gb(found.decision)
    tally.look(context.now(), len(begun), short=short(found.cluster, found.policy), gb=gb)
    _tell_waiting(context, found, state.told.setdefault(cluster_id, set()), acting.tell)
    for host, what in outcome.items():
        _log.info("host %d: %s", host, what)
    held = f", held: {found.decision.held}" if found.decision.held else ""
    text = f"{found.cluster.name}: {len(outcome)} hosts acted on{held}"
    more = under_way(found.cluster, found.decision.actions, context.now())
    return Underway(text) if more else text


def _mean_gb(decision: Decision) -> float:
    """Return the memory of the VMs that were to move, on the mean of them."""
    offs = [action for action in decision.actions if isinstance(action, PowerOff)]
    moves = [move for off in offs for move in off.moves]
    return sum(move.cost for move in moves) / max(1, sum(len(move.vms) for move in moves))


def _tell_waiting(context: Context, found: Assessment, told: set[int], tell: Callable[[Event], None]) -> None:
    """Tell people of each VM that waits too long, once, and write why into its template; take that back."""
    names = {vm.id: vm.name for vm in found.cluster.vms}
    stuck = found.decision.stuck
    for vm in stuck.keys() - told:
        tell(VmEvent(vm, names[vm], "vm-waits", stuck[vm]))
        _update_vm(context, vm, stuck[vm])
    for vm in told - stuck.keys():
        _update_vm(context, vm, None)
    told.clear()
    told.update(stuck)


def _update_vm(context: Context, vm: int, reason: str | None) -> None:
    try:
        context.oned.update_vm(vm, {WAIT_KEY: reason})
    except OnedError as error:
        _log.info("VM %d: its template was not written: %s", vm, error)


def sweep(context: Context) -> Iterable[Key]:
    """Ask for a round once a minute."""
    return [Key(NAME, "cluster", cluster) for cluster in context.settings.power.clusters or _state.seen]


def checks(context: Context) -> Iterable[Check]:
    """Report whether bmc.yaml can be used, which clusters are heeded, and what was left in the others."""
    clusters = context.settings.power.clusters
    yield from _left_behind(context, clusters)
    if not clusters:
        yield Check("clusters", "ok", "none: power does nothing", "name them in `power: clusters:`")
    yield from _bmcs(context)


def _bmcs(context: Context) -> Iterator[Check]:
    """Ask each BMC of bmc.yaml once, also where other parts use them."""
    try:
        entries = book(context)
    except Retry as error:
        yield Check("bmc.yaml", "fail", str(error), "nothing is switched until it can be read")
        return
    if entries.entries or context.settings.power.clusters:
        yield Check("bmc.yaml", "ok", f"{len(entries.entries)} BMCs")
    yield from findings(entries)


def _left_behind(context: Context, clusters: Sequence[int]) -> Iterator[Check]:
    try:
        names = left_behind(context.cloud().hosts.values(), clusters)
    except OnedError:
        return  # doctor has a separate line for that
    if names:
        yield Check(
            "hosts",
            "warn",
            f"with a claim of power, in clusters that the settings do not name: {', '.join(names)}",
            "name their cluster in `power: clusters:` and set MODE=off in it, until they are back",
        )


def left_behind(hosts: Iterable[Host], clusters: Sequence[int]) -> list[str]:
    """Return the names of hosts with a claim of power in a cluster that the settings do not name."""
    return [host.name for host in hosts if STATE_KEY in host.template and host.cluster_id not in clusters]


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True)
