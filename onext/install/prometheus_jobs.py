"""The jobs and rules that Prometheus gets from us, as data."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onext.install.errors import InstallError
from onext.settings.exporter import ADDRESS, LOOPBACK
from onext.settings.targets import Targets

EXPORTER = "opennebula_exporter"
TENANTS = "opennebula_vms"
STOCK_RULES = "rules.yml"  # beside prometheus.yml, from OpenNebula's package
_PATIENCE = {"scrape_interval": "30s", "scrape_timeout": "20s"}  # a large cloud takes seconds
# Metrics that VMs may not export: they would mix with those of OpenNebula and the hosts.
_NOT_TENANTS = (
    "opennebula_.*|onext_.*|node_.*|libvirt_.*|scaph_.*|kepler_.*|ALERTS.*"
    "|ovs_.*|smartctl_.*|lvm_.*|mysql_.*|mysqld_.*"
)


def is_ours(host: str) -> bool:
    """Whether this machine can listen on `host`, a name or an address without brackets."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except (OSError, UnicodeError):
        return False
    return True


@dataclass(frozen=True)
class Wanted:
    """The values of the settings: targets and their folder, the folder of our rules, the exporter's address.

    `listen` None leaves that to prometheus.yml; `ours` are the hosts that are this machine.
    """

    targets: Targets
    folder: Path
    own_etc: Path
    listen: str | None = None
    ours: Callable[[str], bool] = is_ours

    @property
    def rules(self) -> Path:
        """Our rules."""
        return self.own_etc / "prometheus/onext.rules.yml"

    @property
    def stock_rules(self) -> Path:
        """The stock rules without those that onext replaces (onext.install.prometheus_rules)."""
        return self.own_etc / "prometheus/stock.rules.yml"


def jobs(wanted: Wanted, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return our scrape_configs; `document` is the file without them, whose stock jobs are taken over."""
    stock = {str(job.get("job_name")): job for job in document.get("scrape_configs") or []}
    hosts = [
        _of_hosts(name, wanted, stock.get(name, {}))
        for name, job in wanted.targets.jobs.items()
        if job.enabled
    ]
    return [_exporter(document, wanted), *hosts, _tenants(wanted)]


def listens(wanted: Wanted, document: Mapping[str, Any]) -> str:
    """Return where onext's exporter listens: the settings, else where `document` scrapes the stock one.

    That is on loopback where the document has no such job, or none of its targets is this machine. What
    is not an address is never returned: oneadmin may write the document, and root writes units with it.
    """
    known = _here(_stock(document), wanted)
    usable = known is not None and _is_address(known) and wanted.ours(_host(known))
    return wanted.listen or (known if known and usable else LOOPBACK)


def _is_address(text: str) -> bool:
    return re.fullmatch(ADDRESS, text) is not None and int(text.rpartition(":")[2]) < 1 << 16


def asked(document: Mapping[str, Any]) -> list[str]:
    """Return the addresses at which `document` asks exporters of OpenNebula."""
    return [str(target) for group in _groups(_stock(document)) for target in group.get("targets") or []]


def require_form(document: Mapping[str, Any]) -> None:
    """Raise InstallError where what is read of a configuration of Prometheus has another type."""
    wrong = next(_wrong_types(document), None)
    if wrong is not None:
        raise InstallError(f"prometheus.yml: {wrong}")


def _wrong_types(document: Mapping[str, Any]) -> Iterator[str]:
    for key in ("scrape_configs", "rule_files"):
        if not isinstance(document.get(key) or [], list):
            yield f"{key} is not a list"
            return
    for job in document.get("scrape_configs") or []:
        groups = job.get("static_configs") or [] if isinstance(job, dict) else None
        if not isinstance(groups, list) or not all(map(_is_group, groups)):
            yield "an item of scrape_configs is not a job with static_configs of targets and labels"


def _is_group(group: object) -> bool:
    if not isinstance(group, dict):
        return False
    targets, labels = group.get("targets") or [], group.get("labels") or {}
    plain = isinstance(targets, list) and not any(isinstance(one, dict | list) for one in targets)
    return plain and isinstance(labels, dict)


def _exporter(document: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return the exporter's job: the stock one, but asking where our exporter listens.

    `instance` stays what it was, so that dashboards and alerts continue to work.
    """
    stock = _stock(document)
    known = _here(stock, wanted)
    target = _asked(listens(wanted, document), known)
    labels, others = dict[str, Any](), []
    for group in _groups(stock):
        left = [one for one in group.get("targets") or [] if str(one) != known]
        others += [{**group, "targets": left}] if left else []
        labels |= group.get("labels") or {} if len(left) < len(group.get("targets") or []) else {}
    if known and known != target:
        labels = {"instance": known} | labels
    ours = {"targets": [target]} | ({"labels": labels} if labels else {})
    rest = {key: stock[key] for key in stock if key not in ("job_name", "static_configs")}
    return {"job_name": EXPORTER, **_PATIENCE, **rest, "static_configs": [ours, *others]}


def _here(stock: Mapping[str, Any], wanted: Wanted) -> str | None:
    """Return the target of the stock job that is this front-end's exporter: in HA the others have theirs."""
    known = asked({"scrape_configs": [stock]})
    mine = (target for target in known if _is_address(target) and wanted.ours(_host(target)))
    return next(mine, next(iter(known), None))


def _asked(listen: str, known: str | None) -> str:
    """Return the address at which an exporter that listens on `listen` is asked."""
    host, _, port = listen.rpartition(":")
    if host not in ("[::]", "0.0.0.0", "*"):  # noqa: S104 - recognised, not bound
        return listen
    return known if known and known.endswith(f":{port}") else f"localhost:{port}"


def _stock(document: Mapping[str, Any]) -> Mapping[str, Any]:
    jobs: Iterable[Mapping[str, Any]] = document.get("scrape_configs") or []
    return next((job for job in jobs if job.get("job_name") == EXPORTER), {"job_name": EXPORTER})


def _groups(job: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return job.get("static_configs") or []


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


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
