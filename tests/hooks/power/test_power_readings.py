"""Reading meters: rarely, the better one of two, and nothing that was not said."""

import base64
import os
import ssl
import threading
from collections import Counter
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hooks.power import power_readings
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.hosts import watt_model
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.watts import Draw
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.model import Bmc
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.exporter import Client, Exporter
from onext.settings.exporter import Power as Sources
from tests.fixtures_tls import certify
from tests.waiting import until

NOW = 1_800_000_000.0
CLOUD = Cloud.of(Host(number) for number in range(4))
SEEN = Snapshot(CLOUD, bmcs={0: Bmc.ON, 1: Bmc.OFF, 2: Bmc.SILENT}, loads={0: 0.5, 3: 0.0})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[int]]:
    """Play BMCs and the exporter; give whom the BMCs' reading was asked for."""
    asked: list[frozenset[int]] = []

    def draws_all(_book: BmcConfig, hosts: set[int], _deadline: float) -> dict[int, Draw]:
        asked.append(frozenset(hosts))
        return {0: Draw(175.0, "DCMI")}

    monkeypatch.setattr(power_readings, "draws_all", draws_all)
    monkeypatch.setattr(
        power_readings, "exported", lambda _: {0: ("kepler", 60.0), 3: ("kepler", 45.0), 9: ("kepler", 1.0)}
    )
    return asked


def context(tmp_path: Path, now: float = NOW) -> Context:
    found = Context(Paths.self_contained(tmp_path), Settings(), lambda: now)
    found.paths.state.mkdir(parents=True, exist_ok=True)
    return found


def test_the_bmc_counts_where_both_have_a_figure(tmp_path: Path, asked: list[frozenset[int]]) -> None:
    """Wall power is what is paid for."""
    here = context(tmp_path)
    power_readings.read(here, BmcConfig(Path("bmc.yaml"), {}), SEEN)
    known = watt_model.load(here.paths.state)
    assert asked == [frozenset({0, 1})], "a BMC that is silent is not waited for once more"
    assert (known[0].source, known[0].idle) == ("bmc", 100.0)
    assert (known[3].source, known[3].idle, known[3].off) == ("kepler", 45.0, 0.0)
    assert set(known) == {0, 3}


def test_D1_implausible_figures_are_counted_logged_once_and_leave_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """DCMI's 0 W would override Scaphandre's good figure, and nobody would know that the BMC is to blame."""
    draw = Draw(implausible=("DCMI: 0 W, and its measurement is deactivated",))
    monkeypatch.setattr(power_readings, "draws_all", lambda *_: {0: draw})
    monkeypatch.setattr(power_readings, "exported", lambda _: {0: ("scaphandre", 160.0)})
    monkeypatch.setattr(power_readings, "_implausible", Counter())
    monkeypatch.setattr(power_readings, "_left_out", {})
    for number in range(3):
        here = context(tmp_path, NOW + 700.0 * number)
        power_readings.read(here, BmcConfig(Path("bmc.yaml"), {}), SEEN)
        os.utime(here.paths.state / watt_model.FILE, (NOW + 700.0 * number,) * 2)
    known = watt_model.load(here.paths.state)
    assert (known[0].source, round(known[0].idle)) == ("scaphandre", 85)
    assert power_readings.implausible_family().samples == [({"source": "DCMI"}, 3.0)]
    assert [record.message for record in caplog.records if "left out" in record.message] == [
        "host 0: its BMC's figures are left out: DCMI: 0 W, and its measurement is deactivated"
    ]


def test_meters_are_read_rarely(tmp_path: Path, asked: list[frozenset[int]]) -> None:
    """500 sessions with BMCs and a whole scrape each minute would slow every round down."""
    here = context(tmp_path)
    power_readings.read(here, BmcConfig(Path("bmc.yaml"), {}), SEEN)
    os.utime(here.paths.state / watt_model.FILE, (NOW, NOW))
    power_readings.read(context(tmp_path, NOW + 300), BmcConfig(Path("bmc.yaml"), {}), SEEN)
    assert len(asked) == 1
    power_readings.read(context(tmp_path, NOW + 601), BmcConfig(Path("bmc.yaml"), {}), SEEN)
    assert len(asked) == 2


