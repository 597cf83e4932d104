"""Where people are notified: a central log, and webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from onext.settings.section import Section


class Webhook(Section):
    """One address that is told what happened."""

    url_file: Path = Field(description="file that holds the address (it is a secret); root:oneadmin 0640")
    kind: Literal["json", "slack"] = Field(
        "json", description="`slack`: the format of Slack and compatible services"
    )


class Syslog(Section):
    """A central log by RFC 5424."""

    host: str = Field(description="name or address of the log server")
    port: int = Field(514, ge=1, le=65535, description="its port")
    transport: Literal["udp", "tcp"] = Field("udp", description="`udp` or `tcp`")
