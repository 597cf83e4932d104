"""The same metrics as each release's own exporter, sample by sample, on the pools that it was given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.collection import Collection
from exporter.metric_families import FAMILIES
from onext import backup_state, metrics
from onext.oned.stream import Source
from onext.settings.exporter import Exporter, Power
from tests.exporter.answers import recorded, samples, serve

pytestmark = pytest.mark.process
SETTINGS = Exporter(power=Power(sources=[]))
ROOT = Path(__file__).parents[2]
SERVERS = {"7.0.2": "localhost", "7.4.0": "front-end"}  # what the recorded exporter was called
RELEASES = pytest.mark.parametrize("release", SERVERS)


def fixtures(release: str) -> Path:
    return ROOT / f"tests/fixtures/opennebula-{release}"


def stock(release: str) -> dict[str, float]:
    """Return the samples of OpenNebula's own exporter."""
    return samples((fixtures(release) / "exporter/opennebula-exporter.every-vm.txt").read_text())


@pytest.fixture
def page(release: str, tmp_path: Path) -> str:
    """Return one scrape of a release's recorded pools."""
    return scrape(release, tmp_path)


def scrape(release: str, folder: Path, **changes: bytes) -> str:
    with serve(
        recorded(fixtures(release)) | {method.replace("_", "."): text for method, text in changes.items()}
    ) as oned:
        made = Collection(
            Source(oned.endpoint, "u:p"), SETTINGS, folder, version="1", server=SERVERS[release]
        )
        return made().text.decode()


def documented() -> list[list[str]]:
    """Return the rows of the documentation's table of differences."""
    text = (ROOT / "docs/exporter.md").read_text()
    table = text.partition("## Differences from OpenNebula's exporter")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def without(vm: int, pool: bytes) -> bytes:
    """Return a pool of VMs without one of them."""
    left = re.sub(rb"<VM><ID>%d</ID>.*?</VM>(?=<VM>|</VM_POOL>)" % vm, b"", pool, flags=re.DOTALL)
    assert len(left) < len(pool)
    return left


@RELEASES
def test_no_sample_of_the_stock_exporter_is_missing_or_different(release: str, tmp_path: Path) -> None:
    """Dashboards and rules made for OpenNebula's exporter must show what they showed."""
    theirs = stock(release)
    pool = (fixtures(release) / "vmpool.infoextended.raw.xml").read_bytes()
    if release == "7.0.2":  # recorded without the VM that has no disk: at that one its collector ends
        pool = without(15, pool)
    ours = samples(scrape(release, tmp_path, vmpool_infoextended=pool))
    assert len(theirs) > 200
    assert {key: (value, ours.get(key)) for key, value in theirs.items() if ours.get(key) != value} == {}


def test_the_table_of_differences_has_what_follows(tmp_path: Path) -> None:
    """The table of differences must not grow unnoticed, nor to a release that has none."""
    ((releases, metric, theirs, ours),) = documented()
    assert releases == "6.10, 7.0, 7.2"
    assert "VM without a disk" in metric
    assert (theirs, ours) == ("ends at `opennebula_vm_cpu_vcpus` of that VM", "every VM")
    lost = samples((fixtures("7.0.2") / "exporter/opennebula-exporter.as-it-is.txt").read_text())
    vms = [key for key in lost if key.startswith("opennebula_vm_") and 'one_vm_id="15"' in key]
    assert 'opennebula_vm_cpu_vcpus{one_vm_id="15"}' in vms
    assert 'opennebula_vm_disks{one_vm_id="15"}' not in vms
    page = samples(scrape("7.0.2", tmp_path))
    assert lost["opennebula_vm_total{}"] == page["opennebula_vm_total{}"] == 15


@RELEASES
def test_labels_are_those_of_the_release(release: str, page: str) -> None:
    """A label more is another series: a rule that joins by all labels would find nothing."""
    theirs = {key.partition("{")[0] for key in stock(release)}
    labels = {name: shapes(stock(release), name) for name in theirs}
    assert labels == {name: shapes(samples(page), name) for name in theirs}


def shapes(found: dict[str, float], metric: str) -> set[tuple[str, ...]]:
    """Return the sets of label names of a metric."""
    series = (key.partition("{")[2] for key in found if key.partition("{")[0] == metric)
    return {tuple(re.findall(r'(\w+)="', labels)) for labels in series}


