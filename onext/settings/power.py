"""Section `power:` of the settings: the envelope inside which a cluster's template may choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from onext.settings.notifications import Syslog, Webhook
from onext.settings.section import Section


def _as_in_a_template(values: object) -> object:
    """Take YAML's yes, no and numbers as the text that a template would hold."""
    if not isinstance(values, Mapping):
        return values
    words = {True: "yes", False: "no"}
    return {
        str(key).upper(): words[value] if isinstance(value, bool) else str(value)
        for key, value in values.items()
    }


class Power(Section):
    """Which clusters may be packed and powered, and how far their templates may go."""

    clusters: tuple[int, ...] = Field((), description="ids of the clusters whose template is heeded")
    defaults: Annotated[Mapping[str, str], BeforeValidator(_as_in_a_template)] = Field(
        {}, description="keys of ONEXT_POWER for clusters that do not set them, such as {PACK: yes}"
    )
    highest_mode: Literal["off", "advise", "auto"] = Field(
        "advise", description="the most that a cluster's MODE may be; `auto` switches hosts off"
    )
    lowest_min_hosts: int = Field(2, ge=1, description="the least that MIN_HOSTS may be")
    spare_host: bool = Field(True, description="keep room for the VMs of the largest host that is on")
    highest_parallel_off: int = Field(2, ge=1, description="the most that MAX_PARALLEL_OFF may be")
    highest_parallel_on: int = Field(20, ge=1, description="the most that MAX_PARALLEL_ON may be")
    highest_migrations: int = Field(200, ge=0, description="the most that MAX_MIGRATIONS per hour may be")
    highest_down_hosts: int = Field(3, ge=0, description="the most that MAX_DOWN_HOSTS may be")
    highest_cycles_per_day: int = Field(6, ge=1, description="the most that CYCLES_PER_DAY may be")
    vm_wait_timeout: float = Field(900.0, gt=0, description="seconds after which a waiting VM is reported")
    wakes_per_vm: int = Field(3, ge=1, description="hosts that one waiting VM may have woken")
    wake_failures: int = Field(2, ge=1, description="wakes that fail before a host is quarantined")
    soft_off_timeout: float = Field(180.0, gt=0, description="seconds for a host to shut down by itself")
    lease: float = Field(
        120.0,
        ge=30,
        description="seconds for which a written intent binds other servers; at least 4 x bmc_timeout",
    )
    stale_after: float = Field(600.0, gt=0, description="seconds after which monitoring is stale")
    left_alone_hours: float = Field(
        24.0, ge=0, description="hours for which a host that was switched outside onext is not touched"
    )
    proven_days: float = Field(30.0, gt=0, description="days for which an off and wake cycle counts as proof")
    bmc_timeout: float = Field(8.0, gt=0, le=60, description="seconds for one answer of a BMC")
    suspend: bool = Field(False, description="allow METHOD = suspend, which needs a sudoers line on nodes")
    front_end_hosts: tuple[str, ...] = Field(
        (), description="names of hosts that run a front-end, Prometheus or storage: never switched off"
    )
    idle_watts: float = Field(100.0, gt=0, description="watts of an idle host without ONEXT_POWER_WATTS")
    peak_watts: float = Field(250.0, gt=0, description="watts of a busy host without ONEXT_POWER_WATTS")
    off_watts: float = Field(8.0, ge=0, description="watts of a host that is off")
    syslog: Syslog | None = Field(None, description="syslog server that receives each action")
    webhooks: tuple[Webhook, ...] = Field((), description="webhooks that receive each action")

    @model_validator(mode="after")
    def _bound(self) -> Power:
        """Refuse a lease so short that an order could reach a BMC after it."""
        if self.lease < 4 * self.bmc_timeout:
            raise ValueError("lease must be at least four times bmc_timeout, or an order may outlive it")
        return self
