"""Events as the worker sees them: after any event, and each round, what differs is committed and sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hooks.events import edge_nodes, facts, filters, journal
from hooks.events.audit import AuditError, CallLog, Position, secret_word
from hooks.events.changes import Change, Known, difference
from hooks.events.database import Corrupt, OutboxError
from hooks.events.epoch import KIND, Epoch
from hooks.events.facts import Object
from hooks.events.outbox import Accepts, Outbox
from hooks.events.senders import Sender, Senders
from hooks.events.sinks.configured import Misconfigured, build
from hooks.events.stored import SinkState
from onext import bounds, log, metrics
from onext.cloud.snapshot import Cloud
from onext.oned.documents import Documents
from onext.part import Check, Context, Key, Part, Retry
from onext.settings.events import EventSink

NAME = "events"
FILE = "events.db"
DAY = 86_400.0
_PRUNE = 60.0  # seconds between two prunings
_ALMOST_FULL = 0.8  # of `most`: time for a person to act before events are dropped
_LATE = 180.0  # seconds without a commit after which changes are marked as found late
_log = log.get(NAME)


@dataclass
class _State:
    """What this process keeps between rounds."""

    epoch: Epoch = field(default_factory=Epoch)
    senders: Senders = field(default_factory=Senders)
    committed: float = float("-inf")
    pruned: float = float("-inf")
    lost: int = 0
    calls: CallLog | None = None
    audit_problem: str = ""
    almost_full: bool = False


_state = _State()


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - any key means all objects
    """Commit what changed, whichever key came, and wake the senders."""
    if not _wanted(context):
        _state.senders.stop()
        return ""
    raft = context.oned.raft()
    if not raft.acts:
        raise Retry("this server does not lead: no events are committed")
    _state.epoch.renew(Documents(context.oned, KIND, context.now), raft, context.now())
    cloud = context.cloud()
    try:
        text = _commit(context, cloud)
    except Corrupt as error:
        _begin_anew(context, error)
        raise Retry("the outbox was damaged: a new one begins with snapshots") from error
    except OutboxError as error:
        raise Retry(f"no event was committed: {error}") from error
    _state.senders.follow(_senders(context, origin(cloud)))
    _state.senders.wake()
    return text


def _wanted(context: Context) -> bool:
    """Return whether a sink or the gateway receives events."""
    return bool(context.settings.events.sinks) or context.settings.gateway.enabled


def zone_id(cloud: Cloud) -> int:
    """Return the id of this zone, 0 where oned is in no federation."""
    found = cloud.document("system.config").findtext(".//FEDERATION/ZONE_ID")
    return bounds.whole(found, 0, 10**6) or 0


def origin(cloud: Cloud) -> str:
    """Return the source of all events of this zone."""
    return f"/opennebula/zone/{zone_id(cloud)}"


def _begin_anew(context: Context, error: Corrupt) -> None:
    """Move a damaged outbox aside, in place of an earlier one; a new epoch tells receivers about it."""
    path = file(context)
    _state.senders.stop()
    _log.error("%s; it is kept as %s.damaged, and every sink gets a snapshot", error, path.name)
    try:
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.replace(path.with_name(f"{path.name}.damaged{suffix}"))
    except OSError as failure:
        raise Retry(f"{path} is damaged and cannot be moved aside: {failure}") from failure
    _state.epoch.begin_anew()


def _commit(context: Context, cloud: Cloud) -> str:
    outbox = Outbox(file(context))
    try:
        accepting = {sink.name: filters.accepts(sink) for sink in context.settings.events.sinks}
        outbox.keep_only(accepting.keys())
        outbox.name_zone(zone_id(cloud))
        new_epoch = outbox.epoch() != _state.epoch.number
        owed = [name for name in accepting if new_epoch or not outbox.sink(name).last]
        late = time.monotonic() - _state.committed > _LATE  # it happened while no worker looked
        changes = _changes(context, cloud, outbox.known(), late=late and not new_epoch)
        receiving = {name: accept for name, accept in accepting.items() if name not in owed}
        count = outbox.append(changes, receiving, context.now())
        _record_calls(context, cloud, outbox, receiving)
        source = f"e{_state.epoch.number}.{int(context.now())}"
        for name in [*owed, *_prune(context, outbox)]:
            outbox.snapshot(name, accepting[name], source, context.now())
        for name in receiving:
            if outbox.asked(name) and not outbox.wait(name, context.now()):
                outbox.snapshot(name, accepting[name], source, context.now())
                outbox.grant(name, context.now())
        if new_epoch:
            outbox.begin_epoch(_state.epoch.number)
        if context.settings.gateway.enabled:
            journal.publish(context.paths, outbox, _state.epoch.number)
        _state.committed = time.monotonic()
        states = [outbox.sink(name) for name in accepting]
        fill = outbox.kept() / context.settings.events.most
        _warn_before_loss(fill, states)
        metrics.write(context.paths.metrics, NAME, figures(states, _state.lost, fill))
        return f"{count} changes, {sum(state.lag for state in states)} events wait to be sent"
    finally:
        outbox.close()


def _changes(
    context: Context, cloud: Cloud, known: Mapping[Object, Known], *, late: bool
) -> Iterable[Change]:
    """Return what changed; edge nodes count as unchanged while that part is off or has published nothing."""
    nodes = edge_nodes.read(context.paths) if context.settings.edge.enabled else None
    unknown = facts.unknown(cloud)
    if nodes is None:
        unknown |= {thing for thing in known if thing.kind == edge_nodes.KIND}
    return difference(known, {**facts.facts(cloud), **(nodes or {})}, unknown=unknown, late=late)


def _warn_before_loss(fill: float, states: Sequence[SinkState]) -> None:
    """Report once that the outbox is almost full, as long as a sink still needs what would be dropped."""
    waiting = [state.name for state in states if state.lag]
    almost = fill >= _ALMOST_FULL and bool(waiting)
    if almost and not _state.almost_full:
        _log.warning(
            "the outbox is %.0f %% full: what %s do not have yet will be dropped; see onext events status",
            fill * 100,
            ", ".join(waiting),
        )
    _state.almost_full = almost


def _record_calls(context: Context, cloud: Cloud, outbox: Outbox, receiving: Mapping[str, Accepts]) -> None:
    """Commit the API calls that oned logged since the last pass; a failure is reported once."""
    path = context.settings.events.audit_log
    if path is None:
        return
    if _state.calls is None or _state.calls.path != path:
        _state.calls = CallLog(path)
    configuration = cloud.document("system.config")
    _state.calls.word = secret_word(configuration.findtext("LOG_CALL_FORMAT") or "")
    problem = ""
    try:
        calls, position = _state.calls.read(Position.parse(outbox.mark()))
        outbox.record(calls, receiving, context.now(), str(position))
    except AuditError as error:
        problem = str(error)
    if problem and problem != _state.audit_problem:
        _log.warning("no API calls are recorded: %s", problem)
    _state.audit_problem = problem


def _prune(context: Context, outbox: Outbox) -> Iterable[str]:
    """Delete what is old or too much; return the sinks that lost events by that."""
    if time.monotonic() - _state.pruned < _PRUNE:
        return ()
    settings = context.settings.events
    lost = outbox.prune(context.now() - settings.keep_days * DAY, settings.most)
    for name, count in lost.items():
        _log.error("sink %s: %d events were dropped before it had them: it gets a snapshot", name, count)
    _state.lost += sum(lost.values())
    _state.pruned = time.monotonic()
    return lost


def file(context: Context) -> Path:
    """Return where the outbox is."""
    return context.paths.state / FILE


def _senders(context: Context, source: str) -> Mapping[str, tuple[object, Callable[[], Sender]]]:
    return {
        sink.name: ((sink, source), partial(_sender, context, sink, source))
        for sink in context.settings.events.sinks
    }


def _sender(context: Context, sink: EventSink, source: str) -> Sender:
    return Sender(build(sink, source), file(context), _state.epoch, lambda: context.stopped(NAME))


def figures(states: Sequence[SinkState], lost: int, fill: float) -> Sequence[metrics.Family]:
    """Return the metrics of all sinks."""
    lag = [({"sink": state.name}, float(state.lag)) for state in states]
    failing = [({"sink": state.name}, float(bool(state.problem or state.stopped))) for state in states]
    return [
        metrics.Family("onext_events_lag", "gauge", "Events that a sink does not have yet.", lag),
        metrics.Family("onext_events_sink_failing", "gauge", "Whether the last delivery failed.", failing),
        metrics.Family(
            "onext_events_lost_total",
            "counter",
            "Events dropped before a sink had them.",
            [({}, float(lost))],
        ),
        metrics.Family(
            "onext_events_outbox_fill", "gauge", "Kept events, as a fraction of `events: most`.", [({}, fill)]
        ),
    ]


def sweep(context: Context) -> Iterable[Key]:
    """Compare all objects once a minute: changes without a hook, and those that the hook manager missed."""
    return [Key(NAME, "pool", 0)] if _wanted(context) else []


def checks(context: Context) -> Iterable[Check]:
    """Check each sink's configuration and state."""
    for sink in context.settings.events.sinks:
        try:
            build(sink, "/")
        except Misconfigured as error:
            yield Check(f"sink {sink.name}", "fail", str(error), "correct `events: sinks:`")
            continue
        yield _state_check(context, sink.name)
    if (log_file := context.settings.events.audit_log) is not None:
        yield _audit_check(log_file)


def _audit_check(path: Path) -> Check:
    try:
        with path.open("rb") as log_file:
            log_file.read(1)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
        return Check("audit", "fail", reason, "correct `events: audit_log`")
    return Check("audit", "ok", f"API calls in {path} become events")


def _state_check(context: Context, name: str) -> Check:
    if not (context.paths.state / FILE).exists():
        return Check(f"sink {name}", "warn", "no event was committed yet", "the worker commits once a minute")
    outbox = Outbox(file(context))
    try:
        state = outbox.sink(name)
    finally:
        outbox.close()
    if state.stopped:
        return Check(f"sink {name}", "fail", state.stopped, f"onext events resume {name}")
    if state.problem:
        return Check(f"sink {name}", "warn", f"{state.problem}; {state.lag} events wait", "it is tried again")
    return Check(f"sink {name}", "ok", f"{state.lag} events wait")


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True)
