"""Redfish over HTTP: redirects, TLS, refusals and answers that make no sense, with a service that plays each."""

import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from onext.hosts.bmc.errors import (
    InvalidAnswer,
    Refused,
    TlsFailed,
    Unreachable,
    WrongCertificate,
    WrongPassword,
)
from onext.hosts.bmc.redfish import Redfish
from tests.onext.hosts.bmc.redfish_tree import RESET, SYSTEM, UUID, Reply, serving, switchable, system

pytestmark = pytest.mark.process
SYSTEMS = "/redfish/v1/Systems"
REDIRECTS = [301, 302, 307, 308]


@pytest.mark.parametrize("status", REDIRECTS)
def test_D2_redirects_to_the_same_address_are_followed(tmp_path: Path, status: int) -> None:
    """BMCs that add a slash to their paths would be unknown for ever, with questions and with orders."""

    def slash(path: str) -> Reply:
        return Reply(status, headers={"Location": f"{path}/"})

    tree = switchable("ForceOff")
    tree = {f"{path}/": found for path, found in tree.items()}
    tree |= {f"{SYSTEMS}/": {"Members": [{"@odata.id": SYSTEM}]}}
    tree |= {SYSTEMS: slash(SYSTEMS), SYSTEM: slash(SYSTEM), f"POST {RESET}": slash(RESET)}
    with serving(tmp_path, tree) as bmc:
        assert bmc.outcome("hard", system=None) == {"power": "on"}
        assert bmc.resets == ["ForceOff", "ForceOff"], "the order itself has to arrive at the second place"
        assert bmc.asked[-1][:2] == ("POST", f"{RESET}/")


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize(
    "place",
    [
        "https://127.0.0.1:{other}/redfish/v1/Systems/1",
        "http://127.0.0.1:{own}/redfish/v1/Systems/1",
        "//127.0.0.1:{other}/redfish/v1/Systems/1",
        "https://localhost:{own}/redfish/v1/Systems/1",
        "https://127.0.0.1:{own}@127.0.0.1:{other}/redfish/v1/Systems/1",
        "https://user@127.0.0.1:{own}/redfish/v1/Systems/1",
        "https://[::1]:{own}/redfish/v1/Systems/1",
    ],
)
def test_D2_redirects_to_another_address_get_no_password(tmp_path: Path, status: int, place: str) -> None:
    """A BMC that was taken over would have the password sent to an address of its choice."""
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other", system()) as other, serving(tmp_path, {}) as bmc:
        location = place.format(other=other.server_port, own=bmc.server_port)
        bmc.tree[SYSTEM] = Reply(status, headers={"Location": location})
        found = bmc.outcome()
        assert "another address: no password is sent there" in found["reason"]
        assert len(bmc.asked) == 1
        assert other.asked == []


def test_D2_a_redirect_without_end_ends(tmp_path: Path) -> None:
    """A loop would hold up a worker until its deadline."""
    with serving(tmp_path, {SYSTEM: Reply(308, headers={"Location": SYSTEM})}) as bmc:
        with pytest.raises(Refused, match=r"redirects /redfish/v1/Systems/1 more than 4 times"):
            bmc.done()
        assert len(bmc.asked) == 5


def test_D2_a_full_address_of_the_bmc_itself_may_be_followed(tmp_path: Path) -> None:
    """Vendors send whole addresses in Location and in links."""
    with serving(tmp_path, {}) as bmc:
        own = f"https://127.0.0.1:{bmc.server_port}"
        bmc.tree[f"{SYSTEM}/"] = switchable("On", power="Off")[SYSTEM]
        bmc.tree[f"{SYSTEM}/"]["Actions"]["#ComputerSystem.Reset"]["target"] = f"{own}{RESET}"
        bmc.tree |= {SYSTEM: Reply(308, headers={"Location": f"{own}{SYSTEM}/"}), f"POST {RESET}": Reply(204)}
        bmc.done("on")
        assert bmc.resets == ["On"]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>login</html>",
        b"",
        b"null",
        b"[]",
        b'{"PowerState": NaN}',
        b"[" * 100_000,
        b'{"PowerState": "Of',
        b"\xff\xfe",
        b'{"a": ' + b"9" * 6000 + b"}",
    ],
)
def test_D2_a_200_that_is_not_an_object_is_an_invalid_answer(tmp_path: Path, body: bytes) -> None:
    """A page of a web server, or of a BMC that starts, would be reported as a refusal or a crash."""
    with serving(tmp_path, {SYSTEM: Reply(200, body)}) as bmc:
        found = bmc.outcome()
    assert found["error"] == "InvalidAnswer"
    assert SYSTEM in found["reason"]


def test_D2_an_endless_answer_is_bounded(tmp_path: Path) -> None:
    """One BMC would fill the front-end's memory."""
    with (
        serving(tmp_path, {SYSTEM: Reply(200, b" " * (3 << 20))}) as bmc,
        pytest.raises(InvalidAnswer, match=r"more than 2000000 bytes"),
    ):
        bmc.done()


