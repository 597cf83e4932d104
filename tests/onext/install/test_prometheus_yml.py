"""Our lines in prometheus.yml: everything else stays, promtool agrees, and taking out is exact."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from onext.install.front_end import FrontEnd, InstallError
from onext.install.prometheus_jobs import TENANTS, Wanted, asked, listens
from onext.install.prometheus_rules import REPLACED, without_replaced
from onext.install.prometheus_yml import add, else_listens, problems, remove
from onext.settings.exporter import LOOPBACK
from onext.settings.targets import Job, Targets

WANTED = Wanted(
    Targets(), Path("/var/lib/one/onext/targets"), Path("/etc/one/onext"), ours=lambda host: host == "::1"
)
HERE = replace(WANTED, ours=lambda host: host in ("192.0.2.1", "2001:db8::1", "fe1"))
FRESH = """\
# Prometheus of this front-end
global:
  scrape_interval: 15s   # as often as that

rule_files: ['rules.yml']

scrape_configs:
  # Prometheus itself
  - job_name: prometheus
    static_configs:
    - targets: ['localhost:9090']

# the end
"""
PATCHED = """\
---
global:
  scrape_interval: 15s
rule_files:
- rules.yml
- mine.yml
scrape_configs:
- job_name: prometheus
  static_configs:
  - targets:
    - localhost:9090
- job_name: opennebula_exporter
  static_configs:
  - targets:
    - 192.0.2.1:9925
- job_name: node_exporter
  # somebody's comment
  scrape_interval: 1m
  static_configs:
  - targets:
    - 192.0.2.2:9100
  - targets:
    - node-a1:9100
    labels:
      one_host_id: '0'
- job_name: libvirt_exporter
  static_configs:
  - targets:
    - node-a1:9926
    labels:
      one_host_id: '0'
alerting: {}
"""
BARE = "global: {}\n"
NULL = "scrape_configs:\nrule_files:\n"
FORMS = {"fresh": FRESH, "patched": PATCHED, "bare": BARE, "null": NULL, "empty": "", "no-eol": BARE.strip()}


def load(text: str) -> Any:
    return YAML(typ="safe").load(text)


def by_name(text: str) -> dict[str, Any]:
    return {job["job_name"]: job for job in load(text)["scrape_configs"]}


def patch_datasources(text: str) -> str:
    """Do what OpenNebula 7.0.2's patch_datasources.rb does: merge its jobs by name, dump without comments."""
    document, stock = load(text), load(PATCHED)["scrape_configs"][1:]
    merged = {job["job_name"]: job for job in document.get("scrape_configs") or []}
    merged |= {job["job_name"]: job for job in stock}
    document["scrape_configs"] = list(merged.values())
    stream = io.StringIO()
    YAML().dump(document, stream)
    return stream.getvalue()


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_taking_out_is_exact(text: str) -> None:
    """An uninstall leaves the administrator's file byte for byte."""
    changed = add(text, WANTED)
    assert changed != text
    assert remove(changed, WANTED).rstrip("\n") == text.rstrip("\n")
    assert add(changed, WANTED) == changed
    assert problems(changed, WANTED) == []
    assert problems(text, WANTED)


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_job_once(text: str) -> None:
    """Two jobs of one name make Prometheus refuse its whole configuration; two jobs scrape twice."""
    names = [job["job_name"] for job in load(add(text, WANTED))["scrape_configs"]]
    assert len(names) == len(set(names))
    assert {"opennebula_exporter", "node_exporter", "libvirt_exporter", "scaphandre", TENANTS} <= set(names)


def test_comments_stay() -> None:
    """People write down in that file why it is as it is."""
    changed = add(FRESH, WANTED)
    for line in FRESH.splitlines():
        assert line in changed or "rule_files" in line


