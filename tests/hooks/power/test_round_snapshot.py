"""A round goes by the pools that all parts share: read once, and again only where something may have changed."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hooks.power import round_snapshot
from hooks.power.round_snapshot import fresh, snapshot, touched
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.claims import HostRecord
from onext.hosts.inventory import snapshot as inventory
from onext.hosts.inventory.cluster import observe
from onext.hosts.model import Claim, Phase
from onext.oned import stream
from onext.oned.documents import Stored
from onext.oned.objects import HostState
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.xml import Element, parse

HOST = "<HOST><ID>{0}</ID><NAME>node-{0}</NAME><STATE>{1}</STATE><CLUSTER_ID>100</CLUSTER_ID></HOST>"
POOLS = {
    "hostpool.info": [HOST.format(number, 2) for number in range(3)],
    "vmpool.infoextended": [],
    "clusterpool.info": ["<CLUSTER><ID>100</ID><NAME>alpha</NAME></CLUSTER>"],
    "datastorepool.info": [],
}


class Cloud:
    """A front-end whose answers are counted; every host that is read by itself is OFFLINE by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.asked: Counter[str] = Counter()
        self.records: dict[int, Stored[HostRecord]] = {}
        self.now = 1000.0
        self.context = Context(Paths.self_contained(folder), Settings())
        self.context.__dict__["oned"] = SimpleNamespace(source=None, document=self.document)
        monkeypatch.setattr(stream, "pool", self.pool)
        monkeypatch.setattr(stream, "single", self.single)
        monkeypatch.setattr(
            round_snapshot, "Documents", lambda *_: SimpleNamespace(all=lambda: dict(self.records))
        )
        monkeypatch.setattr(inventory, "servers", lambda *_: ())
        monkeypatch.setattr(time, "clock_gettime", lambda _: self.now)

    def pool(self, _source: object, method: str, *_: object, tag: str) -> Iterator[bytes]:
        assert tag in ("HOST", "VM", "CLUSTER", "DATASTORE")
        self.asked[method] += 1
        return (text.encode() for text in POOLS[method])

    def single(self, _source: object, method: str, number: int, _decrypt: bool) -> bytes:
        self.asked[f"{method} {number}"] += 1
        return HOST.format(number, 8).encode()

    def document(self, method: str, *_: object) -> Element:
        self.asked[method] += 1
        return parse("<POOL/>")

    def state(self, seen: inventory.Snapshot, number: int) -> HostState:
        hosts = observe(seen, 100, self.context.settings.power, 0.0).hosts
        return next(host.state for host in hosts if host.id == number)

    def snapshot(self, *moving: int) -> inventory.Snapshot:
        return snapshot(self.context, BmcConfig(Path("bmc.yaml"), {}), moving)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    return Cloud(monkeypatch, tmp_path)


def claimed(number: int, phase: Phase) -> Stored[Any]:
    return Stored(number, 1, 1, HostRecord(f"node-{number}", Claim(phase, 0.0)))


def test_rounds_share_one_reading_of_the_pools(cloud: Cloud) -> None:
    """Each event would cost the front-end 76 MB of XML, as it did."""
    for _ in range(3):
        cloud.snapshot()
    assert {method: cloud.asked[method] for method in POOLS} == dict.fromkeys(POOLS, 1)


def test_a_host_under_way_is_read_again_and_no_other(cloud: Cloud) -> None:
    """Its older state beside our own claim would look like a stranger's doing, and the claim be given up."""
    cloud.snapshot()
    cloud.records = {0: claimed(0, Phase.CLOSING), 1: claimed(1, Phase.OFF)}
    seen = cloud.snapshot()
    assert cloud.state(seen, 0) is HostState.OFFLINE
    assert cloud.state(seen, 2) is HostState.MONITORED
    assert [ask for ask in cloud.asked if ask.startswith("host.info")] == ["host.info 0"]


def test_what_a_round_has_changed_is_read_again_in_the_next(cloud: Cloud) -> None:
    """The event comes a moment later: until then the host would seem to take VMs."""
    before = cloud.snapshot()
    touched(cloud.context, [2], [])
    assert cloud.state(before, 2) is HostState.MONITORED
    assert cloud.state(cloud.snapshot(), 2) is HostState.OFFLINE


def test_hosts_are_switched_off_by_young_pools_only(cloud: Cloud) -> None:
    """A host would be emptied by the load of a minute ago, and the decision then be refused as too old."""
    seen = cloud.snapshot()
    lease = cloud.context.settings.power.lease
    cloud.now += lease / 4
    assert fresh(cloud.context, seen) is seen
    cloud.now += 1
    again = fresh(cloud.context, seen)
    assert (again.taken, cloud.asked["hostpool.info"]) == (cloud.now, 2)
    assert again.cloud is not seen.cloud
