"""One reading of the pools for all parts, and single objects after events, over real connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from onext.cloud.reader import Reader
from onext.oned import stream
from onext.oned.client import Oned
from onext.oned.errors import OnedError
from onext.oned.stream import Source
from tests.exporter.answers import Answers, compact, serve

pytestmark = pytest.mark.process

FIXTURES = Path(__file__).parents[2] / "fixtures/opennebula-7.0.2"
VM = (
    b"<VM><ID>%d</ID><UID>0</UID><GID>0</GID><NAME>vm</NAME><STATE>%b</STATE><LCM_STATE>3</LCM_STATE><TEMPLATE>"
    b"<CPU>1</CPU><MEMORY>1</MEMORY>%b</TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>0</SEQ><HID>%d</HID></HISTORY>"
    b"</HISTORY_RECORDS></VM>"
)
HOST = b"<HOST><ID>%d</ID><NAME>node</NAME><STATE>2</STATE><VMS><ID>%d</ID></VMS></HOST>"


def vms(*elements: bytes) -> bytes:
    """Return a pool."""
    return b"<VM_POOL>" + b"".join(elements) + b"</VM_POOL>"


@pytest.fixture
def answers() -> Iterator[Answers]:
    with serve(
        {
            "hostpool.info": b"<HOST_POOL>" + HOST % (1, 5) + HOST % (2, 6) + b"</HOST_POOL>",
            "vmpool.infoextended": vms(VM % (5, b"3", b"", 1), VM % (6, b"3", b"", 2)),
            "vnpool.info": compact((FIXTURES / "vnetpool.xml").read_bytes()),
            "vmpool.infoset": vms(VM % (5, b"8", b"", 1)),
            "host.info": HOST % (1, 5),
            "zonepool.info": b"<ZONE_POOL/>",
        }
    ) as served:
        yield served


@pytest.fixture
def oned(answers: Answers) -> Oned:
    return Oned(answers.endpoint, "a:b", 5.0)


def test_all_parts_share_one_reading(answers: Answers, oned: Oned) -> None:
    """Each part that read 76 MB for itself would cost an idle front-end seconds of CPU per minute."""
    reader = Reader()
    for _ in range(3):
        cloud = reader.cloud(oned)
        assert set(cloud.vms) == {5, 6}
        assert set(cloud.hosts) == {1, 2}
        cloud.document("zonepool.info")
    assert sorted(answers.calls) == ["hostpool.info", "vmpool.infoextended", "zonepool.info"]
    reader.expire()
    assert set(reader.cloud(oned).vms) == {5, 6}
    assert answers.calls.count("vmpool.infoextended") == 2


def test_an_event_reads_one_object(answers: Answers, oned: Oned) -> None:
    """One VM event per second would read the whole pool sixty times per minute."""
    reader = Reader()
    before = reader.cloud(oned)
    assert before.vms[5].state == 3
    assert before.hosts
    reader.changed("vm", 5)
    after = reader.cloud(oned)
    assert after.vms[5].state == 8
    assert set(after.vms) == {5, 6}
    assert before.vms[5].state == 3  # what a part was given does not change under its hands
    assert answers.calls == ["vmpool.infoextended", "hostpool.info", "vmpool.infoset", "host.info"]


def test_a_vm_that_is_done_is_gone(answers: Answers, oned: Oned) -> None:
    """A terminated VM would be scraped and counted for up to a minute."""
    reader = Reader()
    assert 5 in reader.cloud(oned).vms
    answers.documents["vmpool.infoset"] = vms(VM % (5, b"6", b"", 1))
    reader.changed("vm", 5)
    reader.changed("vm", 6)  # not in the answer at all
    assert set(reader.cloud(oned).vms) == set()


def test_a_new_interface_reads_the_leases_again(answers: Answers, oned: Oned) -> None:
    """A VM that just got its lease would be refused as a target until the next round."""
    reader = Reader()
    cloud = reader.cloud(oned)
    assert cloud.vms
    assert cloud.networks
    answers.documents["vmpool.infoset"] = vms(VM % (5, b"3", b"<NIC><NIC_ID>0</NIC_ID></NIC>", 1))
    reader.changed("vm", 5)
    assert reader.cloud(oned).networks
    assert answers.calls.count("vnpool.info") == 2


def test_C7_an_object_that_cannot_be_read_is_reported_once(
    answers: Answers, oned: Oned, caplog: pytest.LogCaptureFixture
) -> None:
    """One invalid VM would stop every part, or fill the log once a minute."""
    answers.documents["vmpool.infoextended"] = vms(
        VM % (5, b"x", b"", 1), VM % (6, b"3", b"", 2), b"<VM>?</VM>"
    )
    reader = Reader()
    for _ in range(3):
        reader.expire()
        cloud = reader.cloud(oned)
        assert cloud.vms[5].problem
        assert cloud.vms[6].state == 3
    assert caplog.text.count("VM 5 cannot be read") == 1


def test_a_failure_is_shared_for_a_moment(answers: Answers, oned: Oned) -> None:
    """With oned hung, every part in turn would wait for its own timeout."""
    answers.documents["hostpool.info"] = None
    cloud = Reader().cloud(oned)
    for _ in range(3):
        with pytest.raises(OnedError):
            _ = cloud.hosts
    assert answers.calls == ["hostpool.info"]


def test_events_are_noted_while_oned_does_not_answer(answers: Answers, oned: Oned) -> None:
    """The worker's loop would stand still, and not end on SIGTERM, while one part waits for oned."""
    answers.delay = threading.Event()
    reader = Reader()
    waiting = threading.Thread(target=lambda: len(reader.cloud(oned).hosts))
    waiting.start()
    noting = threading.Thread(target=reader.changed, args=("vm", 5))
    noting.start()
    noting.join(4)
    alive = noting.is_alive()
    answers.delay.set()
    waiting.join()
    assert not alive


