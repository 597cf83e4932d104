"""Section `exporter:` of the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from onext.settings.section import Section

LISTEN = "ONEXT_EXPORTER_LISTEN"  # in the environment of our units: what install.sh found in prometheus.yml
LOOPBACK = "127.0.0.1:9925"
# No blank, quote or line end: an address becomes part of a systemd unit.
ADDRESS = r"^(\[[0-9a-fA-F:.%a-z]+\]|[A-Za-z0-9._*-]+):[0-9]{1,5}$"


class Power(Section):
    """Where the power of hosts and VMs comes from: a power exporter on each host."""

    sources: list[Literal["scaphandre", "kepler"]] = Field(
        ["scaphandre", "kepler"], description="asked in this order until one answers; []: power is left out"
    )
    scaphandre_port: int = Field(8080, ge=1, le=65535, description="port of Scaphandre on the hosts")
    kepler_port: int = Field(28282, ge=1, le=65535, description="port of Kepler on the hosts")
    budget: float = Field(
        2.5, gt=0, le=60, description="seconds that all hosts together may take in a scrape"
    )
    connect_timeout: float = Field(0.5, gt=0, le=30, description="seconds to reach one host")
    read_timeout: float = Field(2.0, gt=0, le=30, description="seconds for one host's answer")
    back_off: float = Field(60.0, ge=0, le=3600, description="seconds until a dead host is asked again")
    interval: float = Field(
        5.0,
        ge=3,
        le=600,
        description="a host is asked at most this often (seconds): Scaphandre freezes at 2 s",
    )
    highest_watts: float = Field(
        3000.0, gt=0, le=1e6, description="watts of a host above which a figure is not believed"
    )
    threads: int = Field(32, ge=1, le=128, description="hosts asked together")


class Client(Section):
    """How power asks the exporter for the watts of Scaphandre and Kepler where `web_config` guards it."""

    url: str | None = Field(
        None,
        pattern=r"^https?://[^@/]+/?$",
        description="such as https://fe.example.org:9925; empty: http where it listens",
    )
    ca_file: Path | None = Field(None, description="certificates to trust; empty: the usual authorities")
    login_file: Path | None = Field(
        None, description="a file with user:password, which oneadmin alone can read"
    )


class Push(Section):
    """Where each page is pushed as OTLP over HTTP, for a Prometheus that cannot scrape this front-end."""

    url: str = Field(
        pattern=r"^https?://[^\s]+$",
        description="such as https://collector.example.org/v1/metrics",
    )
    interval: float = Field(60.0, ge=10, le=3600, description="seconds between two pages")
    timeout: float = Field(10.0, gt=0, le=60, description="seconds for one request; a page may need several")
    headers_file: Path | None = Field(
        None, description="a file with `Name: value` on each line, such as an Authorization header"
    )
    ca_file: Path | None = Field(None, description="certificates to trust; empty: the usual authorities")


class Exporter(Section):
    """The exporter of OpenNebula's metrics."""

    listen: str | None = Field(
        None,
        pattern=ADDRESS,
        description="address:port, `[::]:9925` is every address, IPv4 too; empty: where prometheus.yml"
        " scrapes OpenNebula's own exporter, else 127.0.0.1:9925",
    )
    web_config: Path | None = Field(
        None, description="TLS and passwords, in the file format of Prometheus's exporter-toolkit"
    )
    deadline: float = Field(60.0, gt=0, le=600, description="seconds for all answers of oned to one scrape")
    keep: float = Field(
        300.0, ge=0, le=3600, description="seconds for which the last good data is served when oned is down"
    )
    clusters: list[int] = Field(
        [], description="ids of clusters to serve; []: all of them, and VMs of no host"
    )
    collect: list[Literal["networks", "quotas", "services", "backups"]] = Field(
        ["networks", "quotas", "services", "backups"],
        description="what is read beside hosts, VMs, datastores, zones; each is a call or two in a scrape",
    )
    http_sd: bool = Field(False, description="serve the targets at /targets/ for a Prometheus elsewhere")
    power: Power = Power()
    client: Client = Client()
    push: Push | None = Field(
        None, description="push each page as OTLP too; needs the Python package opentelemetry-proto"
    )

    @property
    def address(self) -> str:
        """Where the exporter listens: the settings, else the environment of the unit, else loopback."""
        return self.listen or os.environ.get(LISTEN) or LOOPBACK
