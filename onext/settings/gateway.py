"""Section `gateway:` of the settings: the API and the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from onext.settings.exporter import ADDRESS
from onext.settings.section import Section

Action = Literal[
    "locate", "off", "drain", "on", "flush", "enroll", "pause", "resume", "revoke", "confirm",
    "snapshot",
]  # fmt: skip
ACTIONS: tuple[str, ...] = get_args(Action)


class Gateway(Section):
    """The JSON API, the page and the guarded XML-RPC."""

    enabled: bool = Field(
        False, description="the worker publishes plans, incidents and events for the gateway"
    )
    listen: str = Field("127.0.0.1:9928", pattern=ADDRESS, description="address:port; `[::]:9928` is all")
    web_config: Path | None = Field(
        None,
        description="TLS, in the file format of Prometheus's exporter-toolkit; without users: oned has them",
    )
    public_auth: Path | None = Field(
        None,
        description="file with user:password of an OpenNebula user whose view anybody may read on the page",
    )
    scoped_key: Path | None = Field(
        None, description="file with the private key that vouches for operations; empty: no scoped tokens"
    )
    rpc: bool = Field(False, description="serve the guarded XML-RPC at /RPC2")
    metrics: bool = Field(False, description="serve the gateway's own figures at /metrics, without a login")
    requests: float = Field(
        20.0, gt=0, le=10_000, description="requests per second of one user, five-fold in a burst"
    )
    connections: int = Field(
        256, ge=8, le=4096, description="connections at once, a quarter of them for an address"
    )
    oned_connections: int = Field(
        6, ge=1, le=64, description="calls to oned at once, which has MAX_CONN (15) for all its clients"
    )
    session_hours: float = Field(8.0, gt=0, le=168, description="hours until a login of the page ends")
    actions: tuple[Action, ...] = Field(
        (), description="what users with the right at OpenNebula may order by POST /v1/actions"
    )
    servers: Mapping[int, str] = Field(
        {}, description="address of the gateway of each server of the zone, by its id, as https://one-1:9928"
    )
