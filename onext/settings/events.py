"""Section `events:` of the settings: where state changes are published, and how much is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from onext.settings.section import Section


class EventSink(Section):
    """One receiver of events."""

    name: str = Field(description="short name, for commands and metrics", pattern=r"^[a-z][a-z0-9-]{0,31}$")
    kind: Literal["http", "nats", "amqp", "mqtt", "file", "stdout"] = Field(
        "http", description="`http`, `nats`, `amqp`, `mqtt`, `file` or `stdout`"
    )
    url_file: Path | None = Field(
        None, description="file that holds the address with user and password; root:oneadmin 0640"
    )
    target: str = Field(
        "onext",
        description="nats: first words of the subject; amqp: exchange; mqtt: first words of the topic",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$",
    )
    ca_file: Path | None = Field(None, description="nats, amqp, mqtt: authorities in place of the system's")
    key_files: tuple[Path, ...] = Field(
        (), description="http: files with signing keys (whsec_… or whsk_…), two while a key is rotated"
    )
    binary: bool = Field(False, description="http: CloudEvents in binary instead of structured mode")
    batch: int = Field(
        1, ge=1, le=100, description="http: most events of one request (CloudEvents' batched mode from 2 on)"
    )
    private: bool = Field(False, description="allow private and loopback addresses")
    path: Path | None = Field(None, description="file: where one JSON document for each line is appended")
    types: tuple[str, ...] = Field((), description="types that are sent, `vm.*` or `host.state`; empty: all")
    clusters: tuple[int, ...] = Field((), description="clusters whose objects are sent; empty: all")
    receiver: str = Field(
        "", description="user of OpenNebula that may order snapshots of this sink at the gateway"
    )


class Events(Section):
    """State changes as durable CloudEvents."""

    sinks: tuple[EventSink, ...] = Field((), description="receivers; none: the part does nothing")
    keep_days: float = Field(3.5, gt=0, le=90, description="days for which delivered events can be replayed")
    audit_log: Path | None = Field(
        None, description="oned's log, /var/log/one/oned.log: API calls that change something become events"
    )
    most: int = Field(
        1_000_000, ge=1000, le=100_000_000, description="events that are kept at most, sent or not"
    )
