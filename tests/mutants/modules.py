"""The modules that decide, guard, act or parse, each with the tests that must notice a change in it.

The first file is the module's mirror; the others are those that state its rules by way of a caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_GROUPS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # A folder, modules in it, test files of the folder's mirror ({}: the module's name) or below tests (/...).
    ("drivers/auth/biscuit", ("decision",), ("policy", "revocation", "guards", "input")),
    (
        "drivers/vmm/migrate/onext_migrate",
        (
            *("action", "json_lines", "location", "orphan_guard", "outcome", "policy", "refcount"),
            *("ssh", "traffic_check", "virsh_wrapper", "watchdog"),
        ),
        ("{}",),
    ),
    (
        "drivers/vmm/migrate/onext_migrate",
        ("identity", "path_probe", "settings", "tunnel", "underlay", "virsh_options"),
        ("{}", "wireguard", "tunnel"),
    ),
    ("drivers/vmm/migrate/onext_migrate", ("migration",), ("migration", "migration_end", "migration_watch")),
    ("edge", ("answer", "host_key", "narrowing", "overlay", "places", "word"), ("{}",)),
    ("edge", ("server",), ("{}", "forged_answers")),
    ("edge", ("messages",), ("{}", "/hooks/edge/test_answers")),
    ("edge", ("direct", "line", "sizes", "ways"), ("{}",)),
    (
        "exporter",
        (
            *("access", "backup_jobs", "hosts", "login", "networks", "oneflow", "quotas"),
            *("part_metrics", "push", "vms", "zones"),
        ),
        ("{}",),
    ),
    ("exporter", ("collection", "pools", "releases"), ("collection",)),
    ("exporter/power", ("readings", "samples"), ("/exporter/test_power",)),
    ("exporter/scaphandre", ("node",), ("{}",)),
    (
        "hooks/availability",
        (
            *("act", "brakes", "decide", "evacuation", "evidence", "policy", "protection", "steps"),
            "vm_states",
        ),
        (
            "policy",
            "brakes",
            "vm_states",
            "evidence",
            "evacuation",
            "one_round",
            "guards",
            "decide",
            "every_rule_is_needed",
            "scenarios",
        ),
    ),
    ("hooks/availability", ("forecast", "memory", "placement", "probe", "records"), ("{}",)),
    (
        "gateway",
        (
            *("callers", "credentials", "forms", "gate", "guard", "oned_calls", "projection", "protocol"),
            *("sessions", "traffic", "visible"),
        ),
        ("{}",),
    ),
    ("gateway", ("limits",), ("{}", "gate")),
    ("gateway", ("refusals",), ("oned_calls",)),
    ("gateway", ("scoped",), ("{}",)),
    ("gateway", ("vouching",), ("{}", "scoped_tokens")),
    ("hooks/availability/lease", ("granter", "grants", "ledger"), ("{}", "rules", "invariants")),
    ("hooks/availability/lease", ("challenges",), ("node_lease", "rules", "invariants")),
    (
        "hooks/availability/lease/onext_lease",
        ("lease",),
        tuple(f"/hooks/availability/lease/test_{name}" for name in ("node_lease", "rules", "invariants")),
    ),
    ("hooks/edge", ("admission",), ("{}", "records")),
    ("hooks/edge", ("records", "verify_token"), ("{}",)),
    ("hooks/edge", ("addresses", "introductions", "requests"), ("{}",)),
    ("hooks/edge", ("answers", "certificates", "draining", "secrets"), ("{}",)),
    ("hooks/edge", ("bell",), ("introductions",)),
    ("hooks/edge", ("office",), ("office_steps",)),
    ("hooks/edge", ("forms",), ("{}", "requests")),
    ("hooks/edge", ("whereabouts",), ("{}", "introductions")),
    ("hooks/edge", ("relays",), ("{}",)),
    ("hooks/edge", ("setup",), ("setup_steps",)),
    ("hooks/edge", ("hub_plan",), ("{}", "requests", "introductions")),
    ("hooks/events", ("changes", "facts", "filters", "signature"), ("changes",)),
    ("hooks/geolocation", ("addresses", "discovery", "decide"), ("{}", "decide")),
    ("hooks/geolocation", ("database", "location"), ("database", "decide", "web_service")),
    ("hooks/power", ("decide",), ("decide_safety", "decide")),
    ("hooks/power", ("buffer", "needed_hosts", "placement_problem"), ("{}", "decide_safety", "decide")),
    (
        "hooks/power",
        (
            *("guard", "ledger", "manual_orders", "move_failures", "policy", "power_readings"),
            *("reasons_to_stay", "round_state", "window"),
        ),
        ("{}",),
    ),
    (
        "hooks/power",
        ("round",),
        ("{}", "/onext/hosts/actions/test_rules", "/onext/hosts/actions/test_recover"),
    ),
    (
        "hooks/targets",
        (
            *("answering_exporters", "decide", "files", "gather", "inventory", "leases", "log_limit"),
            *("protected_addresses", "user_template"),
        ),
        ("{}", "decide"),
    ),
    ("hooks/targets", ("networks", "policy"), ("leases", "decide", "inventory")),
    (
        "onext",
        ("atomic", "backup_state", "bounds", "connections", "http", "payload", "process", "spool"),
        ("{}",),
    ),
    ("onext", ("results", "webconfig", "yaml_text"), ("{}",)),
    ("onext/biscuit", ("keys", "pem", "revocation", "sessions"), ("{}",)),
    ("onext/cloud", ("parse", "reader"), ("{}",)),
    ("onext/hosts", ("claims", "deciders", "energy", "holding", "notify", "watt_model"), ("{}",)),
    (
        "onext/hosts/actions",
        ("actuator", "fence", "power_off", "recover", "return_to_service", "wake"),
        ("limits", "rules", "doubt", "recover", "/onext/hosts/test_deciders"),
    ),
    (
        "onext/hosts/bmc",
        (
            *("check", "config", "failure_log", "identity", "reachability", "ssh_shutdown"),
            *("verified_off", "watts"),
        ),
        ("{}",),
    ),
    ("onext/hosts/bmc", ("entry",), ("{}",)),
    ("onext/hosts/bmc", ("fence_agent",), ("fence_agent_answers", "{}")),
    ("onext/hosts/bmc", ("ipmi",), ("ipmi_answers", "watts", "{}")),
    ("onext/hosts/bmc", ("redfish",), ("redfish_reading", "redfish_orders")),
    ("onext/hosts/bmc", ("redfish_http",), ("redfish_refusals", "{}")),
    ("onext/hosts/bmc", ("redfish_json",), ("redfish_refusals",)),
    ("onext/hosts/bmc", ("redfish_watts",), ("redfish_reading", "{}")),
    ("onext/hosts/bmc", ("wake_on_lan",), ("suspended_host", "{}")),
    ("onext/hosts/inventory", ("cluster",), ("cluster_limits", "cluster")),
    ("onext/hosts/inventory", ("groups", "immovable", "requirements", "vms"), ("{}", "isolation")),
    ("onext/install", ("oned_conf", "prometheus_yml"), ("{}",)),
    ("onext/oned", ("documents", "elements", "stream", "template"), ("{}",)),
    ("onext/tunnel", ("validation",), ("{}",)),
    ("onext/worker", ("inbox",), ("/onext/test_spool",)),
    ("onext/worker", ("queue", "renewal"), ("{}",)),
)


def _listed() -> Iterator[tuple[str, tuple[str, ...]]]:
    for folder, modules, files in _GROUPS:
        for module in modules:
            yield f"{folder}/{module}.py", tuple(dict.fromkeys(_test(folder, module, f) for f in files))


def _test(folder: str, module: str, file: str) -> str:
    if file.startswith("/"):
        return f"tests{file}.py"
    return f"tests/{folder.removesuffix('/onext_migrate')}/test_{file.format(module)}.py"


MODULES: Mapping[str, tuple[str, ...]] = dict(_listed())
