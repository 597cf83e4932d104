"""A real Prometheus scrapes the exporter: every query of every dashboard and rule finds something."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from exporter.dashboards.build import ALL, render
from hooks.availability import availability_metrics
from hooks.availability.admission import Admission
from hooks.availability.model import Incident, Phase
from hooks.availability.policy import Policy as AvailabilityPolicy
from hooks.events.part import figures as event_figures
from hooks.events.stored import SinkState
from hooks.power import cluster_metrics
from hooks.power.decide import Memory, decide
from hooks.power.policy import Policy
from hooks.targets.decide import Decision, Refusal, Target
from hooks.targets.inventory import Inventory
from hooks.targets.part import figures
from onext import metrics
from onext.cloud.model import Cluster as PoolCluster
from onext.cloud.snapshot import Cloud as Pools
from onext.hosts.model import Cluster
from onext.install.prometheus_jobs import Wanted
from onext.install.prometheus_yml import add
from onext.settings.targets import Targets, Tenants
from tests.exporter.answers import recorded, serve
from tests.exporter.monitoring import Prometheus, exporter, get, pages, prometheus
from tests.waiting import until

# All of them: the servers of `monitored` are threads of ours, and a unit test would take their sockets away.
pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
RULES = ROOT / "exporter/rules/onext.rules.yml"
DASHBOARDS = sorted((ROOT / "exporter/dashboards").glob("*.json"))
HOST = """scaph_host_power_microwatts 48710291
scaph_host_energy_microjoules {energy}
{guests}
node_boot_time_seconds 1795236371
opennebula_libvirt_daemon_up 1
"""
GUEST = 'scaph_process_power_consumption_microwatts{{exe="qemu-kvm-one",cmdline="-nameguest=one-{n},x",pid="{n}"}} {n}000000'
CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ['{rules}']
scrape_configs:
- job_name: opennebula_exporter
  static_configs: [{{targets: ['{exporter}']}}, {{targets: ['{exporter}'], labels: {{instance: 'another server'}}}}]
- job_name: node_exporter
  static_configs: [{{targets: ['127.0.0.1:{port}'], labels: {{one_host_id: '0'}}}}]
- job_name: opennebula_vms
  static_configs: [{{targets: ['127.0.0.2:{port}', '127.0.0.3:1'], labels: {{one_vm_id: '2'}}}}]
"""


