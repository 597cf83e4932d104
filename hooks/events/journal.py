"""The newest events for the gateway, which cannot read the outbox: one JSON document for each line."""

from __future__ import annotations

from hooks.events.outbox import Outbox
from hooks.events.stored import Event
from onext import log, published
from onext.paths import Paths

_MOST = 1000  # events that are published at once, the newest
_log = log.get("events")


def publish(paths: Paths, outbox: Outbox, epoch: int) -> None:
    """Add the events that are not published yet; a new epoch begins the journal anew.

    A full disk is reported and never stops a commit: the outbox has the events.
    """
    before, number = published.last(paths)
    newest = outbox.newest()
    behind = max(number if before == epoch else 0, newest - _MOST)
    events = outbox.since(behind, _MOST)
    try:
        if events or before != epoch:
            published.append(paths, [_line(event, epoch) for event in events], anew=before != epoch)
    except OSError as error:
        _log.warning("events were not published for the gateway: %s", error)


def _line(event: Event, epoch: int) -> dict[str, object]:
    return {
        "epoch": epoch,
        "number": event.number,
        "id": event.id,
        "type": event.type,
        "subject": str(event.subject),
        "time": event.time,
        "late": event.late,
        "data": dict(event.facts),
        "before": dict(event.before),
    }
