"""Zones and HA groups: who leads, who does not answer, and that nobody has to wait for who does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter import zones
from exporter.metric_families import ZONE
from exporter.zones import Zones
from onext.oned.stream import Source
from tests.exporter.answers import Answers, samples, serve

pytestmark = pytest.mark.process
ZONE_XML = (
    "<ZONE><ID>{id}</ID><NAME>z{id}</NAME><STATE>{state}</STATE><TEMPLATE><ENDPOINT>{endpoint}</ENDPOINT></TEMPLATE>"
    "<SERVER_POOL>{servers}</SERVER_POOL></ZONE>"
)
SERVER_XML = "<SERVER><ID>{id}</ID><NAME>s{id}</NAME><ENDPOINT><![CDATA[{endpoint}]]></ENDPOINT></SERVER>"


@pytest.fixture
def oned() -> Iterator[Answers]:
    with serve({"zone.raftstatus": raft(3)}) as answers:
        yield answers


def raft(state: object) -> bytes:
    """Return a server's own view."""
    return f"<RAFT><SERVER_ID>0</SERVER_ID><STATE>{state}</STATE><TERM>4</TERM></RAFT>".encode()


def collected(oned: Answers, *endpoints: str, zones: Zones | None = None) -> dict[str, float]:
    """Return the samples of a zone with these servers."""
    servers = "".join(SERVER_XML.format(id=n, endpoint=endpoint) for n, endpoint in enumerate(endpoints))
    zone = ZONE_XML.format(id=0, state=0, endpoint=oned.endpoint, servers=servers)
    oned.documents["zonepool.info"] = f"<ZONE_POOL>{zone}</ZONE_POOL>".encode()
    made = zones or Zones(Source(oned.endpoint, "u:p"), "fe")
    return samples(made.collect().samples.render(ZONE).decode())


def test_a_single_server_is_no_group(oned: Answers) -> None:
    """A zone without HA must not look like a group whose only member failed."""
    found = collected(oned)
    assert found == {'opennebula_zone_state{zone_id="0",zone_name="z0"}': 0}
    assert oned.calls == ["zonepool.info"]


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1/RPC2", "http://127.0.0.1:port/RPC2", "", "nonsense", "ftp://x"]
)
def test_a_server_that_does_not_answer(oned: Answers, endpoint: str) -> None:
    """It is counted as an error and has no state; an address that is none is no reason to fail."""
    found = collected(oned, oned.endpoint, endpoint)
    assert found['opennebula_ha_members{one_server_fqdn="fe"}'] == 2
    assert found['opennebula_ha_error_members{one_server_fqdn="fe"}'] == 1
    assert found['opennebula_ha_is_leader{one_server_fqdn="fe"}'] == 1
    assert [key for key in found if "server_state" in key] == [
        'opennebula_zone_server_state{server_id="0",server_name="s0",zone_id="0"}'
    ]


@pytest.mark.parametrize(
    ("state", "wrong", "leads"), [(2, 0, 0), (3, 0, 1), (1, 1, 0), (0, 1, 0), ("x", 1, 0)]
)
def test_states(oned: Answers, state: object, wrong: int, leads: int) -> None:
    """Only a leader and its followers are a group that works."""
    oned.documents["zone.raftstatus"] = raft(state)
    found = collected(oned, oned.endpoint)
    assert found['opennebula_ha_error_members{one_server_fqdn="fe"}'] == wrong
    assert found['opennebula_ha_is_leader{one_server_fqdn="fe"}'] == leads


def test_a_silent_server_is_left_alone(oned: Answers) -> None:
    """A server that is off for a week must not cost every scrape its timeout."""
    now = [0.0]
    with serve({}) as silent:
        zones = Zones(Source(oned.endpoint, "u:p"), "fe", lambda: now[0])
        for _ in range(2):
            found = collected(oned, oned.endpoint, silent.endpoint, zones=zones)
            assert found['opennebula_ha_error_members{one_server_fqdn="fe"}'] == 1
            now[0] += 29.5
        assert silent.calls == ["zone.raftstatus"]
        silent.documents["zone.raftstatus"] = raft(2)
        now[0] = 30
        found = collected(oned, oned.endpoint, silent.endpoint, zones=zones)
        assert found['opennebula_ha_error_members{one_server_fqdn="fe"}'] == 0


def test_C7_a_zone_that_cannot_be_read_hides_no_other(oned: Answers) -> None:
    """The others stay, and the loss is counted."""
    good = ZONE_XML.format(id=1, state=1, endpoint="http://x/", servers="<SERVER><ID>a</ID></SERVER><OTHER/>")
    broken = ZONE_XML.format(id="x", state=0, endpoint="", servers="")
    oned.documents["zonepool.info"] = f"<ZONE_POOL>{broken}{good}</ZONE_POOL>".encode()
    found = Zones(Source(oned.endpoint, "u:p"), "fe").collect()
    assert found.errors == 1
    assert samples(found.samples.render(ZONE).decode()) == {
        'opennebula_zone_state{zone_id="1",zone_name="z1"}': 1
    }


def test_a_user_that_may_not_ask_for_the_group(oned: Answers, caplog: pytest.LogCaptureFixture) -> None:
    """Three servers that refuse us must not look like three that failed, and page somebody."""
    oned.refusals["zone.raftstatus"] = 0x0200
    zones = Zones(Source(oned.endpoint, "u:p"), "fe")
    for _ in range(3):
        found = collected(oned, oned.endpoint, "http://127.0.0.1:1/RPC2", zones=zones)
    assert found == {'opennebula_zone_state{zone_id="0",zone_name="z0"}': 0}
    assert ["needs ADMIN of zones" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("endpoints", "name"),
    [
        (["http://other:2633/RPC2"], "z0"),  # the only one is ours, however it is called
        (["http://other:2633/RPC2", "ours"], "z1"),
        (["ours", "http://other:2633/RPC2"], "z0"),
        (["http://127.0.0.1:1/RPC2", "http://127.0.0.1:x/"], ""),
        ([], ""),
    ],
)
def test_the_zone_that_is_asked(oned: Answers, endpoints: list[str], name: str) -> None:
    """In a federation each front-end's metrics bear its own zone's name."""
    pool = "".join(
        ZONE_XML.format(id=number, state=0, endpoint=oned.endpoint if one == "ours" else one, servers="")
        for number, one in enumerate(endpoints)
    )
    oned.documents["zonepool.info"] = f"<ZONE_POOL>{pool}</ZONE_POOL>".encode()
    made = Zones(Source(oned.endpoint, "u:p"), "fe")
    made.collect()
    assert made.name == name


def test_so_many_servers_are_asked(oned: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that names thousands must not become thousands of connections."""
    monkeypatch.setattr(zones, "_ask", lambda _source, _patience: 2)
    found = collected(oned, *(f"http://server-{number}:2633/RPC2" for number in range(65)))
    assert sum("zone_server_state" in key for key in found) == 64
    assert found['opennebula_ha_members{one_server_fqdn="fe"}'] == 64