def on_loopback(document: bytes) -> bytes:
    """Give every host of a pool an address of its own on loopback as its name."""
    return re.sub(
        rb"(<HOST><ID>(\d+)</ID>)<NAME>[^<]*</NAME>",
        lambda m: m[1] + b"<NAME>127.0.0.%d</NAME>" % (int(m[2]) + 1),
        document,
    )


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run everything: recorded pools, power on each host, a part's figures, Prometheus with our rules.

    The exporter is scraped twice, as in an HA zone, where those of all servers say the same.
    """
    from pytest_socket import enable_socket, socket_allow_hosts

    enable_socket()
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    folder = tmp_path_factory.mktemp("monitored")
    documents = recorded(ROOT / "tests/fixtures/opennebula-7.4.0")
    documents["zone.raftstatus"] = b"<RAFT><STATE>3</STATE></RAFT>"
    documents["hostpool.info"] = on_loopback(documents["hostpool.info"] or b"")
    backup = [({"one_vm_id": "2", "one_vm_name": "db-0"}, 0.0)]
    status = metrics.Family("opennebula_vm_backup_last_status", "gauge", "x", backup)
    metrics.write(folder / "exporter/metrics", "backups", [status])
    refused = (Refusal(1, "n", 0, "why"),)
    decision = Decision(("vms",), tuple(Target("vms", f"10.0.0.{n}:1", {}) for n in range(3)), refused)
    passed = figures(Inventory(), decision, time.time())
    metrics.write(folder / "exporter/metrics", "targets", passed)
    cluster = Cluster(100, "alpha", (), ())
    looked_at = (cluster, Policy(), decide(cluster, Policy(), 0.0, Memory()), 0.0)
    metrics.write(folder / "exporter/metrics", "power", cluster_metrics.families([looked_at], {}))
    lagging = [SinkState("portal", last=5, acknowledged=1)]
    metrics.write(folder / "exporter/metrics", "events", event_figures(lagging, 0, 0.1))
    incident = Incident(7, "h", 100, Phase.HELD, first=0.0, since=0.0)
    losses = availability_metrics.Losses()
    losses.look(100, 0.0, lambda: Admission((), (), untried=1))
    pools = Pools.of(clusters=[PoolCluster(100, "edge")])
    failed = [
        *availability_metrics.families(pools, {7: incident}),
        *losses.families(pools, {100: AvailabilityPolicy(max_down=2)}),
    ]
    metrics.write(folder / "exporter/metrics", "availability", failed)
    began = time.time()

    def page(_address: str, _path: str) -> str:
        guests = "\n".join(GUEST.format(n=n) for n in range(20))
        return HOST.format(energy=int((time.time() - began) * 48e6), guests=guests)

    with serve(documents) as oned, pages(page) as port:
        server = f"<SERVER><ID>0</ID><NAME>fe</NAME><ENDPOINT>{oned.endpoint}</ENDPOINT></SERVER>"
        oned.documents["zonepool.info"] = (documents["zonepool.info"] or b"").replace(
            b"<SERVER_POOL/>", f"<SERVER_POOL>{server}</SERVER_POOL>".encode()
        )
        settings = f"exporter: {{power: {{scaphandre_port: {port}, interval: 3}}}}\n"
        with exporter(oned.endpoint, folder / "exporter", settings) as listen:
            configuration = CONFIGURATION.format(rules=RULES, exporter=listen, port=port)
            with prometheus(folder / "prometheus", configuration) as running:
                energy = "increase(opennebula_host_energy_joules_total[5m]) > 0"
                until(lambda: running.query(energy), "two readings of energy")
                yield running


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_shows_something(monitored: Prometheus, file: Path) -> None:
    """A panel whose query names a metric that is not there stays empty for ever, and nobody notices."""
    panels = json.loads(file.read_text())["panels"]
    assert panels
    for panel in panels:
        for target in panel["targets"]:
            if panel["type"] == "geomap":  # it asks the gateway: tests/gateway/test_api.py
                continue
            query = target["expr"].replace("$host", ".*").replace("$vm", ".*")
            until(partial(monitored.query, query), f"{panel['title']}: {query}")


def test_sums_take_each_object_once(monitored: Prometheus) -> None:
    """In an HA zone the exporter of each server says the same: nothing may be counted three times."""
    until(lambda: len(monitored.query("opennebula_up")) == 2, "scrapes of both servers")
    panels = {panel.title: panel.query for dashboard in ALL for panel in dashboard.panels}

    def total(query: str) -> int:
        return sum(int(float(found["value"][1])) for found in monitored.query(query))

    # A scrape that a busy machine missed is half of a moment's truth.
    until(lambda: total(panels["Hosts by state"]) == 11, "eleven hosts")
    memory, twice = panels["Memory there is"], "sum(opennebula_host_mem_maximum_bytes)"
    until(lambda: 2 * total(memory) == total(twice) > 0, "each host's memory once")


def test_variables_have_values(monitored: Prometheus) -> None:
    """A dashboard whose drop-down is empty shows nothing."""
    for dashboard in ALL:
        for _, label, metric in dashboard.variables:
            query = f"count by ({label}) ({metric})"
            until(partial(monitored.query, query), query)


def test_dashboards_are_made_from_their_source() -> None:
    """A change by hand of the JSON would be lost at the next build."""
    assert {file.stem for file in DASHBOARDS} == {dashboard.uid for dashboard in ALL}
    for dashboard in ALL:
        assert (ROOT / f"exporter/dashboards/{dashboard.uid}.json").read_text() == render(dashboard)


def rules() -> list[tuple[str, str]]:
    document = YAML(typ="safe").load(RULES.read_text())
    return [(rule["alert"], rule["expr"]) for group in document["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("alert", "expression"), rules(), ids=[name for name, _ in rules()])
def test_every_metric_of_a_rule_exists(monitored: Prometheus, alert: str, expression: str) -> None:
    """An alert on a metric that is not there never fires: that is how outages are missed."""
    bare = re.sub(r"\{[^}]*\}|\((?:one_host_id|instance)\)", " ", expression)
    names = set(re.findall(r"\b(?:up|(?:node|opennebula|onext)_\w+)\b", bare))
    assert names, alert
    for name in names:
        until(partial(monitored.query, name), f"{alert}: {name}")
    assert isinstance(monitored.query(expression), list)


def test_a_dead_exporter_of_a_tenant_raises_no_alert(monitored: Prometheus) -> None:
    """What a tenant stops must page nobody; a real loss would, as HostDown does here for the host in error."""
    until(lambda: monitored.query('up{job="opennebula_vms"} == 0'), "the dead exporter")
    until(lambda: "HostDown" in monitored.alerts(), "the alert of the host in error")
    assert "InstanceDown" not in monitored.alerts()


def test_power_reaches_prometheus(monitored: Prometheus) -> None:
    """A guest's power counts once, from the host that OpenNebula says it is on."""
    (found,) = until(
        lambda: monitored.query('max(opennebula_vm_power_watts{one_vm_id="2"})'), "the VM's power"
    )
    assert found["value"][1] == "2"
    # Neither the host that is off, nor the one in error; on a busy machine one may miss a round.
    each = "max by (one_host_id) (opennebula_power_source_up)"
    until(lambda: len(monitored.query(f"{each} == 1")) == 8, "the power of eight hosts")
    assert len(monitored.query(each)) == 8
    assert not monitored.query('opennebula_host_power_watts{one_host_id="7"}')


