"""A scrape when others do wrong: errors are metrics, old data ages out, nothing is invented."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.collection import Collection
from exporter.pools import Pools
from exporter.releases import Release
from exporter.zones import Zones
from onext.oned.stream import Source
from onext.settings.exporter import Exporter, Power
from tests.exporter.answers import Answers, recorded, samples, serve
from tests.exporter.monitoring import pages

pytestmark = pytest.mark.process


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def oned(recordings: Path) -> Iterator[Answers]:
    with serve(recorded(recordings)) as answers:
        yield answers


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collection(oned: Answers, clock: Clock, tmp_path: Path) -> Collection:
    settings = Exporter(keep=300, power=Power(sources=[]))
    source = Source(oned.endpoint, "u:p", 1.0, 2.0, 5.0)
    return Collection(source, settings, tmp_path, version="1", server="fe", clock=clock)


def test_each_pool_is_asked_once(oned: Answers, collection: Collection) -> None:
    """The reference asks oned eight times for each VM."""
    collection()
    once = {
        *("datastorepool.info", "hostpool.info", "vmpool.infoextended", "zonepool.info", "vnpool.info"),
        *("userpool.info", "grouppool.info", "documentpool.info", "backupjobpool.info"),
    }
    assert sorted(oned.calls) == sorted(once | {"system.version", "backupjob.info"})
    oned.calls.clear()
    collection()
    assert sorted(oned.calls) == sorted(once)


def test_a_broken_pool_leaves_the_others(oned: Answers, collection: Collection) -> None:
    """An oned that answers half must not look like a cloud without the other half."""
    oned.documents["vmpool.infoextended"] = None
    page = collection()
    found = samples(page.text.decode())
    assert (found["opennebula_up{}"], page.up) == (0, False)
    assert found["opennebula_host_total{}"] == 9
    assert not any(key.startswith("opennebula_vm_") for key in found)
    assert found['opennebula_scrape_errors_total{collector="vms"}'] == 1
    assert "vms" in page.failures


def test_last_good_data_ages_out(oned: Answers, collection: Collection, clock: Clock) -> None:
    """A restart of oned must not drop every series, and data of yesterday must not pass for today's."""
    good = samples(collection().text.decode())
    kept = dict(oned.documents)
    oned.documents = dict.fromkeys(kept)
    clock.now += 300
    old = samples(collection().text.decode())
    assert old["opennebula_up{}"] == 0
    assert old['opennebula_data_age_seconds{collector="vms"}'] == 300
    assert old['opennebula_vm_state{one_vm_id="0"}'] == good['opennebula_vm_state{one_vm_id="0"}']
    clock.now += 0.5
    gone = samples(collection().text.decode())
    assert not any(key.startswith(("opennebula_vm_", "opennebula_host_")) for key in gone)
    assert gone['opennebula_scrape_errors_total{collector="vms"}'] == 2
    oned.documents = kept
    back = samples(collection().text.decode())
    assert (back["opennebula_up{}"], back['opennebula_data_age_seconds{collector="vms"}']) == (1, 0)


@pytest.mark.parametrize("method", ["hostpool.info", "vmpool.infoextended", "datastorepool.info"])
def test_pools_cut_anywhere(oned: Answers, collection: Collection, method: str) -> None:
    """Half a pool is an error, whatever the half; the exporter stays up."""
    whole = oned.documents[method]
    assert whole
    for end in range(0, len(whole) - 1, 1000):
        oned.documents[method] = whole[:end]
        page = collection()
        assert not page.up
        assert page.failures
    oned.documents[method] = whole
    assert collection().up


def test_errors_are_counted_from_zero(collection: Collection) -> None:
    """A counter that appears with its first error has no increase to alert on."""
    found = samples(collection().text.decode())
    for collector in ("hosts", "vms", "datastores", "zones", "quotas", "systemd", "power", "parts"):
        assert found[f'opennebula_scrape_errors_total{{collector="{collector}"}}'] == 0


def test_figures_of_parts_are_added_with_their_age(tmp_path: Path, collection: Collection) -> None:
    """What the worker wrote an hour ago must be seen to be old."""
    (tmp_path / "power.prom").write_text("# TYPE onext_x gauge\nonext_x 3.0\n")
    text = collection().text.decode()
    found = samples(text)
    assert found["onext_x{}"] == 3
    assert found['opennebula_part_metrics_age_seconds{part="power"}'] >= 0


