"""IPMI with ipmi_sim, whose machine is looked at by ipmitool and in its files."""

import threading
import time
from collections.abc import Callable, Mapping

import pytest

from onext.hosts.bmc import ipmi as ipmi_driver
from onext.hosts.bmc.check import check_all
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import (
    BmcError,
    InvalidAnswer,
    MissingPrivilege,
    Refused,
    TimedOut,
    Unreachable,
    WrongMachine,
    WrongPassword,
)
from onext.hosts.bmc.job import Job
from onext.hosts.bmc.protocol import Bmc, Identity, Power
from tests.fixtures_bmc import PASSWORD, IpmiPeer, confirmed
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
Books = Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]
OTHER = "11111111-2222-3333-4444-555555555555"


def bmc(bmc_config: Books, peer: IpmiPeer, **changes: object) -> Bmc:
    return bmc_config({7: peer.entry(**changes)}).bmc(7, timeout=30.0)


def test_power_and_identity_are_read(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """Without both nothing can be switched."""
    peer = bmc(bmc_config, ipmi)
    assert peer.power().power is Power.ON
    assert peer.identity() == Identity(uuid=ipmi.uuid)
    assert peer.watts() is None, "ipmi_sim measures nothing, and no figure may be invented"
    ipmi.power = "off"
    assert peer.power().power is Power.OFF


def test_a_serial_number_is_an_identity_too(ipmi_peers: Callable[..., IpmiPeer], bmc_config: Books) -> None:
    """Boards without a UUID of their own could not be used."""
    peer = ipmi_peers(serial="CZ-1234")
    assert bmc(bmc_config, peer, uuid=None, serial="cz-1234").identity().serial == "CZ-1234"
    said = bmc(bmc_config, peer, uuid=None, serial="CZ-9999").power()
    assert isinstance(said.failure, WrongMachine)


def test_soft_off_and_on_are_seen_by_others(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """A host would burn on, or sleep on, while we believe otherwise."""
    peer = bmc(bmc_config, ipmi)
    peer.soft_off()
    assert confirmed(peer, Power.OFF, within=PATIENCE, every=0.1).power is Power.OFF
    assert ipmi.ipmitool("power", "status").endswith("off")
    peer.switch_on()
    assert confirmed(peer, Power.ON, within=PATIENCE, every=0.1).power is Power.ON
    assert ipmi.ipmitool("power", "status").endswith("on")


def test_hard_off_where_the_system_hangs(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """A hung kernel never shuts down by itself."""
    ipmi.fault("stuck")
    peer = bmc(bmc_config, ipmi)
    peer.soft_off()
    assert confirmed(peer, Power.OFF, within=2.0, every=0.5).power is Power.ON
    peer.hard_off()
    assert confirmed(peer, Power.OFF, within=PATIENCE, every=0.1).power is Power.OFF
    assert ipmi.ipmitool("power", "status").endswith("off")


def test_an_order_is_not_a_result(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """A BMC that says yes and does nothing would leave a host off for ever, or on."""
    ipmi.fault("idle")
    peer = bmc(bmc_config, ipmi)
    peer.hard_off()
    assert confirmed(peer, Power.OFF, within=2.0, every=0.5).power is Power.ON


def test_a_slow_machine_is_waited_for(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """A server that takes its time would be quarantined."""
    ipmi.power = "off"
    ipmi.fault("slow")
    peer = bmc(bmc_config, ipmi)
    peer.switch_on()
    assert peer.power().power is Power.OFF
    comes = threading.Timer(2.0, ipmi.mend, ["slow"])
    comes.start()
    assert confirmed(peer, Power.ON, within=PATIENCE, every=0.5).power is Power.ON
    comes.join()


def test_a_bmc_that_does_not_know_is_unknown(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """An error read as `off` would let a running host be forgotten."""
    ipmi.fault("broken")
    said = bmc(bmc_config, ipmi).power()
    assert said.power is Power.UNKNOWN
    assert isinstance(said.failure, Refused)


def test_a_bmc_that_falters_is_not_off(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """Of two readings that contradict each other the one that is wished for would be taken."""
    ipmi.fault("falters")
    assert confirmed(bmc(bmc_config, ipmi), Power.OFF, within=4.0, every=0.1).power is not Power.OFF


@pytest.mark.parametrize("order", ["soft_off", "hard_off", "switch_on"])
def test_another_machine_is_never_switched(ipmi: IpmiPeer, bmc_config: Books, order: str) -> None:
    """A swapped cable or address would switch off somebody else's machine."""
    before = ipmi.power = "on" if order != "switch_on" else "off"
    peer = bmc(bmc_config, ipmi, uuid=OTHER)
    with pytest.raises(WrongMachine, match="correct the entry, or connect"):
        getattr(peer, order)()
    assert peer.power().power is Power.UNKNOWN
    assert ipmi.ipmitool("power", "status").endswith(before)


@pytest.mark.parametrize(
    "uuid", ["44454c4c-4200-1035-8053-b4c04f560000", "0000564f-c0b4-5380-1035-420044454c4c"]
)
def test_a_uuid_is_known_in_each_order_of_bytes(ipmi: IpmiPeer, bmc_config: Books, uuid: str) -> None:
    """What dmidecode says differs from what the BMC sends, vendor by vendor."""
    assert ipmi.uuid == "4c4c4544-0042-3510-8053-b4c04f560000"
    assert bmc(bmc_config, ipmi, uuid=uuid).identity().uuid == uuid


@pytest.mark.parametrize("changes", [{"password": "not-this-one"}, {"user": "nobody"}])
def test_a_refused_login_is_unknown_and_harms_no_later_one(
    ipmi: IpmiPeer, bmc_config: Books, changes: dict[str, object]
) -> None:
    """One typing error would take a host out until the worker is restarted."""
    peer = bmc(bmc_config, ipmi, **changes)
    said = peer.power()
    assert said.power is Power.UNKNOWN
    assert isinstance(said.failure, WrongPassword)
    with pytest.raises(WrongPassword) as caught:
        peer.hard_off()
    assert PASSWORD not in str(caught.value)
    assert "not-this-one" not in str(caught.value)
    assert ipmi.power == "on"
    assert bmc(bmc_config, ipmi).power().power is Power.ON


def test_silence_is_unknown(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """A BMC without its network cable would make its host count as off."""
    peer = bmc(bmc_config, ipmi)
    ipmi.pause()
    said = peer.power()
    assert said.power is Power.UNKNOWN
    assert isinstance(said.failure, Unreachable)
    with pytest.raises(Unreachable):
        peer.switch_on()
    ipmi.answer_again()
    assert peer.power().power is Power.ON


def test_a_bmc_that_dies_in_the_session_ends_it_in_time(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """One BMC would hold up the whole cluster, for half a minute or for good."""
    (ipmi.folder / "chassis").write_text("#!/bin/sh\nkill -STOP $PPID\n")
    began = time.monotonic()
    said = bmc_config({7: ipmi.entry()}).bmc(7, timeout=4.0).power()
    assert said.power is Power.UNKNOWN
    assert isinstance(said.failure, BmcError)
    assert said.reason == "no answer within 4 s"
    assert time.monotonic() - began < 4.0 + 2.0 + 15.0, "this bound is the promise, not a measurement"


@pytest.mark.parametrize(
    ("message", "begun", "kind"),
    [
        ("Incorrect password provided", False, WrongPassword),
        ("Unauthorized name in RAKP2", False, WrongPassword),
        ("Unauthorized role or privilege level requested", False, MissingPrivilege),
        ("Insufficient resources to create a session at the requested role", False, Refused),
        (
            "Insufficient resources to create new session (wait for existing sessions to timeout)",
            False,
            Refused,
        ),
        ("None", False, Unreachable),
        ("timeout", True, TimedOut),
        ("Session no longer connected", True, TimedOut),
        ("No Cipher suite match with proposed security algorithms", False, Refused),
    ],
)
def test_E1_pyghmi_s_words_have_types(message: str, begun: bool, kind: type[BmcError]) -> None:
    """Pyghmi raises one type for everything: each cause would be a wrong password or silence."""
    assert type(ipmi_driver._meant(message, begun=begun)) is kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            {"code": 0xD4, "error": "Insufficient privilege level or firmware firewall", "data": b""},
            MissingPrivilege,
        ),
        ({"code": 0xFFFF, "error": "timeout", "data": b""}, TimedOut),
        ({"code": 0xC1, "error": "Invalid command", "data": b""}, Refused),
        ({"code": 0, "data": b""}, InvalidAnswer),
    ],
)
def test_E1_completion_codes_have_types(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, object], kind: type[BmcError]
) -> None:
    """A user of level USER may ask and not order: the password is right."""

    class Command:
        def __init__(self, *_: object, **__: object) -> None: ...

        def raw_command(self, **_: object) -> dict[str, object]:
            return answer

    monkeypatch.setattr(ipmi_driver, "Command", Command)
    with pytest.raises(kind):
        ipmi_driver.Ipmi(Job(7, "power", "ipmi", "192.0.2.7", 623)).power()


def test_E1_a_check_switches_nothing_and_knows_the_privilege(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """A check that is harmless only where it fails would not be run."""
    found = check_all(bmc_config({7: ipmi.entry()}), deadline=30.0)[0]
    assert dict(found.steps) == {
        "reach": "ok",
        "certificate": "-",
        "login": "ok",
        "identity": "ok",
        "privilege": "ok",
        "power": "ok",
    }
    assert (found.power, found.watts, found.implausible) == ("on", None, ())
    assert ipmi.power == "on"
