"""What OpenNebula 7.4's patch_datasources.rb writes (recorded) is taken over, and its next run does no harm."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from onext.install.prometheus_jobs import TENANTS, Wanted
from onext.install.prometheus_yml import add, problems, remove
from onext.settings.targets import Targets

RECORDED = Path(__file__).parents[2] / "fixtures/opennebula-7.4.0/exporter"
FILES = sorted(RECORDED.glob("prometheus.yml.patched*.yml"))
WANTED = Wanted(
    Targets(),
    Path("/var/lib/one/onext/targets"),
    Path("/etc/one/onext"),
    ours=lambda host: host == "front-end",
)


def load(text: str) -> Any:
    return YAML(typ="safe").load(text)


def jobs(text: str) -> Mapping[str, Any]:
    return {job["job_name"]: job for job in load(text)["scrape_configs"]}


def run_again(text: str, recorded: str) -> str:
    """Do what the script does to a file: its jobs replaced as a whole, others kept, no comments."""
    document, known = load(text), jobs(recorded)
    merged = {job["job_name"]: job for job in document["scrape_configs"]}
    merged |= {name: job for name, job in known.items() if name not in ("prometheus", "our-own")}
    document["scrape_configs"] = list(merged.values())
    stream = io.StringIO()
    YAML().dump(document, stream)
    return stream.getvalue()


@pytest.fixture(params=FILES, ids=lambda file: file.name)
def recorded(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text()


def test_there_is_what_was_recorded() -> None:
    """Without recordings the tests below would pass with nothing compared."""
    assert len(FILES) == 3


def test_every_recorded_job_is_taken_over(recorded: str) -> None:
    """No exporter that the release scrapes is lost, none is scraped twice, and front-ends stay targets."""
    after = jobs(add(recorded, WANTED))
    assert set(jobs(recorded)) <= set(after)
    assert len(load(add(recorded, WANTED))["scrape_configs"]) == len(after)
    for name, job in jobs(recorded).items():
        if name in WANTED.targets.jobs:
            assert after[name]["file_sd_configs"] == [
                {"files": [f"/var/lib/one/onext/targets/hosts-{name}.json"]}
            ]
            kept = [group for group in job["static_configs"] if "one_host_id" not in group.get("labels", {})]
            assert (
                after[name].get("static_configs", []) == kept
            )  # what is no host: a front-end's own exporter
    assert after["opennebula_exporter"]["static_configs"][0]["targets"] == ["front-end:9925"]
    assert problems(add(recorded, WANTED), WANTED) == []
    assert remove(add(recorded, WANTED), WANTED) == recorded


def test_the_next_run_is_seen_and_repaired(recorded: str) -> None:
    """The script drops the comments and puts its jobs back: --check reports it, --configure repairs it."""
    after = run_again(add(recorded, WANTED), recorded)
    assert problems(after, WANTED)
    again = add(after, WANTED)
    assert problems(again, WANTED) == []
    assert {name: job for name, job in jobs(again).items() if name != "opennebula_exporter"} == {
        name: job for name, job in jobs(add(recorded, WANTED)).items() if name != "opennebula_exporter"
    }
    assert TENANTS not in jobs(remove(again, WANTED))
    assert jobs(remove(again, WANTED)) == jobs(recorded)


def test_a_second_addition_changes_nothing(recorded: str) -> None:
    """`--configure` after `--configure` rewrites no file and reloads no Prometheus."""
    once = add(recorded, WANTED)
    assert add(once, WANTED) == once


def test_a_job_that_is_switched_off_stays_the_releases(recorded: str) -> None:
    """With ovs_exporter disabled in the settings, the release's own job goes on."""
    targets = Targets.model_validate({"jobs": {"node_exporter": {"port": 9100}}})
    after = jobs(add(recorded, replace(WANTED, targets=targets)))
    for name, job in jobs(recorded).items():
        if name not in ("node_exporter", "opennebula_exporter"):
            assert after[name] == job