def test_stock_jobs_are_taken_over() -> None:
    """Dashboards know jobs by name; the front-ends' own node_exporter is not lost; nothing is scraped twice."""
    jobs = by_name(add(PATCHED, WANTED))
    (exporter,) = jobs["opennebula_exporter"]["static_configs"]
    assert exporter == {"targets": ["127.0.0.1:9925"], "labels": {"instance": "192.0.2.1:9925"}}
    node = jobs["node_exporter"]
    assert node["scrape_interval"] == "1m"
    assert node["static_configs"] == [{"targets": ["192.0.2.2:9100"]}]
    assert node["file_sd_configs"] == [{"files": ["/var/lib/one/onext/targets/hosts-node_exporter.json"]}]
    assert "static_configs" not in jobs["libvirt_exporter"]
    assert asked(load(PATCHED)) == ["192.0.2.1:9925"]
    assert asked(load(FRESH)) == []


@pytest.mark.parametrize(
    ("text", "listen", "expected"),
    [
        (PATCHED, "[::]:9925", {"targets": ["192.0.2.1:9925"]}),
        (FRESH, "[::]:9925", {"targets": ["localhost:9925"]}),
        (FRESH, "[::]:9999", {"targets": ["localhost:9999"]}),
        (PATCHED, "[::]:9999", {"targets": ["localhost:9999"], "labels": {"instance": "192.0.2.1:9925"}}),
        (FRESH, "127.0.0.1:9999", {"targets": ["127.0.0.1:9999"]}),
        (PATCHED, "192.0.2.1:9925", {"targets": ["192.0.2.1:9925"]}),
    ],
)
def test_the_exporter_is_scraped_where_it_listens(text: str, listen: str, expected: dict[str, Any]) -> None:
    """A job that asks a routable address of an exporter on loopback is down for ever."""
    given = replace(WANTED, listen=listen)
    assert by_name(add(text, given))["opennebula_exporter"]["static_configs"] == [expected]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("", "127.0.0.1:9925"),
        ("192.0.2.1:9925", "192.0.2.1:9925"),
        ("'[2001:db8::1]:9930'", "[2001:db8::1]:9930"),
        ("fe1:9925", "fe1:9925"),
        ("192.0.2.9:9925", "127.0.0.1:9925"),
        ("192.0.2.9:9925, 192.0.2.1:9925", "192.0.2.1:9925"),
        ("192.0.2.1", "127.0.0.1:9925"),
        ("a b", "127.0.0.1:9925"),
    ],
)
def test_the_exporter_listens_where_the_stock_job_scrapes(targets: str, expected: str) -> None:
    """On loopback alone the job that exists, and every Prometheus elsewhere, finds nobody; in doubt it is there."""
    job = f"scrape_configs:\n- job_name: opennebula_exporter\n  static_configs: [{{targets: [{targets}]}}]\n"
    assert listens(HERE, load(job)) == expected
    assert listens(replace(HERE, listen="127.0.0.1:1"), load(job)) == "127.0.0.1:1"
    assert asked(load(add(job, HERE)))[0] == expected


def test_where_it_listens_already_the_job_stays_as_it_was() -> None:
    """No label and no target is new to the dashboards."""
    (group,) = by_name(add(PATCHED, HERE))["opennebula_exporter"]["static_configs"]
    assert group == {"targets": ["192.0.2.1:9925"]}


def test_exporters_of_other_servers_are_scraped_on() -> None:
    """In an HA zone every Prometheus scrapes all servers: taking over ours must not lose theirs."""
    others = ["192.0.2.2:9925", "192.0.2.3:9925"]
    text = PATCHED.replace(
        "    - 192.0.2.1:9925\n", "".join(f"    - {o}\n" for o in (*others, "192.0.2.1:9925"))
    )
    by_ours = {"targets": ["192.0.2.1:9925"]}
    by_loopback = {"targets": ["127.0.0.1:9925"], "labels": {"instance": "192.0.2.1:9925"}}
    for what, mine in ((HERE, by_ours), (replace(HERE, listen="127.0.0.1:9925"), by_loopback)):
        groups = by_name(add(text, what))["opennebula_exporter"]["static_configs"]
        assert groups == [mine, {"targets": others}]


