"""The server around the application: TLS, connections, and streams whose user lost the right to them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from gateway.callers import Caller, Callers
from gateway.credentials import Credential
from gateway.event_stream import EventStream
from gateway.journal import Journal
from gateway.records import Event
from gateway.refusals import Unauthorised
from gateway.server import Certificates
from gateway.short_cache import ShortCache
from gateway.views import Views
from gateway.visible import Sight
from onext.webconfig import WebConfigError
from tests.fixtures_tls import certify
from tests.gateway.conftest import Cloud, started
from tests.waiting import PATIENCE, until


def speaking_tls(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a web.config with a certificate, and what trusts that."""
    web = folder / "web.yml"
    web.write_text("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n")
    return web, certify(folder)


@pytest.mark.process
def test_tls_is_that_of_web_config_and_renewed_without_a_restart(cloud: Cloud, tmp_path: Path) -> None:
    """Passwords would cross the network in clear, or a renewed certificate would not be used."""
    web, trusted = speaking_tls(tmp_path)
    with started(cloud.sandbox, f"  web_config: {web}\n", context=trusted) as gateway:
        assert gateway.get("/v1/vms").status == 200
        login = gateway.get("/login", None)
        assert "Secure" in login.headers["set-cookie"]
        plain = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        with pytest.raises((OSError, http.client.HTTPException)):
            _ask(plain)
    certificates = Certificates.load(web)
    assert certificates is not None
    assert agree(certificates.context, trusted)
    renewed = certify(tmp_path)
    certificates.renew()
    assert agree(certificates.context, renewed)
    assert not agree(certificates.context, trusted)
    (tmp_path / "cert.pem").write_text("damaged")
    certificates.renew()
    assert agree(certificates.context, renewed)  # the former one stays in use


def _ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/v1/vms")
    connection.getresponse()


def agree(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Return whether a client trusts what a server shows, without a network."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(up, down, server_side=True),
        client.wrap_bio(down, up, server_hostname="127.0.0.1"),
    ]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return True


def test_users_in_web_config_are_refused(tmp_path: Path) -> None:
    """Somebody would believe that these passwords guard the gateway."""
    hashed = "$2b$04$" + "a" * 53
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  a: {hashed}\n")
    with pytest.raises(WebConfigError, match="OpenNebula's"):
        Certificates.load(tmp_path / "web.yml")


@pytest.mark.process
def test_one_address_does_not_take_all_connections(cloud: Cloud) -> None:
    """A client that opens connections and is silent would lock all others out."""
    with started(cloud.sandbox, "  connections: 8\n") as gateway:
        held = [socket.create_connection(("127.0.0.1", gateway.port), 10) for _ in range(2)]
        with pytest.raises((OSError, http.client.HTTPException)):
            gateway.get("/-/healthy", None)
        held[0].close()
        held[1].close()
        for _ in range(100):
            try:
                assert gateway.get("/-/healthy", None).status == 200
            except (OSError, http.client.HTTPException):
                continue
            break
        else:
            pytest.fail("the places were not given back")


@pytest.mark.process
def test_a_handshake_that_does_not_end_counts_and_is_ended(cloud: Cloud, tmp_path: Path) -> None:
    """A client that connects and never begins TLS would take all descriptors, though connections are limited."""
    web, trusted = speaking_tls(tmp_path)
    settings = f"  connections: 8\n  web_config: {web}\n"
    with started(cloud.sandbox, settings, context=trusted) as gateway, contextlib.ExitStack() as held:

        def silent() -> socket.socket:
            return held.enter_context(socket.create_connection(("127.0.0.1", gateway.port), PATIENCE))

        def crowded() -> bool:
            for beginning in (b"", b"\x16\x03\x01\x02\x00"):  # nothing, or the head of a ClientHello
                silent().sendall(beginning)
            return not gateway.serves()

        until(crowded, "the limit of one address")
        assert _ended(silent())
        until(gateway.serves, "an end of handshakes that do not end")


def _ended(connection: socket.socket) -> bool:
    """Return once the other side has ended a connection."""
    with contextlib.suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


class _Rights:
    """Answers for callers and views; `revoked` is what happens meanwhile."""

    revoked = False

    async def of(self, credential: Credential, max_age: float) -> Caller:
        assert max_age == 0.0  # asked of oned, not remembered
        if self.revoked:
            raise Unauthorised("disabled")
        return Caller(credential, 2, "alice", frozenset({1}))

    async def sight(self, caller: Caller, _max_age: float) -> Sight:
        return Sight(False, caller.id, hosts=(), vms=(1,), clusters=())


def test_a_stream_ends_when_its_user_loses_the_right(tmp_path: Path) -> None:
    """A user who was disabled would read events for as long as a browser stays open."""
    rights, events = _Rights(), Journal(tmp_path)
    events._events.append(
        ((1, 1), Event(id="1.1", uid="x", type="t", subject="vm/1", at=1.0, late=False, data={}, before={}))
    )
    stream = EventStream(events, cast("Views", rights), cast("Callers", rights), recheck=0.05)
    caller = Caller(Credential("alice", "x"), 2, "alice", frozenset({1}))

    async def read(chunks: AsyncIterator[bytes]) -> list[bytes]:
        found = []
        async for chunk in chunks:
            found.append(chunk)
            rights.revoked = len(found) > 4
        return found

    chunks = asyncio.run(asyncio.wait_for(read(stream._send(caller, (1, 0), resumed=True)), 30))
    assert any(b'"uid":"x"' in chunk for chunk in chunks)
    assert b"event: end" in chunks[-1]
    assert stream._open == []


def test_a_value_is_made_once_and_a_failure_is_forgotten() -> None:
    """A hundred requests at once would be a hundred calls to oned; one failure would be the answer for seconds."""
    made: list[int] = []

    async def make() -> int:
        made.append(1)
        await asyncio.sleep(0.01)
        if len(made) == 1:
            raise Unauthorised("no")
        return len(made)

    async def run() -> list[int]:
        cache: ShortCache[int] = ShortCache(60, 2)
        with pytest.raises(Unauthorised):
            await cache.get("a", make)
        return list(await asyncio.gather(*(cache.get("a", make) for _ in range(20))))

    assert asyncio.run(run()) == [2] * 20


@pytest.mark.process
def test_figures_are_shown_where_they_are_enabled_and_name_nobody(cloud: Cloud) -> None:
    """An operator would not see that logins fail; or the figures would tell strangers who uses the cloud."""
    with started(cloud.sandbox, "  metrics: true\n  rpc: true\n") as gateway:
        assert gateway.get("/v1/vms").status == 200
        assert gateway.get("/v1/vms", "alice:wrong").status == 401
        assert gateway.get("/v1/" + "x" * 50).status == 404
        shown = gateway.get("/metrics", None)
        text = shown.body.decode()
        assert shown.status == 200
        assert 'onext_gateway_answers_total{kind="api",status="2xx"} 1.0' in text
        assert 'onext_gateway_answers_total{kind="api",status="4xx"} 2.0' in text
        assert "onext_gateway_event_streams 0.0" in text
        assert "onext_gateway_oned_calls 0.0" in text
        assert "alice" not in text
        assert "xxx" not in text
    with started(cloud.sandbox) as gateway:
        assert gateway.get("/metrics", None).status == 404
