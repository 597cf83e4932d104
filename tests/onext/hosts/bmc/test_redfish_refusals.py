"""What an HTTP status, a broken connection or a link of a Redfish BMC means, without a network."""

import http.client
import json
import ssl
from typing import Any

import pytest
import requests
import urllib3
from urllib3.util.ssl_match_hostname import CertificateError

from onext.hosts.bmc import redfish_http
from onext.hosts.bmc.errors import (
    BmcError,
    InvalidAnswer,
    MissingPrivilege,
    Refused,
    TimedOut,
    TlsFailed,
    Unreachable,
    WrongCertificate,
    WrongPassword,
)
from onext.hosts.bmc.job import Job
from onext.hosts.bmc.redfish_http import Connection, _causes, _failure, _refusal
from onext.hosts.bmc.redfish_json import items, links, member, text


def connection(port: int = 443, address: str = "192.0.2.13") -> Connection:
    return Connection(
        Job(7, "power", "redfish", address, port, user="onext", password="secret", pin="0f" * 32)
    )


def explained(*messages: object, **error: object) -> bytes:
    return json.dumps({"error": {"@Message.ExtendedInfo": list(messages), **error}}).encode()


FORBIDDEN = explained({"MessageId": "Base.1.8.InsufficientPrivilege", "Message": "not you"})


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, b"", Refused, "it answers /x with status 400"),
        (400, explained({"Message": "why"}), Refused, "with status 400 (why)"),
        (400, explained({"Message": 7}, {"Message": "why"}), Refused, "with status 400 (why)"),
        (400, explained(message="why"), Refused, "with status 400 (why)"),
        (400, explained("text", message="why"), Refused, "with status 400 (why)"),
        (400, b"[]", Refused, "it answers /x with status 400"),
        (400, b'{"error": 7}', Refused, "it answers /x with status 400"),
        (400, b"[" * 60_000, Refused, "it answers /x with status 400"),
        (400, FORBIDDEN, MissingPrivilege, "forbids /x with status 400 (not you): give this user the role"),
        (401, FORBIDDEN, MissingPrivilege, "forbids /x with status 401"),
        (404, FORBIDDEN, MissingPrivilege, "forbids /x with status 404"),
        (403, b"", MissingPrivilege, "forbids /x with status 403: give"),
        (500, FORBIDDEN, Refused, "it answers /x with status 500 (not you)"),
        (401, b"", WrongPassword, "it rejects this user and password"),
        (403, explained({"MessageId": "Base.1.8.PasswordChangeRequired"}), WrongPassword, "wants the password of this user changed"),
        (429, b"", Refused, "it is busy, /x has status 429: try again later"),
        (503, explained({"Message": "why"}), Refused, "it is busy, /x has status 503 (why)"),
        (502, b"", Refused, "it answers /x with status 502"),
    ],
)  # fmt: skip
def test_E1_what_a_status_means(status: int, body: bytes, kind: type[BmcError], said: str) -> None:
    """A role that may only read, a BMC that is busy and a wrong password would all read `status 4xx`."""
    found = _refusal(status, "/x", body)
    assert type(found) is kind
    assert said in str(found)


def wrapped(error: BaseException) -> BaseException:
    """Return an error as requests raises it: urllib3's inside as an argument, with the cause below."""
    retries = urllib3.exceptions.MaxRetryError(None, "/", error if isinstance(error, Exception) else None)  # type: ignore[arg-type]
    return requests.exceptions.ConnectionError(retries)


def verification(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_message = message
    return error


def tls(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, "failed")
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), Unreachable, "no connection: Connection refused"),
        (TimeoutError("timed out"), TimedOut, "it does not answer in time"),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "x"), TimedOut, "it does not answer in time"),  # type: ignore[arg-type]
        (http.client.RemoteDisconnected("x"), Unreachable, "it ends the connection without an answer"),
        (http.client.IncompleteRead(b""), InvalidAnswer, "truncated or not HTTP (IncompleteRead)"),
        (urllib3.exceptions.DecodeError("x"), InvalidAnswer, "truncated or not HTTP"),
        (verification("self-signed certificate"), WrongCertificate, "is not trusted (self-signed certificate): pin it"),
        (tls("WRONG_VERSION_NUMBER"), TlsFailed, "no TLS on this port (wrong version number): is `port`"),
        (tls("RECORD_LAYER_FAILURE"), TlsFailed, "no TLS on this port"),
        (tls("UNSUPPORTED_PROTOCOL"), TlsFailed, "no TLS connection (unsupported protocol): for old firmware"),
        (tls(None), TlsFailed, "(connection ended in the handshake)"),
        (CertificateError("hostname 'a' doesn't match 'b'"), WrongCertificate, "is for another name: hostname 'a'"),
        (
            urllib3.exceptions.SSLError(f'Fingerprints did not match. Expected "{"0f" * 32}", got "{"aa" * 32}"'),
            WrongCertificate,
            f"has the SHA-256 {'aa' * 32}, bmc.yaml pins another",
        ),
        (urllib3.exceptions.SSLError("Fingerprint of invalid length"), WrongCertificate, "SHA-256 of another"),
        (urllib3.exceptions.SSLError("other"), InvalidAnswer, "damaged"),
    ],
)  # fmt: skip
def test_E1_what_a_broken_connection_means(error: Exception, kind: type[BmcError], said: str) -> None:
    """Nobody would know whether to look at cables, at certificates or at the firmware."""
    for shown in (error, wrapped(error)):
        found = _failure(shown)
        if kind is InvalidAnswer and shown is not error:
            assert type(found) is InvalidAnswer
            continue
        assert (type(found), said in str(found)) == (kind, True), str(found)


