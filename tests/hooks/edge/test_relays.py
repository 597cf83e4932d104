"""Relays through the endpoint: bounded ways from strangers to the hub's UDP port, and to nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edge import line, relay, server
from edge.errors import Unreachable, WrongServer
from hooks.edge import endpoint as program
from hooks.edge import relays
from tests.hooks.edge.running_endpoint import Endpoint
from tests.waiting import PATIENCE, until

process = pytest.mark.process
SIZES = (line.SHORTEST, 1280, line.LONGEST)


def exact(stream: ssl.SSLSocket, size: int) -> bytes:
    """Read so many bytes; fewer where the other side ends."""
    found = b""
    while len(found) < size and (chunk := stream.recv(size - len(found))):
        found += chunk
    return found


@contextmanager
def relayed(endpoint: Endpoint) -> Iterator[ssl.SSLSocket]:
    """Take a place for a relay, as a node or a stranger does."""
    with server.opened(endpoint.target()) as stream:
        relay.upgrade(endpoint.target(), stream)
        stream.settimeout(PATIENCE)
        yield stream


def test_the_hubs_port_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """An administrator who moves the hub would have to restart the endpoint."""
    file = tmp_path / "hub.json"
    port = relays.HubPort(file)
    assert port.now() == 0
    for number in (51820, 4500):
        draft = tmp_path / f"{number}"
        draft.write_text(json.dumps({"port": number, "peers": []}))
        draft.replace(file)
        assert port.now() == number
    assert relays.HubPort(None).now() == 0


@contextmanager
def streams(folder: Path) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Return both ends of a TLS stream in this process."""
    key, certificate = program.make_certificate(folder)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plain = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    ends: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: ends.append(serving.wrap_socket(accepted, server_side=True)))
    thread.start()
    with asking.wrap_socket(plain) as far:
        thread.join()
        with ends[0] as near:
            yield near, far


@pytest.fixture
def hub() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return a hub's socket, and one that is connected to it."""
    with socket.socket(type=socket.SOCK_DGRAM) as far, socket.socket(type=socket.SOCK_DGRAM) as near:
        far.bind(("127.0.0.1", 0))
        near.connect(far.getsockname())
        yield far, near


@process
def test_a_relay_that_the_hub_does_not_answer_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: tuple[socket.socket, socket.socket]
) -> None:
    """A stranger without a key would hold its place for ever by sending something."""
    monkeypatch.setattr(line, "FIRST", 0.2)
    with streams(tmp_path) as (near, far):
        far.sendall(struct.pack(">H", 40) + b"x" * 40)
        assert line.Line(near, hub[1]).run() == "no datagram came"
        assert hub[0].recv(100) == b"x" * 40


@process
def test_a_node_that_is_silent_or_takes_nothing_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: tuple[socket.socket, socket.socket]
) -> None:
    """A node that lost its network would keep its place, and what waits for it memory."""
    monkeypatch.setattr(line, "SILENT", 0.2)
    far_hub, near_hub = hub
    with streams(tmp_path) as (near, far):
        far.sendall(struct.pack(">H", 40) + b"x" * 40)
        near_hub.send(b"hello")
        far_hub.sendto(b"y" * 40, near_hub.getsockname())
        assert line.Line(near, near_hub).run() == "no datagram came"
        monkeypatch.setattr(line, "SILENT", PATIENCE)
        monkeypatch.setattr(line, "SLOW", 0.5)
        slow, reasons = line.Line(near, near_hub), list[str]()
        thread = threading.Thread(target=lambda: reasons.append(slow.run()))
        thread.start()
        while thread.is_alive():
            far_hub.sendto(b"y" * 9000, near_hub.getsockname())
            time.sleep(0)
        assert reasons == ["the other side accepts no data"]
        assert len(slow._waiting) <= line.WAITING + line.LONGEST + 2


def test_the_hubs_port_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    """A relay would lead to where the hub was, or to a service of this server that a damaged list names."""
    file = tmp_path / "hub.json"
    port = relays.HubPort(file)
    assert (port.now(), relays.HubPort(None).now()) == (0, 0)
    for number, text in enumerate(
        ("", "[]", "{}", '{"port": 0}', '{"port": -1}', '{"port": "7"}', '{"port": 65536}', "[" * 100_000)
    ):
        file.write_text(text)
        os.utime(file, ns=(number, number))
        assert port.now() == 0, text[:20]
    for number in (1, 65535, 51820):
        file.write_text(json.dumps({"port": number}))
        os.utime(file, ns=(100 + number, 100 + number))
        assert port.now() == number
    before = file.stat()
    file.write_text(json.dumps({"port": 1234}))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert port.now() == 51820, "each relay of a stranger would read the whole list"
    other = tmp_path / "other"
    other.write_text(json.dumps({"port": 4321}))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)
    assert port.now() == 4321, "another file counts, whatever its time"
    file.unlink()
    assert port.now() == 0