def test_a_job_that_asks_elsewhere_is_named() -> None:
    """After a change of `exporter.listen` the job finds nothing until `--configure`: --check must report it."""
    changed = add(PATCHED, HERE)
    found = problems(changed, replace(HERE, listen="127.0.0.1:9999"))
    assert found == ["job opennebula_exporter asks 192.0.2.1:9925, the exporter listens on 127.0.0.1:9999"]


def test_the_tenants_job_is_bounded() -> None:
    """What runs inside VMs belongs to others."""
    job = by_name(add(FRESH, WANTED))[TENANTS]
    assert (job["honor_labels"], job["follow_redirects"]) == (False, False)
    assert job["sample_limit"] == 5000
    assert job["body_size_limit"] == "5MB"
    assert job["label_limit"] == 40
    assert job["scrape_timeout"] == "5s"
    (drop,) = job["metric_relabel_configs"]
    assert drop["action"] == "drop"
    hosts = {"ovs_.*", "smartctl_.*", "lvm_.*", "mysql_.*", "libvirt_.*", "scaph_.*"}
    assert {"opennebula_.*", "node_.*", "ALERTS.*", *hosts} <= set(drop["regex"].split("|"))


def test_rules_replace_the_stock_file_only() -> None:
    """Stock alerts would page for tenants and for hosts that are off; the administrator's own files stay."""
    ours = ["/etc/one/onext/prometheus/onext.rules.yml", "/etc/one/onext/prometheus/stock.rules.yml"]
    assert load(add(FRESH, WANTED))["rule_files"] == ours
    assert load(add(PATCHED, WANTED))["rule_files"] == [*ours, "mine.yml"]


def test_it_survives_the_package_s_own_script() -> None:
    """The script drops our comments and puts its jobs back: nothing is scraped twice, and add repairs it."""
    after = patch_datasources(add(PATCHED, WANTED))
    names = [job["job_name"] for job in load(after)["scrape_configs"]]
    assert len(names) == len(set(names))
    assert TENANTS in names
    assert "patch_datasources.rb" in problems(after, WANTED)[0]
    again = add(after, WANTED)
    assert by_name(again)["node_exporter"]["file_sd_configs"]
    assert problems(again, WANTED) == []
    left = load(remove(again, WANTED))
    assert by_name(remove(again, WANTED)) == by_name(PATCHED)
    assert left["rule_files"] == ["rules.yml", "mine.yml"]


def test_a_job_that_is_switched_off_is_left_alone() -> None:
    """Without OpenNebula's libvirt exporter the file keeps its jobs."""
    targets = Targets(jobs={"libvirt_exporter": Job(port=9926, enabled=False)})
    changed = add(PATCHED, replace(WANTED, targets=targets))
    assert by_name(changed)["libvirt_exporter"] == by_name(PATCHED)["libvirt_exporter"]


def test_changed_settings_change_the_jobs() -> None:
    """`--configure` after a change of the settings brings the jobs up to date."""
    elsewhere = replace(WANTED, folder=Path("/srv/targets"))
    changed = add(PATCHED, WANTED)
    assert problems(changed, elsewhere) == ["onext's jobs are not up to date"]
    assert add(changed, elsewhere) == add(PATCHED, elsewhere)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("scrape_configs: [{job_name: x}]\n", "prometheus.yml:1: write scrape_configs as lines"),
        ("a: [\n", "not valid YAML"),
        ("- a\n", "not a mapping"),
        ("x: 1\nrule_files: y\n", "prometheus.yml:2: rule_files is not a list"),
    ],
)
def test_forms_that_only_a_person_should_change(text: str, reason: str) -> None:
    """A file that we do not understand is left alone, with the line and what to do."""
    with pytest.raises(InstallError, match=reason):
        add(text, WANTED)


JOB = st.sampled_from(
    [
        "- job_name: {}\n  static_configs:\n  - targets: ['a:1']\n",
        "- job_name: {}\n  # inner\n  honor_labels: true\n\n",
        "- static_configs:\n  - targets: [b:2]\n  job_name: '{}'\n",
        "# before\n- {{job_name: {}}}\n",
    ]
)
NAMES = ["node_exporter", "libvirt_exporter", "opennebula_exporter", "scaphandre", "prometheus", "other"]