def test_E1_what_no_library_names_is_no_connection() -> None:
    """An error without a type that is known would end the round."""
    assert str(_failure(requests.RequestException("x"))) == "no connection (RequestException)"
    assert str(_failure(OSError("x"))) == "no connection (OSError)", "a system's error has a number"


def test_causes_are_followed_once_and_not_for_ever() -> None:
    """Two errors that name each other would hold up a worker."""
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__context__ = two, one
    assert list(_causes(one)) == [one, two]
    chain: BaseException = ValueError("end")
    for _ in range(500):
        chain = ValueError(chain)
    assert 90 < len(list(_causes(chain))) < 110
    assert list(_causes(None)) == []


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("/redfish/v1/Systems", "/redfish/v1/Systems"),
        ("Systems/1", "/base/Systems/1"),
        ("https://192.0.2.13/a?b=c", "/a?b=c"),
        ("https://192.0.2.13:443/a", "/a"),
        ("https://192.0.2.13", "/"),
        ("/a#b", "/a"),
        ("/" + "a" * 1023, "/" + "a" * 1023),
    ],
)
def test_links_of_the_same_address_are_followed(link: str, found: str) -> None:
    """Vendors write whole addresses, paths and relative ones."""
    assert connection()._path("/base/", link) == found


@pytest.mark.parametrize(
    "link",
    ["https://192.0.2.14/a", "http://192.0.2.13/a", "https://192.0.2.13:444/a", "//192.0.2.14/a",
     "https://u@192.0.2.13/a", "https://bmc.example/a", "https://192.0.2.13:x/a"],
)  # fmt: skip
def test_links_to_another_address_get_no_password(link: str) -> None:
    """A BMC that was taken over would have it sent anywhere."""
    with pytest.raises(Refused, match="another address: no password is sent there"):
        connection()._path("/", link)


@pytest.mark.parametrize("link", [None, 7, "", "/" + "a" * 1024, "/\u0661", "/a\nb", ["/a"]])
def test_what_is_no_link_is_an_invalid_answer(link: object) -> None:
    """A traceback would end the question to all other BMCs."""
    with pytest.raises(InvalidAnswer, match="not an address"):
        connection()._path("/", link)


def test_a_port_that_is_not_https_own_belongs_to_the_address() -> None:
    """A link without the port leads to another service of the same machine."""
    with pytest.raises(Refused, match="another address"):
        connection(8443)._path("/", "https://192.0.2.13/a")
    assert connection(8443)._path("/", "https://192.0.2.13:8443/a") == "/a"
    assert connection(443, "2001:db8::13")._path("/", "https://[2001:db8:0::13]/a") == "/a"


