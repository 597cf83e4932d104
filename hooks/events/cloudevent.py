"""CloudEvents 1.0 (https://github.com/cloudevents/spec): an event as attributes and data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from urllib.parse import quote

from hooks.events.stored import Event

STRUCTURED = "application/cloudevents+json; charset=utf-8"
BATCHED = "application/cloudevents-batch+json; charset=utf-8"
JSON = "application/json"


def attributes(event: Event, source: str, epoch: int) -> dict[str, str]:
    """Return the attributes; `sequence` is the number in this sink, `epoch` the term of its leader."""
    found = {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": event.type,
        "subject": str(event.subject),
        "time": datetime.fromtimestamp(event.time, timezone.utc).isoformat(timespec="milliseconds"),
        "datacontenttype": JSON,
        "sequence": f"{event.number:020d}",
        "epoch": str(epoch),
    }
    return {**found, "late": "true"} if event.late else found


def data(event: Event) -> Mapping[str, object]:
    """Return the data: the facts now, and those that differed before."""
    return {**event.facts, "before": dict(event.before)} if event.before else dict(event.facts)


def structured(event: Event, source: str, epoch: int) -> bytes:
    """Return the event as one JSON document."""
    document = {**attributes(event, source, epoch), "data": data(event)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def batched(events: Sequence[bytes]) -> bytes:
    """Return documents of structured mode as one of batched mode (CloudEvents JSON format, 4)."""
    return b"[" + b",".join(events) + b"]"


def binary(event: Event, source: str, epoch: int) -> tuple[dict[str, str], bytes]:
    """Return headers and body of HTTP's binary mode."""
    found = attributes(event, source, epoch)
    del found["datacontenttype"]
    headers = {f"ce-{name}": quote(value, safe=" /:+-.=_") for name, value in found.items()}
    body = json.dumps(data(event), ensure_ascii=False, separators=(",", ":")).encode()
    return {**headers, "content-type": JSON}, body
