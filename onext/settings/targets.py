"""Section `targets:` of the settings: what Prometheus scrapes."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from onext.settings.section import Section

Network = IPv4Network | IPv6Network
JobName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]  # part of a file's name


class Job(Section):
    """One exporter that runs on each host."""

    port: int = Field(ge=1, le=65535, description="port on the hosts")
    enabled: bool = Field(True, description="false: no file, no job")
    answering: bool = Field(
        False, description="true: only hosts on which the port once answered; asked again every ten minutes"
    )


class Tenants(Section):
    """What Prometheus takes from exporters inside VMs, which their owners control."""

    scrape_interval: str = Field("30s", pattern=r"^\d+(s|m|h)$", description="how often they are scraped")
    scrape_timeout: str = Field("5s", pattern=r"^\d+(s|m|h)$", description="slower scrapes fail")
    sample_limit: int = Field(5000, ge=1, description="samples of one target; more fail the scrape")
    body_size_limit: str = Field("5MB", pattern=r"^\d+(KB|MB|GB)$", description="bytes of one answer")
    label_limit: int = Field(40, ge=1, description="labels of one sample, with those that onext adds")
    label_name_length_limit: int = Field(100, ge=1, description="characters of a label's name")
    label_value_length_limit: int = Field(512, ge=1, description="characters of a label's value")


class Targets(Section):
    """VMs and hosts as targets of Prometheus, in files of its file_sd."""

    folder: Path | None = Field(None, description="where the files are written; empty: var/onext/targets")
    prometheus_user: str = Field(
        "oneadmin", description="the user that Prometheus runs as; it has to be able to read the files"
    )
    jobs: dict[JobName, Job] = Field(
        {
            "node_exporter": Job(port=9100),
            "libvirt_exporter": Job(port=9926),
            "scaphandre": Job(port=8080),
            "ovs_exporter": Job(port=9475, answering=True),
            "smartctl_exporter": Job(port=9633, answering=True),
            "lvm_exporter": Job(port=9845, answering=True),
            "mysql_exporter": Job(port=9104, answering=True),
        },
        description="exporters of the hosts: one job and one file hosts-NAME.json each",
    )
    networks: list[Network] = Field(
        [],
        description="prefixes in which VMs may be scraped, beside networks with ONEXT_SCRAPE",
    )
    forbidden: list[Network] = Field(
        [], description="prefixes that are never scraped for a VM: BMCs, management networks"
    )
    allow_foreign_targets: bool = Field(
        False, description="true: VMs may name addresses that are not their own, inside `networks`"
    )
    per_vm: int = Field(4, ge=1, le=64, description="targets of one VM; more are refused")
    per_user: int = Field(100, ge=1, description="targets of all VMs of one user; more are refused")
    family: Literal["auto", "ipv6", "ipv4"] = Field(
        "auto", description="which address of a VM: auto is IPv6 where the front-end has a route, else IPv4"
    )
    tenants: Tenants = Tenants()