class Answers:
    """A connection's answers, one after the other; keeps what was asked."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str, bytes | None]]()

    def __call__(self, method: str, path: str, data: bytes | None) -> Any:
        self.asked.append((method, path, data))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def follow(
    bmc: Connection, monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, dict[str, str], bytes]
) -> Answers:
    made = Answers(*answers)
    monkeypatch.setattr(bmc, "_exchange", made)
    return made


THERE = {"Location": "/there"}
GOOD: tuple[int, dict[str, str], bytes] = (200, {}, b'{"a": 1}')


@pytest.mark.parametrize(("redirects", "followed"), [(1, True), (4, True), (5, False)])
def test_D2_four_redirects_are_followed(
    monkeypatch: pytest.MonkeyPatch, redirects: int, followed: bool
) -> None:
    """A loop would hold up a worker, or a BMC with a slash and a login page be unknown."""
    bmc = connection()
    made = follow(bmc, monkeypatch, *[(308, THERE, b"")] * redirects, GOOD)
    if followed:
        assert bmc.get("/x") == {"a": 1}
    else:
        with pytest.raises(Refused, match="more than 4 times"):
            bmc.get("/x")
    assert len(made.asked) == min(redirects, 4) + 1


@pytest.mark.parametrize("status", [299, 200, 201, 204])
def test_an_order_that_was_accepted_is_not_repeated(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """A power button that is pressed twice does the opposite."""
    bmc = connection()
    made = follow(bmc, monkeypatch, (status, THERE, b""))
    bmc.post("/x", {"ResetType": "On"})
    assert made.asked == [("POST", "/x", b'{"ResetType": "On"}')]


@pytest.mark.parametrize(
    ("status", "headers"), [(303, THERE), (308, {}), (300, THERE), (199, {}), (304, THERE)]
)
def test_D2_what_is_neither_an_answer_nor_a_redirect_is_refused(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str]
) -> None:
    """An order would be sent to where a BMC shows the result of the first one."""
    bmc = connection()
    made = follow(bmc, monkeypatch, (status, headers, b""))
    with pytest.raises(Refused, match=f"status {status}"):
        bmc.post("/x", {"ResetType": "On"})
    assert len(made.asked) == 1


def test_D2_a_question_may_be_answered_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """303 is how some services show where an object is."""
    bmc = connection()
    made = follow(bmc, monkeypatch, (303, THERE, b""), GOOD)
    assert bmc.get("/x") == {"a": 1}
    assert [path for _, path, _ in made.asked] == ["/x", "/there"]


def test_D2_places_that_cannot_be_read_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One forbidden sensor would hide all others."""
    bmc, notes = connection(), list[str]()
    follow(bmc, monkeypatch, (404, {}, b""))
    assert bmc.optional("/x", notes) == {}
    follow(bmc, monkeypatch, (200, {}, b"null"))
    assert bmc.optional("/y", notes) == {}
    follow(bmc, monkeypatch, (403, {}, b""))
    assert bmc.optional("/z", notes) == {}
    assert [note.partition(" with ")[0] for note in notes] == [
        "it answers /x", "it answers /y", "it accepts the login and forbids /z",
    ]  # fmt: skip
    follow(bmc, monkeypatch, (401, {}, b""))
    with pytest.raises(WrongPassword):
        bmc.optional("/x", notes)


@pytest.mark.parametrize(("count", "refused"), [(100, False), (101, True)])
def test_D2_one_question_needs_at_most_a_hundred_requests(
    monkeypatch: pytest.MonkeyPatch, count: int, refused: bool
) -> None:
    """Links that lead in circles would keep a worker busy."""
    bmc = connection()
    monkeypatch.setattr(bmc._session, "request", lambda *_, **__: (_ for _ in ()).throw(TimeoutError("x")))
    found: list[str] = []
    for _ in range(count):
        try:
            bmc.get("/x")
        except BmcError as error:
            found.append(str(error))
    assert any("more than 100 requests" in one for one in found) is refused


class Body:
    """An answer that comes in pieces."""

    def __init__(self, size: int) -> None:
        self.size = size

    def iter_content(self, size: int) -> Any:
        return (b"x" * min(size, self.size - at) for at in range(0, self.size, size))


def test_D2_an_answer_at_the_limit_is_read() -> None:
    """A large collection would be refused, or an endless one fill the memory."""
    assert len(redfish_http._read(Body(2_000_000), "/x")) == 2_000_000  # type: ignore[arg-type]
    with pytest.raises(InvalidAnswer, match="/x has more than 2000000 bytes"):
        redfish_http._read(Body(2_000_001), "/x")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_firmware_gets_old_ciphers_only_where_the_entry_asks_for_them() -> None:
    """All BMCs would be spoken to as weakly as the oldest one, or the oldest not at all."""
    usual: dict[str, Any] = {
        "id": 7,
        "wish": "power",
        "kind": "redfish",
        "address": "192.0.2.13",
        "port": 443,
    }
    modern = redfish_http._context(Job(**usual))
    legacy = redfish_http._context(Job(**usual, legacy_tls=True))
    pinned = redfish_http._context(Job(**usual, pin="0f" * 32))
    assert modern.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert legacy.minimum_version == ssl.TLSVersion.TLSv1
    assert legacy.options == modern.options | 0x4, "ssl.OP_LEGACY_SERVER_CONNECT and nothing else"
    assert len(legacy.get_ciphers()) > len(modern.get_ciphers())
    assert [one.verify_mode for one in (modern, legacy, pinned)] == [
        ssl.CERT_REQUIRED, ssl.CERT_REQUIRED, ssl.CERT_NONE,
    ]  # fmt: skip
    assert [one.check_hostname for one in (modern, legacy, pinned)] == [True, True, False]


def test_members_of_another_type_are_as_if_they_were_not_there() -> None:
    """Firmware sets members to null, to a text, or leaves them out: a traceback would hide the machine."""
    found = {
        "a": {"b": {"c": "x"}},
        "n": None,
        "t": "text",
        "l": [1, {"@odata.id": "/1"}, {"@odata.id": 2}, {}],
    }
    assert member(found, "a", "b") == {"c": "x"}
    assert [member(found, *keys) for keys in (("n",), ("t",), ("a", "x"), ("t", "b"), ("x", "y"))] == [{}] * 5
    assert (text(found, "t"), text(found, "n"), text(found, "l"), text(found, "x")) == ("text", "", "", "")
    assert [items(found, key) for key in ("t", "n", "a", "x")] == [[]] * 4
    assert list(links(items(found, "l"))) == ["/1"]
