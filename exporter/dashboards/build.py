"""Writes the Grafana dashboards beside this file: `python -m exporter.dashboards.build`.

Grafana's JSON is long; what differs from panel to panel is a title, a query and a unit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 12  # two panels in a row of 24


@dataclass(frozen=True)
class Panel:
    """One panel: `legend` names its lines, `unit` is Grafana's id of a unit."""

    title: str
    query: str
    unit: str = "short"
    legend: str = ""
    type: str = "timeseries"


@dataclass(frozen=True)
class Dashboard:
    """One file; `variables` are (name, label of a metric, metric)."""

    uid: str
    title: str
    panels: Sequence[Panel]
    variables: Sequence[tuple[str, str, str]] = ()
    sites: bool = False  # with a map of the sites behind the other panels


HOST = ("host", "one_host_id", "opennebula_host_state")
VM = ("vm", "one_vm_id", "opennebula_vm_state")
# In an HA zone each server's exporter has the same: joins stay within one, and sums take each object once.
NAMED = "* on (instance, one_host_id) group_left (name) opennebula_host_info"
VM_NAMED = "* on (instance, one_vm_id) group_left (name) opennebula_vm_info"


# Who owns a VM; a name may belong to several VMs, hence by id.
OWNED = "* on (instance, one_vm_id) group_left (user, group) opennebula_vm_info"


def hosts(metric: str) -> str:
    """Return a metric of hosts, each host once."""
    return f"max by (one_host_id) (opennebula_host_{metric})"


def vms(metric: str) -> str:
    """Return a metric of VMs, each VM once."""
    return f"max by (one_vm_id) (opennebula_vm_{metric})"