def test_more_events_than_a_pool_is_worth_read_the_pool(answers: Answers, oned: Oned) -> None:
    """After a switch of leaders thousands of events come at once: one reading costs less than all of them."""
    reader = Reader()
    assert reader.cloud(oned).vms
    for number in range(1100):
        reader.changed("vm", number)
    assert reader.cloud(oned).vms
    assert answers.calls == ["vmpool.infoextended", "vmpool.infoextended"]


def test_each_pool_is_asked_for_whole(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks or images of other users, or VMs beyond a range, would be missing from the cloud."""
    asked: list[tuple[object, ...]] = []

    def pool(_: object, method: str, *arguments: object, tag: str) -> Iterator[bytes]:
        asked.append((method, *arguments, tag))
        return iter(())

    monkeypatch.setattr("onext.oned.stream.pool", pool)
    cloud = Reader().cloud(oned)
    for name in ("hosts", "vms", "clusters", "datastores", "networks", "images"):
        assert getattr(cloud, name) == {}
    assert asked == [
        ("hostpool.info", "HOST"),
        ("vmpool.infoextended", -2, -1, -1, -1, "", "VM"),
        ("clusterpool.info", "CLUSTER"),
        ("datastorepool.info", "DATASTORE"),
        ("vnpool.info", -2, -1, -1, "VNET"),
        ("imagepool.info", -2, -1, -1, "IMAGE"),
    ]


@pytest.mark.parametrize(("count", "single"), [(30, True), (31, False)])
def test_a_few_hosts_are_asked_one_by_one(answers: Answers, oned: Oned, count: int, single: bool) -> None:
    """A switch of all hosts would be a thousand calls, or one event the whole pool."""
    reader = Reader()
    assert reader.cloud(oned).hosts
    for number in range(count):
        reader.changed("host", number)
    assert reader.cloud(oned).hosts[1].name == "node"
    expected = ["host.info"] * count if single else ["hostpool.info"]
    assert answers.calls == ["hostpool.info", *expected]


@pytest.mark.parametrize(
    ("count", "requests"),
    [(200, ["vmpool.infoset"]), (201, ["vmpool.infoset"] * 2), (1000, ["vmpool.infoset"] * 5)],
)
def test_vms_are_asked_for_in_batches(
    answers: Answers, oned: Oned, count: int, requests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that is too long fails, and one for each VM takes minutes after a storm of events."""
    reader = Reader()
    assert reader.cloud(oned).vms
    wanted: list[int] = []
    pool = stream.pool

    def noted(source: Source, method: str, *arguments: str | int, tag: str) -> Iterator[bytes]:
        wanted.extend(map(int, str(arguments[0]).split(",")))
        assert arguments[1:] == (True,)
        return pool(source, method, *arguments, tag=tag)

    monkeypatch.setattr(stream, "pool", noted)
    for number in range(count):
        reader.changed("vm", number)
    assert reader.cloud(oned).vms[5].state == 8
    assert answers.calls == ["vmpool.infoextended", *requests]
    assert wanted == list(range(count))


def test_more_vms_than_that_read_the_pools_again(answers: Answers, oned: Oned) -> None:
    """Hosts would be shown with VMs that left them."""
    reader = Reader()
    cloud = reader.cloud(oned)
    assert cloud.vms
    assert cloud.hosts
    for number in range(1001):
        reader.changed("vm", number)
    again = reader.cloud(oned)
    assert again.vms
    assert again.hosts
    assert answers.calls == ["vmpool.infoextended", "hostpool.info"] * 2


@pytest.mark.parametrize(("age", "calls"), [(60.0, 1), (60.1, 2)])
def test_a_round_lasts_a_minute(
    answers: Answers, oned: Oned, age: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts would act on what was minutes ago, or read 76 MB for each of them."""
    reader = Reader()
    assert reader.cloud(oned).hosts
    assert reader._round is not None
    began = reader._round.began
    monkeypatch.setattr("onext.cloud.reader.clock", lambda: began + age)
    assert reader.cloud(oned).hosts
    assert len(answers.calls) == calls


@pytest.mark.parametrize(("later", "calls"), [(4.9, 1), (5.0, 2)])
def test_after_a_failure_oned_is_asked_again_in_five_seconds(
    answers: Answers, oned: Oned, later: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part would wait for its own time-out, or a moment's failure last for a minute."""
    times = [100.0]
    monkeypatch.setattr(
        "onext.cloud.reader.time", SimpleNamespace(monotonic=lambda: times[0], time=time.time)
    )
    document, answers.documents["hostpool.info"] = answers.documents["hostpool.info"], None
    cloud = Reader().cloud(oned)
    with pytest.raises(OnedError):
        _ = cloud.hosts
    answers.documents["hostpool.info"] = document
    times[0] += later
    if calls == 1:
        with pytest.raises(OnedError):
            _ = cloud.hosts
    else:
        assert set(cloud.hosts) == {1, 2}
    assert len(answers.calls) == calls


def test_a_host_that_was_removed_is_gone_and_others_stay(answers: Answers, oned: Oned) -> None:
    """It would be woken, or counted, until the next round."""
    reader = Reader()
    assert set(reader.cloud(oned).hosts) == {1, 2}
    answers.refusals["host.info"] = 0x0400
    reader.changed("host", 1)
    reader.changed("cluster", 2)
    assert set(reader.cloud(oned).hosts) == {2}
    assert answers.calls == ["hostpool.info", "host.info"]


def test_an_event_before_a_pool_was_read_costs_no_call(answers: Answers, oned: Oned) -> None:
    """Each VM that starts would be asked for twice."""
    reader = Reader()
    reader.changed("vm", 5)
    reader.changed("host", 1)
    cloud = reader.cloud(oned)
    assert cloud.vms[5].state == 3
    assert reader.cloud(oned).hosts
    assert answers.calls == ["vmpool.infoextended", "hostpool.info"]


def test_a_vm_that_moved_reads_both_hosts_again(answers: Answers, oned: Oned) -> None:
    """The host that it left looks busy, or that it came to empty, and is switched off."""
    reader = Reader()
    cloud = reader.cloud(oned)
    assert cloud.vms
    assert cloud.hosts
    answers.documents["vmpool.infoset"] = vms(VM % (5, b"3", b"", 2))
    reader.changed("vm", 5)
    assert reader.cloud(oned).vms[5].host_id == 2
    assert answers.calls[2:] == ["vmpool.infoset", "host.info", "host.info"]
