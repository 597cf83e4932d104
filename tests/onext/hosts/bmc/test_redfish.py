"""Redfish with sushy-tools' emulator, and with a BMC that somebody else has taken over."""

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import Refused, Unreachable, WrongCertificate, WrongMachine, WrongPassword
from onext.hosts.bmc.protocol import Bmc, Power
from onext.hosts.bmc.query import draws_all
from onext.hosts.bmc.watts import Draw
from tests.fixtures_bmc import PASSWORD, RedfishPeer, certificate, confirmed
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
Books = Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]
UUID = "7c9e6679-7425-40de-944b-e07fc1f90000"


def bmc(bmc_config: Books, entry: Mapping[str, object]) -> Bmc:
    return bmc_config({7: entry}).bmc(7, timeout=30.0)


def test_orders_count_when_the_state_says_so(redfish: RedfishPeer, bmc_config: Books) -> None:
    """The emulator follows seconds later, as machines do: a host would count as off that still runs."""
    peer, other = (bmc(bmc_config, redfish.entry(n)) for n in range(2))
    assert (peer.power().power, peer.identity().uuid) == (Power.ON, redfish.systems[0])
    for order, state in ((peer.soft_off, Power.OFF), (peer.switch_on, Power.ON), (peer.hard_off, Power.OFF)):
        order()
        assert confirmed(peer, state, within=PATIENCE, every=0.5).power is state
    assert other.power().power is Power.ON


def test_another_machine_is_never_switched(redfish: RedfishPeer, bmc_config: Books) -> None:
    """An address that was given to another machine would switch that one off."""
    peer = bmc(bmc_config, redfish.entry(0, uuid=redfish.systems[1]))
    with pytest.raises(WrongMachine):
        peer.hard_off()
    assert peer.power().power is Power.UNKNOWN
    assert "ComputerSystem.Reset" not in redfish.log


def test_one_of_several_systems_must_be_named(redfish: RedfishPeer, bmc_config: Books) -> None:
    """A chassis of four nodes would have its first one switched off."""
    said = bmc(bmc_config, redfish.entry(system=None)).power()
    assert said.reason == "it has 2 systems: name the one meant in bmc.yaml as `system`"


@pytest.mark.parametrize("pin", ["0" * 64, None])
def test_a_certificate_that_nobody_vouches_for_gets_no_password(
    redfish: RedfishPeer, bmc_config: Books, pin: str | None
) -> None:
    """A machine in the middle would learn the password."""
    said = bmc(bmc_config, redfish.entry(certificate=pin)).power()
    assert isinstance(said.failure, WrongCertificate)
    assert "GET" not in redfish.log