def test_what_the_stock_exporter_of_7_0_loses_is_here(tmp_path: Path) -> None:
    """A VM without a DISK must not hide others, nor itself."""
    lost = samples((fixtures("7.0.2") / "exporter/opennebula-exporter.as-it-is.txt").read_text())
    ours = samples(scrape("7.0.2", tmp_path))
    assert lost.items() <= ours.items()
    assert ours['opennebula_vm_disks{one_vm_id="15"}'] == 0
    assert len([key for key in ours if key.startswith("opennebula_vm_state")]) == 15
    assert len([key for key in lost if key.startswith("opennebula_vm_state")]) == 1


def test_ha_and_backups_as_7_4_has_them(tmp_path: Path) -> None:
    """A zone of three servers, of which one does not answer; VMs that were backed up and restored."""
    expected = samples(
        (fixtures("7.4.0") / "exporter/opennebula-exporter.ha-and-backup.part.txt").read_text()
    )
    state = {
        "0": {"vm_id": 0, "vm_name": "web-0", "backup_status": 1, "backup_ts": 1795870000},
        "2": {"vm_id": "2", "vm_name": "db-0", "backup_status": 0, "backup_ts": 1795870100, "restore_status": 1,
              "restore_ts": 1795870200},
    }  # fmt: skip
    (tmp_path / "state.json").write_text(json.dumps(state))
    metrics.write(tmp_path, "backups", backup_state.families(tmp_path / "state.json"))
    documents = recorded(fixtures("7.4.0"))
    raft = b"<RAFT><SERVER_ID>0</SERVER_ID><STATE>%d</STATE></RAFT>"
    documents["zone.raftstatus"] = raft % 3
    with (
        serve(documents) as oned,
        serve({"zone.raftstatus": raft % 2}) as two,
    ):
        servers = "".join(
            f"<SERVER><ID>{n}</ID><NAME>s{n}</NAME><ENDPOINT><![CDATA[{endpoint}]]></ENDPOINT></SERVER>"
            for n, endpoint in enumerate([oned.endpoint, two.endpoint, "http://127.0.0.1:1/RPC2"])
        )
        pool = (documents["zonepool.info"] or b"").replace(
            b"<SERVER_POOL/>", f"<SERVER_POOL>{servers}</SERVER_POOL>".encode()
        )
        oned.documents["zonepool.info"] = pool
        made = Collection(Source(oned.endpoint, "u:p"), SETTINGS, tmp_path, version="1", server="front-end")
        ours = samples(made().text.decode())
    assert len(expected) == 9
    assert expected.items() <= ours.items()
    states = {key: value for key, value in ours.items() if key.startswith("opennebula_zone_server_state")}
    assert sorted(states.values()) == [2, 3]  # who does not answer has none


@RELEASES
def test_types_are_the_stock_ones(release: str, page: str) -> None:
    """A gauge that became a counter breaks rate() and alerts."""
    types = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
    theirs = dict(
        types.findall((fixtures(release) / "exporter/opennebula-exporter.every-vm.txt").read_text())
    )
    ours = {name: family.type for name, family in FAMILIES.items()} | dict(types.findall(page))
    backups = {family.name: family.type for family in backup_state.families(Path("/nonexistent"))}
    assert theirs.items() <= (ours | backups).items()


@RELEASES
def test_nothing_undeclared_and_no_duplicates(release: str, page: str) -> None:
    """Prometheus drops a whole scrape for one duplicate series, or one line that is not of its format."""
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    series = [line.rsplit(" ", 1)[0] for line in lines]
    assert len(series) == len(set(series))
    assert {re.split(r"[{ ]", line)[0] for line in lines} <= FAMILIES.keys()
    parsed = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert len(parsed) == len(lines)
    assert all(family.documentation for family in text_string_to_metric_families(page))


@RELEASES
def test_flavours_and_info(release: str, page: str) -> None:
    """The reference's metric is -1 where FLAVOURS is missing or no number, and names come with ids."""
    ours = samples(page)
    assert ours['opennebula_vm_ut_flavours{one_vm_id="0"}'] == -1  # "green"
    assert 'opennebula_vm_info{group="oneadmin",name="web-0",one_vm_id="0",user="oneadmin"}' in ours
    assert (
        ours['opennebula_host_info{cluster="alpha",name="node-a1",one_cluster_id="100",one_host_id="0"}'] == 1
    )
    assert ours["opennebula_up{}"] == 1