def test_without_sources_nobody_is_asked() -> None:
    """`sources: []` says that there is nothing to be had."""
    assert power_readings.exported(Exporter(power=Sources(sources=[]))) == {}


PAGE = b'opennebula_host_power_watts{one_host_id="3",source="kepler"} 41.5\n'


class Exporter9925(BaseHTTPRequestHandler):
    """Our exporter, as far as it matters."""

    password = ""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(self.password.encode()).decode() if self.password else None
        found = self.path == "/metrics" and self.headers["Authorization"] == wanted
        self.send_response(200 if found else 401)
        self.end_headers()
        self.wfile.write(PAGE if found else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.mark.process
@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
def test_the_exporter_is_asked_where_it_listens(listens: str, caplog: pytest.LogCaptureFixture) -> None:
    """Scaphandre and Kepler would count for nothing, and nobody would see why."""
    with HTTPServer((listens, 0), Exporter9925) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Exporter(listen=f"{listens}:{server.server_port}")
        assert power_readings.exported(settings) == {3: ("kepler", 41.5)}
        server.shutdown()
    assert power_readings.exported(settings) == {}, "an exporter that is down is no error"
    assert {record.levelname for record in caplog.records} <= {"DEBUG"}, "nor is one that nobody runs"


class Guarded9925(Exporter9925):
    """The same behind a password."""

    password = "onext:secret"


@pytest.mark.process
def test_an_exporter_behind_tls_and_a_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who guards the exporter would lose all measured watts, and read of a model's instead."""
    certify(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    (tmp_path / "login").write_text("onext:secret\n")
    (tmp_path / "wrong").write_text("onext:other\n")
    with HTTPServer(("127.0.0.1", 0), Guarded9925) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(ca: str, login: str) -> dict[int, tuple[str, float]]:
            url = f"https://127.0.0.1:{server.server_port}/"
            client = Client(url=url, ca_file=tmp_path / ca, login_file=tmp_path / login)
            return power_readings.exported(Exporter(web_config=tmp_path / "web.yml", client=client))

        until(lambda: ask("cert.pem", "login") == {3: ("kepler", 41.5)}, "the exporter's page")

        def warned(ca: str, login: str) -> bool:
            caplog.clear()
            assert ask(ca, login) == {}
            assert "secret" not in caplog.text
            return [record.levelname for record in caplog.records] == ["WARNING"]

        for ca, login in (("cert.pem", "wrong"), ("cert.pem", "none"), ("none", "login")):
            until(partial(warned, ca, login), f"a warning with {ca} and {login}")
        server.shutdown()


@pytest.mark.parametrize(("age", "read"), [(599.0, False), (600.0, True), (0.0, False), (-1.0, True)])
def test_meters_are_read_every_ten_minutes(
    tmp_path: Path, asked: list[frozenset[int]], age: float, read: bool
) -> None:
    """A figure in the future, after a clock that was set back, would be the last one for ever."""
    here = context(tmp_path)
    (here.paths.state / watt_model.FILE).write_text("{}")
    os.utime(here.paths.state / watt_model.FILE, (NOW - age, NOW - age))
    power_readings.read(here, BmcConfig(Path("bmc.yaml"), {}), SEEN)
    assert bool(asked) is read


def test_a_host_without_a_bmc_that_sleeps_is_not_asked(tmp_path: Path, asked: list[frozenset[int]]) -> None:
    """It would be waited for in each round."""
    seen = replace(SEEN, bmcs={0: Bmc.ON, 1: Bmc.OFF, 2: Bmc.NONE}, sleepers=frozenset({1}))
    power_readings.read(context(tmp_path), BmcConfig(Path("bmc.yaml"), {}), seen)
    assert asked == [frozenset({0})]


def test_watts_of_a_machine_that_is_off_are_learned_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """11 W of a sleeping host would be its idle watts, and nothing be switched off again."""
    here = context(tmp_path)
    watt_model.save(here.paths.state, {1: watt_model.Metered("bmc", 140.0, None, NOW - 900)})
    os.utime(here.paths.state / watt_model.FILE, (NOW - 900, NOW - 900))
    monkeypatch.setattr(
        power_readings, "draws_all", lambda *_: {0: Draw(0.0, "Power"), 1: Draw(11.0, "Power")}
    )
    monkeypatch.setattr(power_readings, "exported", lambda _: {})
    seen = replace(SEEN, metered=watt_model.load(here.paths.state))
    power_readings.read(here, BmcConfig(Path("bmc.yaml"), {}), seen)
    known = watt_model.load(here.paths.state)
    assert (known[1].idle, known[1].off) == (140.0, 11.0)


def test_D1_a_figure_that_comes_back_is_reported_when_it_is_missing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A BMC that was repaired and broke again would be silent."""
    monkeypatch.setattr(power_readings, "exported", lambda _: {})
    monkeypatch.setattr(power_readings, "_implausible", Counter())
    monkeypatch.setattr(power_readings, "_left_out", {})
    bad, good = Draw(implausible=("DCMI: 0 W",)), Draw(120.0, "DCMI")
    both = Draw(implausible=("DCMI: 0 W", "Redfish Power: 0 W"))
    for number, draw in enumerate((bad, both, bad, good, bad)):
        here = context(tmp_path, NOW + 700.0 * number)
        monkeypatch.setattr(power_readings, "draws_all", lambda *_, draw=draw: {0: draw})
        power_readings.read(here, BmcConfig(Path("bmc.yaml"), {}), SEEN)
        os.utime(here.paths.state / watt_model.FILE, (NOW + 700.0 * number,) * 2)
    assert len([record for record in caplog.records if "left out" in record.message]) == 3
    assert dict(power_readings._implausible) == {"DCMI": 4, "Redfish Power": 1}


@pytest.mark.parametrize(
    ("source", "watts", "found"),
    [
        ("kepler", "41.5", {3: ("kepler", 41.5)}),
        ("kepler", "0", {}),
        ("kepler", "0.5", {3: ("kepler", 0.5)}),
        ("kepler", "1e5", {}),
        ("kepler", "99999", {3: ("kepler", 99_999.0)}),
        ("kepler", "NaN", {}),
        ("kepler", "+Inf", {}),
        ("kepler", "many", {}),
        ("guess", "41.5", {}),
    ],
)
def test_figures_of_the_page_are_plausible_or_absent(
    source: str, watts: str, found: dict[int, tuple[str, float]]
) -> None:
    """One figure that is none would be the idle watts of its host, or hide those of all others."""
    line = 'opennebula_host_power_watts{{one_host_id="{}",source="{}"}} {}\n'
    page = "# HELP x\n" + line.format(3, source, watts) + line.format(4, "scaphandre", 7)
    assert power_readings.parsed(page) == {**found, 4: ("scaphandre", 7.0)}


@pytest.mark.parametrize(
    ("listen", "url", "asked"),
    [
        ("0.0.0.0:9925", None, "http://127.0.0.1:9925"),
        ("[::]:9925", None, "http://[::1]:9925"),
        ("192.0.2.1:80", None, "http://192.0.2.1:80"),
        ("192.0.2.1:80", "https://one.example/", "https://one.example"),
    ],
)
def test_the_address_of_our_exporter(listen: str, url: str | None, asked: str) -> None:
    """Measured watts would be missing where it listens on all addresses or behind a proxy."""
    assert power_readings._url(Exporter(listen=listen, client=Client(url=url))) == asked