def test_D2_a_forbidden_reset_is_a_missing_privilege(tmp_path: Path) -> None:
    """An administrator would search for a wrong password that is right."""
    explained = {"error": {"@Message.ExtendedInfo": [{"MessageId": "Base.1.8.InsufficientPrivilege"}]}}
    for status in (403, 401):
        tree = {**switchable("ForceOff"), f"POST {RESET}": Reply(status, explained)}
        with serving(tmp_path, tree) as bmc:
            found = bmc.outcome("hard")
        assert found["error"] == "MissingPrivilege"
        assert "role of an operator" in found["reason"]


def test_E1_each_cause_has_a_type_of_its_own(tmp_path: Path) -> None:
    """All look alike otherwise, and nobody knows whether to look at cables, passwords or certificates."""
    with serving(tmp_path, system()) as bmc:
        with pytest.raises(WrongPassword, match=r"rejects this user and password"):
            bmc.done(password="another")
        with pytest.raises(WrongCertificate, match=f"SHA-256 {bmc.pin}, bmc.yaml pins another"):
            bmc.done(pin="0" * 64)
        with pytest.raises(WrongCertificate, match=r"not trusted .*pin it as `certificate`"):
            bmc.done(pin=None)
        with pytest.raises(Refused, match=r"status 404 .no such thing"):
            bmc.done(system="/redfish/v1/Systems/2")
        assert all(path != SYSTEM for _, path, _ in bmc.asked), (
            "nothing was sent before the certificate was right"
        )
    with pytest.raises(Unreachable, match=r"no connection: "):
        bmc.done()


def test_E1_a_password_that_has_to_be_changed_is_named(tmp_path: Path) -> None:
    """A BMC as it was delivered answers every question with 403."""
    explained = {"error": {"@Message.ExtendedInfo": [{"MessageId": "Base.1.8.1.PasswordChangeRequired"}]}}
    with (
        serving(tmp_path, {SYSTEM: Reply(403, explained)}) as bmc,
        pytest.raises(WrongPassword, match=r"password of this user changed"),
    ):
        bmc.done()


def _old_cipher(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0")


def _old_version(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the ssl module's, of TLS 1.0
@pytest.mark.parametrize("old", [_old_cipher, _old_version])
def test_D2_old_tls_is_reported_and_can_be_allowed(tmp_path: Path, old: object) -> None:
    """Boards of ten years ago would count as silent, and no setting would help."""
    with serving(tmp_path, system(), old) as bmc:  # type: ignore[arg-type]
        with pytest.raises(TlsFailed, match=r"for old firmware set `tls: legacy`"):
            bmc.done()
        assert bmc.done(legacy_tls=True) == {"power": "on"}
        with pytest.raises(WrongCertificate):
            bmc.done(legacy_tls=True, pin="0" * 64)


def test_D2_a_port_without_tls_is_reported_as_such(tmp_path: Path) -> None:
    """A wrong port would look like a BMC that is broken."""
    with socket.create_server(("127.0.0.1", 0)) as plain, serving(tmp_path, {}) as bmc:
        greeter = threading.Thread(target=_greet, args=(plain,))
        greeter.start()
        with pytest.raises(TlsFailed, match=r"no TLS on this port"):
            Redfish(replace(bmc.job(), port=plain.getsockname()[1]))
        greeter.join()


def _greet(listener: socket.socket) -> None:
    """Answer as a server of another protocol does."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_D2_an_authority_of_the_site_may_be_named(tmp_path: Path) -> None:
    """A site with an authority of its own would have to pin every certificate, or change the system's list."""
    with serving(tmp_path, system()) as bmc:
        trusted = str(tmp_path / "cert.pem")
        assert bmc.done(pin=None, ca_file=trusted) == {"power": "on"}
        with pytest.raises(WrongCertificate, match=r"for another name"):
            bmc.done(pin=None, ca_file=trusted, certificate_name="another.example")
        with pytest.raises(WrongCertificate, match=r"nothing.pem cannot be used: No such file"):
            bmc.done(pin=None, ca_file=str(tmp_path / "nothing.pem"))
        (tmp_path / "empty.pem").touch()
        with pytest.raises(WrongCertificate, match=r"empty.pem cannot be used"):
            bmc.done(pin=None, ca_file=str(tmp_path / "empty.pem"))


def test_D2_a_bmc_that_asks_for_many_requests_is_bounded(tmp_path: Path) -> None:
    """Links could keep a worker busy until its deadline."""
    chassis = [{"@odata.id": f"/redfish/v1/Chassis/{n}"} for n in range(500)]
    tree = {SYSTEM: {"UUID": UUID, "PowerState": "On", "Links": {"Chassis": chassis}}}
    with serving(tmp_path, tree) as bmc:
        assert bmc.done("watts")["watts"] is None
        assert len(bmc.asked) < 20