def test_clusters_are_a_part_of_the_cloud(oned: Answers, tmp_path: Path) -> None:
    """Two exporters for two clusters together say what one says."""

    def totals(*clusters: int) -> tuple[float, float]:
        settings = Exporter(clusters=list(clusters), power=Power(sources=[]))
        made = Collection(Source(oned.endpoint, "u:p"), settings, tmp_path, version="1", server="fe")
        found = samples(made().text.decode())
        return found["opennebula_host_total{}"], found["opennebula_vm_total{}"]

    assert totals() == (9, 15)
    assert totals(100)[0] + totals(101)[0] == 9
    assert totals(100)[1] + totals(101)[1] < 15  # VM 15 is on no host


def test_power_goes_on_while_oned_is_down(oned: Answers, clock: Clock, tmp_path: Path) -> None:
    """The hosts still answer: their figures are today's, and who waits for oned sees what it costs."""
    hosts = oned.documents["hostpool.info"] or b""
    oned.documents["hostpool.info"] = hosts.replace(b"<NAME>node-a1<", b"<NAME>127.0.0.1<")
    with pages(lambda _address, _path: "scaph_host_power_microwatts 5000000\n") as port:
        settings = Exporter(
            power=Power(sources=["scaphandre"], scaphandre_port=port, connect_timeout=5.0, budget=30.0)
        )
        source = Source(oned.endpoint, "u:p", 1.0, 2.0, 5.0)
        made = Collection(source, settings, tmp_path, version="1", server="fe", clock=clock)
        power = 'opennebula_host_power_watts{one_host_id="0",source="scaphandre"}'
        assert samples(made().text.decode())[power] == 5
        oned.documents = dict.fromkeys(oned.documents)
        down = samples(made().text.decode())
        assert (down["opennebula_up{}"], down[power]) == (0, 5)
        clock.now += 301
        assert power not in samples(made().text.decode())


def test_the_exporter_says_its_zone(oned: Answers, collection: Collection) -> None:
    """In a federation one Prometheus sees several exporters: whose host 3 is this one."""
    one = "<ZONE><ID>{}</ID><NAME>{}</NAME><TEMPLATE><ENDPOINT><![CDATA[{}]]></ENDPOINT></TEMPLATE></ZONE>"
    other = one.format(7, "other", "http://192.0.2.1:2633/RPC2")
    for zones, expected in (
        (other, "other"),  # the only one, under whatever address it is known
        (other + one.format(8, "ours", oned.endpoint), "ours"),
        (other + other, ""),
    ):
        oned.documents["zonepool.info"] = f"<ZONE_POOL>{zones}</ZONE_POOL>".encode()
        zones_known = Zones(Source(oned.endpoint, "u:p"), "fe")
        zones_known.collect()
        assert zones_known.name == expected
    assert 'opennebula_exporter_info{version="1",zone=""} 1' in collection().text.decode()
    oned.documents["zonepool.info"] = f"<ZONE_POOL>{other}</ZONE_POOL>".encode()
    assert 'opennebula_exporter_info{version="1",zone="other"} 1' in collection().text.decode()