FLEET = Dashboard(
    "onext-fleet",
    "onext / Fleet",
    (
        Panel("OpenNebula answers", "opennebula_up", type="stat"),
        Panel("Hosts by state", f"count_values by () ('state', {hosts('state')})", legend="state {{state}}"),
        Panel("VMs by state", f"count_values by () ('state', {vms('state')})", legend="state {{state}}"),
        Panel(
            "VMs by owner",
            "count by (user, group) (max by (one_vm_id, user, group) (opennebula_vm_info))",
            legend="{{user}} ({{group}})",
        ),
        Panel("Hosts off", f"count({hosts('state')} == 8) or vector(0)", type="stat"),
        Panel("CPU given to VMs", f"sum({hosts('cpu_usage_ratio')}) / 100", legend="cores given"),
        Panel("CPU there is", f"sum({hosts('cpu_maximum_ratio')}) / 100", legend="cores"),
        Panel("Memory given to VMs", f"sum({hosts('mem_usage_bytes')})", "bytes", "given"),
        Panel("Memory there is", f"sum({hosts('mem_maximum_bytes')})", "bytes", "memory"),
        Panel("Power of all hosts", f"sum({hosts('power_watts')})", "watt", "watts"),
        Panel(
            "Datastores used", "opennebula_datastore_used_bytes", "bytes", "datastore {{one_datastore_id}}"
        ),
        Panel(
            "Least free leases of a network",
            "min by (vnet_name, ar_id) (opennebula_vnet_free_lease_ratio)",
            "percentunit",
            "{{vnet_name}} range {{ar_id}}",
        ),
        Panel(
            "Services by state",
            "count_values by () ('state', max by (one_service_id) (opennebula_service_state))",
            legend="state {{state}}",
        ),
        Panel("Zones", "max by (zone_name) (opennebula_zone_state)", legend="{{zone_name}}"),
        Panel("Time of a scrape", "opennebula_scrape_duration_seconds", "s", "{{collector}}"),
        Panel(
            "Errors of the exporter", "increase(opennebula_scrape_errors_total[5m])", "short", "{{collector}}"
        ),
    ),
    sites=True,
)
HOSTS = Dashboard(
    "onext-host",
    "onext / Host",
    (
        Panel("State", 'opennebula_host_state{one_host_id=~"$host"}', legend="{{one_host_id}}"),
        Panel("VMs", 'opennebula_host_vms{one_host_id=~"$host"}', legend="{{one_host_id}}"),
        Panel(
            "CPU given, of what there is",
            'opennebula_host_cpu_usage_ratio{one_host_id=~"$host"} / (opennebula_host_cpu_maximum_ratio > 0)',
            "percentunit",
            "{{one_host_id}}",
        ),
        Panel(
            "Memory given, of what there is",
            'opennebula_host_mem_usage_bytes{one_host_id=~"$host"} / (opennebula_host_mem_maximum_bytes > 0)',
            "percentunit",
            "{{one_host_id}}",
        ),
        Panel(
            "VMs on hosts by owner",
            "count by (user, group) (max by (one_vm_id, user, group)"
            f" ((opennebula_vm_host_id >= 0) {OWNED}))",
            legend="{{user}} ({{group}})",
        ),
        Panel("Power", f'opennebula_host_power_watts{{one_host_id=~"$host"}} {NAMED}', "watt", "{{name}}"),
        Panel(
            "Energy in an hour",
            'increase(opennebula_host_energy_joules_total{one_host_id=~"$host"}[1h]) / 3600',
            "watth",
            "{{one_host_id}}",
        ),
    ),
    (HOST,),
)
POWER = Dashboard(
    "onext-vm-power",
    "onext / VM power",
    (
        Panel(
            "Power of VMs", f'opennebula_vm_power_watts{{one_vm_id=~"$vm"}} {VM_NAMED}', "watt", "{{name}}"
        ),
        Panel(
            "The ten that take most",
            f"topk(10, max by (one_vm_id, name) (opennebula_vm_power_watts {VM_NAMED}))",
            "watt",
            "{{name}}",
        ),
        Panel(
            "Power by user",
            "sum by (user) (max by (one_vm_id, user)"
            " (opennebula_vm_power_watts * on (instance, one_vm_id) group_left (user) opennebula_vm_info))",
            "watt",
            "{{user}}",
        ),
        Panel(
            "Power that no VM took",
            f"sum({hosts('power_watts')}) - sum({vms('power_watts')})",
            "watt",
            "watts",
        ),
        Panel("Flavour", 'opennebula_vm_ut_flavours{one_vm_id=~"$vm"}', legend="{{one_vm_id}}"),
        Panel(
            "Hosts with figures",
            "sum by (source) (max by (source, one_host_id) (opennebula_power_source_up))",
            legend="{{source}}",
        ),
    ),
    (VM,),
)
TARGETS = Dashboard(
    "onext-targets",
    "onext / Targets",
    (
        Panel("Targets up", "sum by (job) (up)", legend="{{job}}"),
        Panel("Targets down", "count by (job) (up == 0) or sum by (job) (up * 0)", legend="{{job}}"),
        Panel("Targets given", "onext_targets", legend="{{file}}"),
        Panel("Targets of VMs refused", "onext_targets_refused", type="stat"),
        Panel("Samples of VMs", 'scrape_samples_scraped{job="opennebula_vms"}', legend="VM {{one_vm_id}}"),
        Panel(
            "Samples by owner",
            'sum by (user, group) (scrape_samples_scraped{job="opennebula_vms"} * on (one_vm_id)'
            " group_left (user, group) max by (one_vm_id, user, group) (opennebula_vm_info))",
            legend="{{user}} ({{group}})",
        ),
        Panel("Age of the parts' figures", "opennebula_part_metrics_age_seconds", "s", "{{part}}"),
    ),
)
OWNERS = Dashboard(
    "onext-owners",
    "onext / Owners and quotas",
    (
        Panel(
            "CPU by owner",
            f"sum by (user, group) (max by (one_vm_id, user, group) (opennebula_vm_cpu_ratio {OWNED}))",
            legend="{{user}} ({{group}})",
        ),
        Panel(
            "Memory by owner",
            f"sum by (user, group) (max by (one_vm_id, user, group) (opennebula_vm_mem_total_bytes {OWNED}))",
            "bytes",
            "{{user}} ({{group}})",
        ),
        Panel(
            "Disks by owner",
            "sum by (user, group) (max by (one_vm_id, disk_id, user, group)"
            f" (opennebula_vm_disk_size_bytes {OWNED}))",
            "bytes",
            "{{user}} ({{group}})",
        ),
        Panel(
            "Quotas used, of what is allowed",
            "max by (kind, name, resource, object) (opennebula_quota_used / (opennebula_quota_limit > 0))",
            "percentunit",
            "{{kind}} {{name}}: {{resource}} {{object}}",
        ),
        Panel(
            "Services",
            "max by (one_service_id, name, user) (opennebula_service_state"
            " * on (instance, one_service_id) group_left (name, user) opennebula_service_info)",
            legend="{{name}} ({{user}})",
        ),
        Panel(
            "Backup jobs overdue",
            "max by (one_backupjob_name) (opennebula_backupjob_overdue_seconds)",
            "s",
            "{{one_backupjob_name}}",
        ),
    ),
)
ALL = (FLEET, HOSTS, POWER, TARGETS, OWNERS)