@settings(max_examples=10, deadline=None)
@given(st.lists(JOB, max_size=6), st.permutations(NAMES), st.integers(0, 4))
def test_any_list_of_jobs_comes_back(jobs: list[str], names: list[str], indent: int) -> None:
    """However the list is written, what we take out leaves it as it was."""
    body = "".join(job.format(name) for job, name in zip(jobs, names, strict=False))
    margin = " " * indent
    text = "scrape_configs:\n" + "".join(f"{margin}{line}\n" if line else "\n" for line in body.splitlines())
    text += "# end\n"
    changed = add(text, WANTED)
    found = [job["job_name"] for job in load(changed)["scrape_configs"]]
    assert len(found) == len(set(found))
    assert set(names[: len(jobs)]) <= set(found)
    assert remove(changed, WANTED) == text


@pytest.mark.process
def test_promtool_agrees(tmp_path: Path) -> None:
    """A configuration that Prometheus refuses stops all monitoring at its next start."""
    (tmp_path / "prometheus").mkdir()
    for name in ("rules.yml", "mine.yml", "prometheus/onext.rules.yml", "prometheus/stock.rules.yml"):
        (tmp_path / name).write_text("groups: []\n")
    for name, text in FORMS.items():
        file = tmp_path / f"{name}.yml"
        file.write_text(add(text, replace(WANTED, folder=tmp_path / "targets", own_etc=tmp_path)))
        done = subprocess.run(
            ["promtool", "check", "config", file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_stock_rules_without_the_replaced() -> None:
    """What an administrator added to the stock rules goes on."""
    rules = """groups:
- name: A
  rules:
  - alert: InstanceDown  # stock
    expr: up == 0
  - alert: Mine
    expr: x == 1  # why
- name: B
  rules:
  - alert: HostDown
    expr: y
"""
    text = without_replaced(rules, "rules.yml")
    assert [[rule["alert"] for rule in group["rules"]] for group in load(text)["groups"]] == [["Mine"]]
    assert "# why" in text
    assert "rules.yml" in text.splitlines()[0]
    assert "InstanceDown" in REPLACED
    with pytest.raises(InstallError, match=r"rules\.yml"):
        without_replaced("a: 1", "rules.yml")


@pytest.mark.parametrize(
    "targets",
    [
        r'["127.0.0.1:9925\nExecStartPre=+/bin/sh"]',
        '["127.0.0.1:9925 LD_PRELOAD=/tmp/x.so"]',
        '["127.0.0.1:9925\\u2028"]',
        '["127.0.0.1:99999"]',
        "[[127.0.0.1:9925]]",
        "[{a: b}]",
        "5",
    ],
)
def test_S1_an_address_never_adds_lines_to_a_unit(tmp_path: Path, targets: str) -> None:
    """OpenNebula's account writes prometheus.yml: a line of its own in a unit would run as root."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/oned.conf").touch()
    file = tmp_path / "prometheus.yml"
    file.write_text(
        f"scrape_configs:\n- job_name: opennebula_exporter\n  static_configs:\n  - targets: {targets}\n"
    )
    assert else_listens(file, FrontEnd.self_contained(tmp_path)) == LOOPBACK


@pytest.mark.parametrize(
    "text",
    [
        "scrape_configs: 5\n",
        "scrape_configs: [5]\n",
        "scrape_configs:\n- job_name: x\n  static_configs: [5]\n",
        "scrape_configs:\n- job_name: x\n  static_configs: {a: 1}\n",
        "rule_files: {a: 1}\n",
        "a: " + "[" * 3000 + "\n",
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(20)),
        "a: 2001-99-99\n",
    ],
)
def test_S1_a_hostile_configuration_is_named_not_followed(text: str) -> None:
    """Every command of install.sh would end with a traceback, or take all memory as root."""
    with pytest.raises(InstallError, match=r"prometheus\.yml"):
        add(text, WANTED)
    with pytest.raises(InstallError, match="holds no rules of Prometheus"):
        without_replaced(text, "rules.yml")
