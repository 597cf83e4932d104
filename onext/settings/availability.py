"""Section `availability:` of the settings: the envelope inside which a cluster's template may choose."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from onext.settings.section import Section


class Availability(Section):
    """Which clusters are watched for failed hosts, and how far their templates may go."""

    clusters: tuple[int, ...] = Field((), description="ids of the clusters whose ONEXT_HA counts")
    highest_mode: Literal["off", "advise", "auto"] = Field(
        "advise", description="the most that a cluster's MODE may be; `auto` fences hosts and restarts VMs"
    )
    lowest_confirm_seconds: int = Field(
        60, ge=20, le=3600, description="the least that CONFIRM_SECONDS may be"
    )
    highest_down_hosts: int = Field(
        1,
        ge=0,
        le=1000,
        description="the most that MAX_DOWN_HOSTS may be; with more hosts down all steps are held",
    )
    quiet_seconds: int = Field(
        180, ge=0, le=86_400, description="seconds between two fencings in one cluster"
    )
    lease_seconds: int = Field(
        60, ge=20, le=3600, description="seconds for which an armed host may run VMs without an answer"
    )
    lease_port: int = Field(4129, ge=1, le=65_535, description="UDP port of the lease daemon on armed hosts")
    probe_seconds: int = Field(10, ge=2, le=300, description="seconds between two probes of a host's sshd")
    history_days: int = Field(90, ge=1, le=3650, description="days for which incidents are kept")
    services: bool = Field(
        False, description="restart VMs of OneFlow and OneKS, too; their own service does it otherwise"
    )