def test_a_pool_that_this_user_may_not_read_is_left_out(
    oned: Answers, collection: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    """A user that may see VMs and no users must not raise an alarm each minute, nor lose the rest."""
    oned.refusals["userpool.info"] = 0x0200
    for _ in range(3):
        page = collection()
    found = samples(page.text.decode())
    assert found["opennebula_up{}"] == 1
    assert found['opennebula_scrape_errors_total{collector="quotas"}'] == 0
    assert not any(key.startswith("opennebula_quota") for key in found)
    assert any(key.startswith("opennebula_service_state") for key in found)
    assert [record for record in caplog.records if "quotas are left out" in record.message] == caplog.records
    assert len(caplog.records) == 1


def test_what_is_chosen_is_collected(oned: Answers, tmp_path: Path) -> None:
    """Who has ten thousand users and no quotas can do without the call."""
    settings = Exporter(collect=["networks"], power=Power(sources=[]))
    Collection(Source(oned.endpoint, "u:p"), settings, tmp_path, version="1", server="fe")()
    assert "vnpool.info" in oned.calls
    assert not {"userpool.info", "documentpool.info", "backupjobpool.info"} & set(oned.calls)


def test_optional_pools_age_with_the_others(oned: Answers, collection: Collection, clock: Clock) -> None:
    """A restart of oned must not end the series of quotas, nor make a scrape wait for each of them."""
    assert "opennebula_quota_used" in collection().text.decode()
    oned.documents = dict.fromkeys(oned.documents)
    oned.calls.clear()
    clock.now += 200
    old = collection().text.decode()
    assert "opennebula_quota_used" in old
    assert 'opennebula_data_age_seconds{collector="quotas"} 200' in old
    assert "userpool.info" not in oned.calls
    clock.now += 200
    assert "opennebula_quota_used" not in collection().text.decode()


def test_C7_one_hung_oned_costs_one_timeout(oned: Answers, collection: Collection) -> None:
    """Twelve calls that each wait for an oned that is stopped would outlast every scrape."""
    oned.delay = threading.Event()
    page = collection()
    assert oned.calls == ["hostpool.info"]
    assert page.failures.keys() >= {"hosts", "vms", "datastores"}
    oned.delay.set()


def test_labels_follow_the_release(oned: Answers, tmp_path: Path) -> None:
    """Dashboards of 7.4 group by a datastore's name, those of 7.0 match its series exactly."""
    now = [0.0]
    settings = Exporter(power=Power(sources=[]))
    made = Collection(
        Source(oned.endpoint, "u:p"), settings, tmp_path, version="1", server="fe", clock=lambda: now[0]
    )
    old = 'opennebula_datastore_images{one_datastore_id="0"}'
    assert old in made().text.decode()
    oned.documents["system.version"] = b"7.4.0"
    now[0] += 301  # an upgrade is noticed, at the latest then
    text = made().text.decode()
    assert old not in text
    assert 'opennebula_datastore_images{one_datastore_id="0",one_datastore_type="SYSTEM",' in text
    oned.documents["system.version"] = b"rubbish"
    now[0] += 301
    assert old not in made().text.decode()


def test_C7_all_answers_of_a_scrape_have_one_deadline(oned: Answers, tmp_path: Path) -> None:
    """An oned that needs a minute for each pool must not keep a scrape for ten."""
    made = Pools(
        Source(oned.endpoint, "u:p", deadline=60.0),
        Exporter(deadline=5),
        Release(Source(oned.endpoint, "u:p")),
        "fe",
    )
    made.begin()
    first = made._source.deadline
    assert first <= 5
    made._ends -= 4
    assert made._source.deadline <= first - 4
    made._ends -= 100
    assert 0 < made._source.deadline <= 0.1


def test_the_objects_of_all_users_are_asked_for(oned: Answers, collection: Collection) -> None:
    """Another filter of oned's gives the objects of oneadmin alone, or of one state, without an error."""
    collection()
    assert {method: words for method, words in oned.parameters.items() if words} == {
        "vmpool.infoextended": (-2, -1, -1, -1, ""),
        "vnpool.info": (-2, -1, -1),
        "documentpool.info": (-2, -1, -1, 100),
        "backupjobpool.info": (-2, -1, -1),
        "backupjob.info": (3,),
    }


@pytest.mark.parametrize(("seconds", "asked"), [(0, 1), (299, 1), (300, 2)])
def test_the_release_is_asked_for_now_and_then(oned: Answers, seconds: float, asked: int) -> None:
    """A call in each scrape is one for nothing; an upgrade changes the labels within five minutes."""
    now = [0.0]
    release = Release(Source(oned.endpoint, "u:p"), lambda: now[0])
    oned.documents["system.version"] = b"7.0.2"
    assert release() == (7, 0)
    oned.documents["system.version"] = b"10.24.1"
    now[0] += seconds
    assert release() == ((10, 24) if asked == 2 else (7, 0))
    assert oned.calls.count("system.version") == asked
    release.forget()
    assert release() == (10, 24)


def test_before_oned_told_its_release_the_newest_counts(oned: Answers) -> None:
    """Labels of an old release for a moment are other series to Prometheus."""
    oned.documents["system.version"] = None
    release = Release(Source(oned.endpoint, "u:p"))
    assert (release(), release()) == ((7, 4), (7, 4))
    assert oned.calls == ["system.version"] * 2, "it is asked again at once"


def test_what_cannot_be_read_is_summed_up(oned: Answers, collection: Collection) -> None:
    """An alert on the increase of errors needs each of them."""
    whole = oned.documents["hostpool.info"]
    assert whole
    oned.documents["hostpool.info"] = whole.replace(b"<STATE>2<", b"<STATE>x<")
    lost = whole.count(b"<STATE>2<")
    key = 'opennebula_scrape_errors_total{collector="hosts"}'
    assert [samples(collection().text.decode())[key] for _ in range(2)] == [lost, 2 * lost]


def test_the_landing_page_has_the_figures_of_the_scrape(
    oned: Answers, collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since when oned answers, or does not, is what an administrator looks for first."""
    wall = [5000.0]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    first = collection()
    assert (first.vms, first.up, first.at, first.since) == (15, True, 5000, 5000)
    assert gzip.decompress(first.compressed) == first.text
    wall[0] += 60
    assert collection().since == 5000
    oned.documents = dict.fromkeys(oned.documents)
    wall[0] += 60
    down = collection()
    assert (down.up, down.at, down.since) == (False, 5120, 5120)
    wall[0] += 60
    assert collection().since == 5120
