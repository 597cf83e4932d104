"""MaxMind's web service, played by answers in its documented form.

https://dev.maxmind.com/geoip/docs/web-services/responses and …/web-services/errors
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest

from hooks.geolocation.database import LookupFailed, WebService
from hooks.geolocation.location import Coordinates, Unplaced
from onext.settings.geolocation import MaxMind
from tests.fixtures_bmc import certificate

pytestmark = pytest.mark.process
KEY = "the-licence-key"
FOUND = {"city": {"names": {"en": "Stockholm"}}, "location": {"latitude": 59.25, "longitude": 18.0833}}
ADDRESS = ip_address("130.237.28.40")


class Service(HTTPServer):
    """Answers every question with `status` and `document`, and keeps what was asked."""

    status, document = 200, json.dumps(FOUND)
    asked: list[tuple[str, str]]


class Answer(BaseHTTPRequestHandler):
    """One question."""

    server: Service

    def do_GET(self) -> None:
        """Answer as the service was told to."""
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        kind = "city" if self.server.status == 200 else "error"
        body = self.server.document.encode()
        self.send_response(self.server.status)
        self.send_header(
            "Content-Type", f"application/vnd.maxmind.com-{kind}+json; charset=UTF-8; version=2.1"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serve over TLS with a certificate that this process trusts."""
    certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    server = Service(("127.0.0.1", 0), Answer)
    server.asked = []
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def account(service: Service, tmp_path: Path) -> MaxMind:
    """Return an account at the played service."""
    (tmp_path / "licence").write_text(f"{KEY}\n")
    host = f"127.0.0.1:{service.server_port}"
    return MaxMind(account_id=17, license_key_file=tmp_path / "licence", host=host)


def service_of(account: MaxMind) -> WebService:
    """Return the web service with the largest radius of the settings."""
    return WebService(account, 500.0)


def test_an_address_is_asked_with_the_account(service: Service, account: MaxMind) -> None:
    """Who has an account and no file gets no location."""
    assert service_of(account).locate(ADDRESS) == Coordinates(59.25, 18.0833)
    path, authorization = service.asked[0]
    assert path == f"/geoip/v2.1/city/{ADDRESS}"
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == f"17:{KEY}"


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (404, {"code": "IP_ADDRESS_NOT_FOUND", "error": "not found"}),
        (200, {"city": {}}),
        (200, {"location": {"latitude": 5900.0, "longitude": 18.0}}),
        (200, {"location": {"latitude": 38.0, "longitude": -97.0, "accuracy_radius": 1000}}),
        (200, {"location": {"latitude": 38.0, "longitude": -97.0}, "country": {"iso_code": "US"}}),
        (200, {**FOUND, "traits": {"is_anycast": True}}),
    ],
)
def test_an_address_that_is_not_known(
    service: Service, account: MaxMind, status: int, document: dict[str, object]
) -> None:
    """An address without coordinates is no failure to be asked again for ever."""
    service.status, service.document = status, json.dumps(document)
    assert isinstance(service_of(account).locate(ADDRESS), Unplaced)


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (401, json.dumps({"code": "AUTHORIZATION_INVALID", "error": "wrong account or key"})),
        (402, json.dumps({"code": "INSUFFICIENT_FUNDS", "error": "no queries left"})),
        (503, "<html>down</html>"),
        (200, "<html>a proxy's log-in page</html>"),
    ],
)
def test_a_service_that_fails_says_nothing_of_the_address(
    service: Service, account: MaxMind, status: int, document: str
) -> None:
    """A written location would be erased, or the log would contain the key."""
    service.status, service.document = status, document
    with pytest.raises(LookupFailed, match=r"127\.0\.0\.1") as failure:
        service_of(account).locate(ADDRESS)
    assert KEY not in str(failure.value)


def test_a_service_that_is_away(account: MaxMind) -> None:
    """The worker would end with a traceback instead of asking again later."""
    away = account.model_copy(update={"host": "127.0.0.1:1"})
    with pytest.raises(LookupFailed, match=r"127\.0\.0\.1"):
        service_of(away).locate(ADDRESS)


def test_a_service_with_a_strangers_certificate(account: MaxMind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine between the front-end and the service would get the licence key."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(LookupFailed, match="certificate"):
        service_of(account).locate(ADDRESS)
