"""The same metrics as OpenNebula 7.0.2's own exporter, sample by sample, on the pools that it was given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.collection import Collection
from exporter.metric_families import FAMILIES
from onext.oned.stream import Source
from onext.settings.exporter import Exporter, Power
from tests.exporter.answers import recorded, samples, serve

SETTINGS = Exporter(power=Power(sources=[]))


@pytest.fixture
def page(recordings: Path, tmp_path: Path) -> str:
    """Return one scrape of the recorded pools."""
    with serve(recorded(recordings)) as oned:
        collection = Collection(
            Source(oned.endpoint, "u:p"), SETTINGS, tmp_path, version="1", server="localhost"
        )
        return collection().text.decode()


@pytest.mark.process
def test_every_sample_of_the_stock_exporter_is_there(recordings: Path, page: str) -> None:
    """Dashboards and rules made for OpenNebula's exporter must show what they showed."""
    stock = samples((recordings / "exporter/opennebula-exporter.every-vm.txt").read_text())
    ours = samples(page)
    assert len(stock) > 200
    differing = {key: (value, ours.get(key)) for key, value in stock.items() if ours.get(key) != value}
    # The one deliberate difference: VM 15, which has no DISK and makes the stock exporter lose every VM after it.
    assert differing == {"opennebula_vm_total{}": (14.0, 15.0)}


@pytest.mark.process
def test_what_the_stock_exporter_loses_is_here(recordings: Path, page: str) -> None:
    """A VM without a DISK must not hide others, nor itself."""
    lost = samples((recordings / "exporter/opennebula-exporter.as-it-is.txt").read_text())
    ours = samples(page)
    assert lost.items() <= ours.items()
    assert ours['opennebula_vm_disks{one_vm_id="15"}'] == 0
    assert len([key for key in ours if key.startswith("opennebula_vm_state")]) == 15
    assert len([key for key in lost if key.startswith("opennebula_vm_state")]) == 1


@pytest.mark.process
def test_types_are_the_stock_ones(recordings: Path, page: str) -> None:
    """A gauge that became a counter breaks rate() and alerts."""
    types = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
    stock = dict(types.findall((recordings / "exporter/opennebula-exporter.every-vm.txt").read_text()))
    ours = dict(types.findall(page))
    assert stock.items() <= ours.items()


@pytest.mark.process
def test_nothing_undeclared_and_no_duplicates(page: str) -> None:
    """Prometheus drops a whole scrape for one duplicate series."""
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    series = [line.rsplit(" ", 1)[0] for line in lines]
    assert len(series) == len(set(series))
    assert {re.split(r"[{ ]", line)[0] for line in lines} <= FAMILIES.keys()


@pytest.mark.process
def test_flavours_and_info(page: str) -> None:
    """The reference's metric says -1 where FLAVOURS is missing or no number, and names come with ids."""
    ours = samples(page)
    assert ours['opennebula_vm_ut_flavours{one_vm_id="0"}'] == -1  # "green"
    assert 'opennebula_vm_info{group="oneadmin",name="web-0",one_vm_id="0",user="oneadmin"}' in ours
    assert (
        ours['opennebula_host_info{cluster="alpha",name="node-a1",one_cluster_id="100",one_host_id="0"}'] == 1
    )
    assert ours["opennebula_up{}"] == 1
