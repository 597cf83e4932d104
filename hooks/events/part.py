"""Events as the worker sees them: after any event, and each round, what differs is committed and sent."""

from __future__ import annotations

import ipaddress
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hooks.events import facts, filters, signature
from hooks.events.changes import difference
from hooks.events.delivery import Sink
from hooks.events.epoch import KIND, Epoch
from hooks.events.outbox import Outbox, OutboxError, SinkState
from hooks.events.senders import Sender, Senders
from hooks.events.sinks.file import FileSink
from hooks.events.sinks.http import HttpSink
from onext import metrics
from onext.http import Http
from onext.oned.documents import Documents
from onext.part import Check, Context, Key, Part, Retry
from onext.settings.events import EventSink

NAME = "events"
FILE = "events.db"
DAY = 86_400.0
ORIGIN = "/opennebula/zone/0"
_PRUNE = 600.0  # seconds between two prunings
_LARGEST_FILE = 4096


class Misconfigured(Exception):
    """A sink cannot be used as it is configured; the message names sink and key."""


@dataclass
class _State:
    """What this process keeps between rounds."""

    epoch: Epoch = field(default_factory=Epoch)
    senders: Senders = field(default_factory=Senders)
    begun: bool = False
    pruned: float = float("-inf")
    lost: int = 0


_state = _State()


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - any key means: look at everything
    """Commit what changed, whichever key came, and wake the senders."""
    wanted = context.settings.events.sinks
    if not wanted:
        _state.senders.stop()
        return ""
    raft = context.oned.raft()
    if not raft.acts:
        raise Retry("this server does not lead: no events are committed")
    fresh = _state.epoch.renew(Documents(context.oned, KIND, context.now), raft, context.now())
    try:
        text = _commit(context, fresh=fresh)
    except OutboxError as error:
        raise Retry(f"no event was committed: {error}") from error
    _state.senders.follow(_senders(context))
    _state.senders.wake()
    return text


def _commit(context: Context, *, fresh: bool) -> str:
    outbox = Outbox(file(context))
    try:
        accepting = {sink.name: filters.accepts(sink) for sink in context.settings.events.sinks}
        cloud = context.cloud()
        late = not _state.begun  # it happened while no worker looked
        changes = difference(
            outbox.known(), facts.facts(cloud), unknown=facts.unknown(cloud), late=late and not fresh
        )
        count = outbox.append(changes, {} if fresh else accepting, context.now())
        if fresh:
            for name, accept in accepting.items():
                outbox.snapshot(name, accept, f"e{_state.epoch.number}", context.now())
        _state.begun = True
        _prune(context, outbox)
        states = [outbox.sink(name) for name in accepting]
        metrics.write(context.paths.metrics, NAME, figures(states, _state.lost))
        return f"{count} changes, {sum(state.lag for state in states)} events wait to be sent"
    finally:
        outbox.close()


def _prune(context: Context, outbox: Outbox) -> None:
    if time.monotonic() - _state.pruned < _PRUNE:
        return
    settings = context.settings.events
    _state.lost += outbox.prune(context.now() - settings.keep_days * DAY, settings.most)
    _state.pruned = time.monotonic()


def file(context: Context) -> Path:
    """Return where the outbox is."""
    context.paths.state.mkdir(parents=True, exist_ok=True)
    return context.paths.state / FILE


def _senders(context: Context) -> Mapping[str, tuple[object, Callable[[], Sender]]]:
    return {sink.name: (sink, partial(_sender, context, sink)) for sink in context.settings.events.sinks}


def _sender(context: Context, sink: EventSink) -> Sender:
    return Sender(build(sink, ORIGIN), file(context), _state.epoch, lambda: context.stopped(NAME))


def build(sink: EventSink, origin: str) -> Sink:
    """Return the sink of a configuration; raise Misconfigured."""
    if sink.kind == "file":
        if sink.path is None:
            raise Misconfigured(f"sink {sink.name}: `path` is missing")
        return FileSink(sink.name, sink.path, origin)
    if sink.url_file is None:
        raise Misconfigured(f"sink {sink.name}: `url_file` is missing")
    url = _line(sink, sink.url_file)
    _allowed(sink, url)
    try:
        keys = [signature.Key.parse(_line(sink, path)) for path in sink.key_files]
    except signature.InvalidKey as error:
        raise Misconfigured(f"sink {sink.name}: `key_files`: {error}") from error
    return HttpSink(sink.name, url, origin, Http(connections=1), keys, sink.binary)


def _line(sink: EventSink, path: Path) -> str:
    try:
        with path.open("rb") as source_file:
            return source_file.read(_LARGEST_FILE).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"sink {sink.name}: {path} cannot be read: {error}") from error


def _allowed(sink: EventSink, url: str) -> None:
    """Refuse private addresses unless the sink allows them: a sink must not reach into the inner network."""
    host = urllib.parse.urlsplit(url).hostname
    if not host or not url.startswith(("http://", "https://")):
        raise Misconfigured(f"sink {sink.name}: `url_file` holds no http address")
    if sink.private:
        return
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Misconfigured(f"sink {sink.name}: its address cannot be resolved: {error}") from error
    if any(not ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_global for entry in found):
        raise Misconfigured(f"sink {sink.name}: a private address; set `private: true` to allow it")


def figures(states: Sequence[SinkState], lost: int) -> Sequence[metrics.Family]:
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
    ]


def sweep(context: Context) -> Iterable[Key]:
    """Look at everything once a minute: changes without a hook, and those that the hook manager missed."""
    return [Key(NAME, "pool", 0)] if context.settings.events.sinks else []


def checks(context: Context) -> Iterable[Check]:
    """Check each sink's configuration and state."""
    for sink in context.settings.events.sinks:
        try:
            build(sink, "/")
        except Misconfigured as error:
            yield Check(f"sink {sink.name}", "fail", str(error), "correct `events: sinks:`")
            continue
        yield _state_check(context, sink.name)


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
