"""Which changes a sink gets: by type and cluster, by its settings."""

from __future__ import annotations

import re

from hooks.events.changes import PREFIX, Change
from hooks.events.outbox import Accepts
from onext.settings.events import EventSink


def accepts(sink: EventSink) -> Accepts:
    """Return the filter of a sink."""
    patterns = [re.compile(_pattern(text)) for text in sink.types]
    clusters = frozenset(sink.clusters)

    def accept(change: Change) -> bool:
        kind = change.type.removeprefix(f"{PREFIX}.")
        if patterns and not any(pattern.fullmatch(kind) for pattern in patterns):
            return False
        return not clusters or _cluster(change) in clusters

    return accept


def _pattern(text: str) -> str:
    """Return a regular expression for `vm.*`: each star is one word, so that matching is linear."""
    return r"\.".join("[a-z]+" if part == "*" else re.escape(part) for part in text.split("."))


def _cluster(change: Change) -> object:
    return change.object.id if change.object.kind == "cluster" else change.facts.get("cluster")