def render(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana's JSON."""
    panels = [_panel(number, panel) for number, panel in enumerate(dashboard.panels)]
    variables: list[dict[str, Any]] = [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
    if dashboard.sites:
        panels.append(_map(len(panels)))
        variables += _MAP_VARIABLES
    document = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["opennebula", "onext"],
        "schemaVersion": 36,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [*variables, *(_variable(*one) for one in dashboard.variables)]},
        "panels": panels,
    }
    return json.dumps(document, indent=1) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    target = {"refId": "A", "expr": panel.query, "legendFormat": panel.legend, "datasource": SOURCE}
    return {
        "id": number + 1,
        "type": panel.type,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": number % 2 * WIDTH, "y": number // 2 * 8, "w": WIDTH, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [target],
    }


# The map asks the gateway, through Grafana's server, by the plugin of the data source Infinity.
_INFINITY = "yesoreyeram-infinity-datasource"
_MAP_VARIABLES: Sequence[dict[str, Any]] = (
    {"name": "infinity", "type": "datasource", "query": _INFINITY, "label": "Infinity"},
    {"name": "gateway", "type": "textbox", "query": "http://127.0.0.1:9928", "label": "Gateway"},
)
_COLUMNS = (
    ("id", "site", "string"),
    ("geometry.coordinates.1", "latitude", "number"),
    ("geometry.coordinates.0", "longitude", "number"),
    ("properties.hosts", "hosts", "number"),
    ("properties.vms", "vms", "number"),
)


def _map(number: int) -> dict[str, Any]:
    """Return the map of `/v1/sites.geojson`: a mark for each site, larger for more hosts."""
    source = {"type": _INFINITY, "uid": "${infinity}"}
    target = {
        "refId": "A",
        "datasource": source,
        "type": "json",
        "source": "url",
        "format": "table",
        "parser": "backend",
        "url": "${gateway}/v1/sites.geojson",
        "url_options": {"method": "GET"},
        "root_selector": "features",
        "columns": [{"selector": path, "text": text, "type": kind} for path, text, kind in _COLUMNS],
    }
    size = {"field": "hosts", "fixed": 5, "min": 4, "max": 20}
    layer = {
        "type": "markers",
        "name": "Sites",
        "location": {"mode": "coords", "latitude": "latitude", "longitude": "longitude"},
        "config": {"showLegend": False, "style": {"size": size, "opacity": 0.6}},
        "tooltip": True,
    }
    return {
        "id": number + 1,
        "type": "geomap",
        "title": "Sites",
        "datasource": source,
        "gridPos": {"x": 0, "y": (number + 1) // 2 * 8, "w": 2 * WIDTH, "h": 12},
        "options": {"view": {"id": "fit", "allLayers": True}, "layers": [layer]},
        "targets": [target],
    }


def _variable(name: str, label: str, metric: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({metric}, {label})", "refId": "A"},
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def main() -> None:
    """Write every dashboard."""
    for dashboard in ALL:
        (Path(__file__).parent / f"{dashboard.uid}.json").write_text(render(dashboard))


if __name__ == "__main__":
    main()