def test_an_authority_of_this_machine_may_vouch(
    redfish: RedfishPeer, bmc_config: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sites with an authority of their own would have to pin every certificate, and again each year."""
    monkeypatch.setenv("SSL_CERT_FILE", str(redfish.folder / "cert.pem"))
    assert bmc(bmc_config, redfish.entry(certificate=None)).power().power is Power.ON


def test_a_refused_login_is_unknown(redfish: RedfishPeer, bmc_config: Books) -> None:
    """Unknown is not off, and the reason must not hold what was tried."""
    said = bmc(bmc_config, redfish.entry(password="not-this-one")).power()
    assert isinstance(said.failure, WrongPassword)
    assert "not-this-one" not in said.reason


def test_nothing_there_is_unknown(redfish: RedfishPeer, bmc_config: Books) -> None:
    """A BMC that restarts would make its host count as off."""
    redfish.stop()
    said = bmc(bmc_config, redfish.entry()).power()
    assert said.power is Power.UNKNOWN
    assert isinstance(said.failure, Unreachable)


class Hostile(http.server.ThreadingHTTPServer):
    """A BMC whose answers are chosen by an attacker; `asked` keeps the paths that it was asked."""

    def __init__(self, folder: Path, answers: object, status: int, location: str) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.answers, self.status, self.location = answers, status, location
        self.asked: list[str] = []
        self.pin = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def entry(self) -> dict[str, object]:
        """What bmc.yaml has to say of it."""
        place = {"kind": "redfish", "address": "127.0.0.1", "port": self.server_port, "certificate": self.pin}
        login = {"user": "admin", "password": PASSWORD, "uuid": UUID}
        return {**place, **login, "system": "/redfish/v1/Systems/1"}


class Answers(http.server.BaseHTTPRequestHandler):
    """One connection to it."""

    server: Hostile

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = json.dumps(self.server.answers).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *args: object) -> None: ...


Serve = Callable[..., Hostile]


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Serve]:
    """Give a function that serves hostile answers."""
    servers: list[Hostile] = []

    def serve(answers: object = None, status: int = 200, location: str = "") -> Hostile:
        servers.append(Hostile(tmp_path, answers, status, location))
        return servers[-1]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_carries_no_password_away(hostile: Serve, bmc_config: Books, status: int) -> None:
    """A BMC that was taken over would send the password on to any address."""
    elsewhere = hostile()
    taken = hostile(status=status, location=f"https://127.0.0.1:{elsewhere.server_port}/")
    assert isinstance(bmc(bmc_config, taken.entry).power().failure, Refused)
    assert len(taken.asked) == 1
    assert elsewhere.asked == []


def test_links_to_other_addresses_carry_no_password_away(hostile: Serve, bmc_config: Books) -> None:
    """The BMC itself says where to send an order: an address there must not be followed."""
    elsewhere = hostile()
    target = {"target": f"https://127.0.0.1:{elsewhere.server_port}/reset"}
    taken = hostile({"UUID": UUID, "PowerState": "On", "Actions": {"#ComputerSystem.Reset": target}})
    with pytest.raises(Refused, match="another address: no password is sent there"):
        bmc(bmc_config, taken.entry).hard_off()
    assert set(taken.asked) == {"/redfish/v1/Systems/1"}
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "answers",
    [
        {"UUID": UUID, "PowerState": "PoweringOff"},
        {"UUID": UUID, "PowerState": "Paused"},
        {"UUID": UUID, "PowerState": None},
        {"UUID": UUID, "PowerState": ["Off"]},
        {"UUID": UUID},
        {"PowerState": "Off"},
        {"UUID": "Off", "PowerState": "Off"},
        ["Off"],
        "Off",
    ],
)
def test_an_answer_that_is_no_clear_off_is_unknown(
    hostile: Serve, bmc_config: Books, answers: object
) -> None:
    """Half an answer would be taken for the wished one."""
    said = bmc(bmc_config, hostile(answers).entry).power()
    assert said.power is Power.UNKNOWN
    assert said.reason


def test_a_bmc_cannot_tell_the_password_on(hostile: Serve, bmc_config: Books) -> None:
    """What a BMC says goes into logs and templates: it knows the password that it was given."""
    said = bmc(bmc_config, hostile({"UUID": UUID, "PowerState": f"it is {PASSWORD}"}).entry).power()
    assert PASSWORD not in said.reason
    assert "***" in said.reason


def test_a_long_answer_is_cut(hostile: Serve, bmc_config: Books) -> None:
    """A BMC that was taken over would spoil the answers of all others: they share one pipe."""
    endless = hostile({"UUID": UUID, "PowerState": "On", "SerialNumber": "A" * 100_000})
    assert bmc(bmc_config, endless.entry).identity().serial == "A" * 127 + "…"


def test_watts_come_from_the_chassis(hostile: Serve, bmc_config: Books) -> None:
    """Saved energy would be estimated by a model although there is a meter."""
    link = {"@odata.id": "/redfish/v1/Chassis/1"}
    answers = {"UUID": UUID, "PowerState": "On", "Links": {"Chassis": [link]}}
    measured = hostile({**answers, "EnvironmentMetrics": link, "PowerWatts": {"Reading": 187.5}})
    assert bmc(bmc_config, measured.entry).watts() == 187.5
    older = hostile({**answers, "Power": link, "PowerControl": [{"PowerConsumedWatts": 210}]})
    assert bmc(bmc_config, older.entry).watts() == 210.0
    assert bmc(bmc_config, hostile({**answers, "Power": link, "PowerControl": []}).entry).watts() is None
    assert bmc(bmc_config, hostile(answers).entry).watts() is None


def test_all_meters_are_read_in_one_round(hostile: Serve, bmc_config: Books, redfish: RedfishPeer) -> None:
    """One machine without a meter, or one that nobody asked for, would spoil the others' figures."""
    link = {"@odata.id": "/redfish/v1/Chassis/1"}
    chassis = {"Links": {"Chassis": [link]}, "EnvironmentMetrics": link, "PowerWatts": {"Reading": 187.5}}
    measured = hostile({"UUID": UUID, "PowerState": "On", **chassis})
    book = bmc_config({7: measured.entry, 8: redfish.entry(1)})
    assert draws_all(book, {7, 8}, 30.0) == {7: Draw(187.5, "EnvironmentMetrics"), 8: Draw()}
    assert draws_all(book, {8}, 30.0) == {8: Draw()}
    assert draws_all(book, (), 30.0) == {}