def test_promtool_finds_nothing_to_complain_of(monitored: Prometheus) -> None:
    """Names, types and HELP must be what Prometheus's own linter accepts."""
    active = monitored.api("targets", state="active")["activeTargets"]
    url = next(t["scrapeUrl"] for t in active if t["labels"]["job"] == "opennebula_exporter")
    _, body, _ = get(url)
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    complaints = [line for line in (done.stdout + done.stderr).decode().splitlines() if line]
    assert body
    # OpenNebula's own name, which its dashboards need.
    allowed = re.compile(r"opennebula_(host|datastore|vm)_total|opennebula_vm_power_consumption_uW")
    assert [line for line in complaints if not allowed.match(line)] == []


def test_rules_are_clean(tmp_path: Path) -> None:
    """Prometheus does not start with a rule file that it cannot read."""
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_and_stay_silent_as_they_should(tmp_path: Path) -> None:
    """A host that is switched off and woken, and a tenant, page nobody; what is really down does."""
    cases = (Path(__file__).parent / "rules_test.yml").read_text().replace("[RULES]", f"['{RULES}']")
    (tmp_path / "cases.yml").write_text(cases)
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "cases.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire() -> None:
    """An alert that no case lets fire may never fire: its query would come back empty for ever."""
    cases = (Path(__file__).parent / "rules_test.yml").read_text().replace("[RULES]", "[]")
    tests = [one for case in YAML(typ="safe").load(cases)["tests"] for one in case["alert_rule_test"]]
    assert {one["alertname"] for one in tests if one.get("exp_alerts")} == {name for name, _ in rules()}


TENANT = """\
app_requests_total{job="node_exporter",one_vm_id="1"} 7
opennebula_host_state{one_host_id="3"} 3
node_boot_time_seconds 1
ALERTS{alertname="InstanceDown",alertstate="firing"} 1
"""


def test_a_tenant_cannot_pass_for_anything_else(tmp_path: Path) -> None:
    """With the job as we write it: no stock metric, no alert, no foreign label comes out of a VM; floods fail."""
    flood = "".join(f"flood_{n} 1\n" for n in range(20))

    def page(address: str, _path: str) -> str:
        return flood if address == "127.0.0.3" else TENANT

    with pages(page) as port:
        folder = tmp_path / "targets"
        folder.mkdir()
        given = [{"targets": [f"127.0.0.{n}:{port}"], "labels": {"one_vm_id": str(40 + n)}} for n in (2, 3)]
        (folder / "vms.json").write_text(json.dumps(given))
        limits = Tenants(scrape_interval="1s", scrape_timeout="1s", sample_limit=10)
        wanted = Wanted(Targets(jobs={}, tenants=limits), folder, tmp_path)
        (tmp_path / "prometheus").mkdir()
        (wanted.rules).write_text(RULES.read_text())
        with prometheus(tmp_path / "prometheus", add("global: {}\n", wanted)) as running:
            until(lambda: running.query('up{one_vm_id="43"} == 0'), "the refusal of the flood")
            (found,) = until(lambda: running.query("app_requests_total"), "the tenant's metric")
            labels = found["metric"]
            assert (labels["job"], labels["one_vm_id"]) == ("opennebula_vms", "42")
            assert (labels["exported_job"], labels["exported_one_vm_id"]) == ("node_exporter", "1")
            for name in ("opennebula_host_state", "node_boot_time_seconds", "ALERTS", "flood_1"):
                assert not running.query(name), name
