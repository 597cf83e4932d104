"""The jobs and rules that Prometheus gets from us, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onext.settings.prometheus import Targets

EXPORTER = "opennebula_exporter"
TENANTS = "opennebula_vms"
STOCK_RULES = "rules.yml"  # beside prometheus.yml, from OpenNebula's package
_PORT = 9925
_PATIENCE = {"scrape_interval": "30s", "scrape_timeout": "20s"}  # a large cloud takes seconds
# What VMs may not say: it would stand beside what OpenNebula and the hosts say.
_NOT_TENANTS = "opennebula_.*|onext_.*|node_.*|scaph_.*|kepler_.*|ALERTS.*"


@dataclass(frozen=True)
class Wanted:
    """What the settings say: targets and their folder, the folder of our rules, the exporter's address."""

    targets: Targets
    folder: Path
    own_etc: Path
    listen: str = f"127.0.0.1:{_PORT}"

    @property
    def rules(self) -> Path:
        """Our rules."""
        return self.own_etc / "prometheus/onext.rules.yml"

    @property
    def stock_rules(self) -> Path:
        """The stock rules without those that ours replace (onext.install.prometheus_rules)."""
        return self.own_etc / "prometheus/stock.rules.yml"


def jobs(wanted: Wanted, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return our scrape_configs; `document` is the file without them, whose stock jobs are taken over."""
    stock = {str(job.get("job_name")): job for job in document.get("scrape_configs") or []}
    hosts = [
        _of_hosts(name, wanted, stock.get(name, {}))
        for name, job in wanted.targets.jobs.items()
        if job.enabled
    ]
    return [_exporter(stock.get(EXPORTER, {}), wanted.listen), *hosts, _tenants(wanted)]


def scraped_at(document: Mapping[str, Any]) -> str | None:
    """Return the address:port at which the stock job scrapes OpenNebula's exporter, None without one."""
    for job in document.get("scrape_configs") or []:
        if job.get("job_name") == EXPORTER:
            for group in job.get("static_configs") or []:
                return next(iter(map(str, group.get("targets") or [])), None)
    return None


def _exporter(stock: Mapping[str, Any], listen: str) -> dict[str, Any]:
    """Return the exporter's job: the stock one, but asking where our exporter listens.

    `instance` stays what it was, so that dashboards and alerts go on.
    """
    rest = {key: stock[key] for key in stock if key not in ("job_name", "static_configs")}
    known = scraped_at({"scrape_configs": [stock]}) if stock else None
    everywhere = listen.rpartition(":")[0] in ("[::]", "0.0.0.0", "*")  # noqa: S104 - recognised, not bound
    group: dict[str, Any] = {"targets": [known or f"localhost:{_PORT}"] if everywhere else [listen]}
    if known and known not in group["targets"]:
        group["labels"] = {"instance": known}
    return {"job_name": EXPORTER, **_PATIENCE, **rest, "static_configs": [group]}


def _of_hosts(name: str, wanted: Wanted, stock: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job of the hosts, with the front-ends' own targets of the stock job (those without a host)."""
    others = [
        group
        for group in stock.get("static_configs") or []
        if "one_host_id" not in (group.get("labels") or {})
    ]
    rest = {key: stock[key] for key in stock if key not in ("job_name", "static_configs", "file_sd_configs")}
    job = {"job_name": name, **rest, "file_sd_configs": [_files(wanted, f"hosts-{name}")]}
    return job | ({"static_configs": others} if others else {})


def _tenants(wanted: Wanted) -> dict[str, Any]:
    """Return the job of the VMs: what an owner controls is bounded, and cannot pass for anything else."""
    limits = wanted.targets.tenants
    return {
        "job_name": TENANTS,
        "honor_labels": False,
        "honor_timestamps": False,
        "follow_redirects": False,
        **limits.model_dump(mode="json"),
        "file_sd_configs": [_files(wanted, "vms")],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": _NOT_TENANTS, "action": "drop"},
        ],
    }


def _files(wanted: Wanted, name: str) -> dict[str, Any]:
    return {"files": [str(wanted.folder / f"{name}.json")]}