@process
def test_datagrams_reach_the_hub_whole_and_come_back(endpoint: Endpoint) -> None:
    """A node behind a firewall that drops UDP could not join."""
    with endpoint.hub() as hub, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wireguard:
        wireguard.bind(("127.0.0.1", 0))
        wireguard.settimeout(PATIENCE)
        made = relay.Relay(endpoint.target(), wireguard.getsockname()[1])
        until(lambda: made.endpoint, "the relay's place")
        host, _, port = made.endpoint.partition(":")
        for size in SIZES:
            wireguard.sendto(b"x" * size, (host, int(port)))
            data, came_from = hub.recvfrom(65536)
            assert (data, came_from[0]) == (b"x" * size, "127.0.0.1")
            hub.sendto(b"y" * size, came_from)
            assert wireguard.recv(65536) == b"y" * size
        wireguard.sendto(b"x" * (line.LONGEST + 1), (host, int(port)))
        wireguard.sendto(b"z" * 40, (host, int(port)))
        assert hub.recv(65536) == b"z" * 40, "what is too long is dropped, and nothing else"
        made.hold(True)
        hub.sendto(b"h" * 40, came_from)
        wireguard.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wireguard.recv(65536)
        made.hold(False)
        wireguard.settimeout(PATIENCE)
        assert wireguard.recv(65536) == b"h" * 40
        made.close()
        until(lambda: not made.alive, "the relay's end")


@process
@pytest.mark.parametrize("size", [0, line.SHORTEST - 1, line.LONGEST + 1, 65535])
def test_a_length_that_wireguard_has_not_ends_the_relay(endpoint: Endpoint, size: int) -> None:
    """The port is open to the Internet: a length must not become memory, nor an unread stream a place."""
    with endpoint.hub() as hub, relayed(endpoint) as stream:
        stream.sendall(struct.pack(">H", 40) + b"x" * 40 + struct.pack(">H", size))
        assert hub.recv(65536) == b"x" * 40
        assert exact(stream, 1) == b""


@process
def test_joins_go_on_when_all_places_of_relays_are_taken(endpoint: Endpoint) -> None:
    """Whoever takes the relays' places keeps no node from joining over UDP."""
    with endpoint.hub() as hub, ExitStack() as held:
        for _ in range(relays.EACH):
            stream = held.enter_context(relayed(endpoint))
            stream.sendall(struct.pack(">H", 40) + b"x" * 40)
            hub.sendto(b"y" * 40, hub.recvfrom(100)[1])
            assert exact(stream, 42)[2:] == b"y" * 40
        with pytest.raises(Unreachable, match="no place"), relayed(endpoint):
            pass
        assert b" 200 " in endpoint.raw(b"POST /edge HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        held.close()
        until(lambda: _has_place(endpoint), "a place that is given back")


@process
def test_who_is_not_answered_gives_way(endpoint: Endpoint) -> None:
    """Strangers that open relays again and again would keep out every node without UDP."""
    with endpoint.hub(), ExitStack() as held:
        first = held.enter_context(relayed(endpoint))
        for _ in range(relays.EACH):
            held.enter_context(relayed(endpoint))
        with contextlib.suppress(OSError):
            assert exact(first, 1) == b""


def _has_place(endpoint: Endpoint) -> bool:
    try:
        with relayed(endpoint):
            return True
    except Unreachable:
        return False


@process
def test_there_is_no_relay_without_a_hub_and_none_to_an_impostor(endpoint: Endpoint) -> None:
    """A list that is damaged must not choose the port; an impostor must not see that a node is there."""
    for text in ("", "[]", '{"port": 0}', '{"port": "51820"}', '{"port": 65536}', "[" * 100_000):
        (endpoint.folder / "hub.json").write_text(text)
        assert not _has_place(endpoint)
    assert b" 404 " in endpoint.raw(b"GET /edge/relay HTTP/1.1\r\n\r\n")
    with pytest.raises(WrongServer), server.opened(endpoint.target("0" * 64)):
        pass
