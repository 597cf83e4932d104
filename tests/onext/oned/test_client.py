"""Calls to oned: what recorded answers mean, and what happens when oned does not behave."""

import socket
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from onext.oned.client import Oned, RaftState
from onext.oned.errors import (
    Malformed,
    NotFound,
    Refused,
    TimedOut,
    Unauthenticated,
    Unauthorised,
    Unreachable,
)
from onext.oned.objects import HostState
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
Answer = Callable[[], bytes]
Serve = Callable[[Any], Oned]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve one answer to every call: a value, or the very bytes."""
    servers = []

    def start(answer: Any) -> Oned:
        body = (
            answer
            if isinstance(answer, bytes)
            else xmlrpc.client.dumps((answer,), methodresponse=True).encode()
        )

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return Oned(f"http://127.0.0.1:{server.server_port}/RPC2", "oneadmin:secret", timeout=PATIENCE)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_recorded_host(serve: Serve, recordings: Path) -> None:
    """The parts see hosts as oned has them."""
    host = serve([True, (recordings / "host.monitored-with-vms.xml").read_text(), 0]).host(6)
    assert (host.id, host.name, host.state, host.cluster) == (6, "node-b2", HostState.MONITORED, "beta")
    assert len(host.vm_ids) == 1
    assert host.text("HYPERVISOR")


def test_recorded_pools(serve: Serve, recordings: Path) -> None:
    """Every host and every VM of a pool is there, with what tenants wrote."""
    hosts = serve([True, (recordings / "hostpool.raw.xml").read_text(), 0]).hosts()
    assert {host.name for host in hosts} >= {"node-a1", "node-b3", "node-e1"}
    vms = serve([True, (recordings / "vmpool.infoextended.raw.xml").read_text(), 0]).vms()
    assert any("PROMETHEUS_EXPORTER" in vm.user_template for vm in vms)
    assert any(vm.running and vm.host_id >= 0 for vm in vms)


def test_who_acts(serve: Serve, recordings: Path) -> None:
    """A follower must not change anything."""
    status = (recordings / "zone.raftstatus.xml").read_text()
    assert serve([True, status, 0]).raft().acts
    follower = serve([True, status.replace("<STATE>0<", "<STATE>2<"), 0]).raft()
    assert (follower.state, follower.acts) == (RaftState.FOLLOWER, False)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x0100, Unauthenticated),
        (0x0200, Unauthorised),
        (0x0400, NotFound),
        (0x0800, Refused),
        (0x2000, Refused),
    ],
)
def test_each_error_of_oned_is_its_own_kind(serve: Serve, code: int, kind: type[Exception]) -> None:
    """Whether to retry, to give up or to ask the administrator depends on it."""
    with pytest.raises(kind, match=r"one.host.info: \[one.host.info\] Error"):
        serve([False, "[one.host.info] Error getting host [99].", code]).host(99)


def test_an_empty_answer_is_no_crash(serve: Serve) -> None:
    """Pyone raises IndexError for it."""
    assert serve([True, "", 0]).call("vm.monitoring", 1) == ""


@pytest.mark.parametrize("answer", [b"", b"<html>", b"<methodResponse><params>", [], [True], ["x", 1, 0], 5])
def test_what_oned_never_sends_is_malformed(serve: Serve, answer: object) -> None:
    """A proxy's page or half an answer must not be taken for a value."""
    with pytest.raises(Malformed):
        serve(answer).call("system.version")


def test_a_doctype_is_refused(serve: Serve) -> None:
    """Entities could fetch files or grow without end."""
    with pytest.raises(Malformed, match="DOCTYPE"):
        serve([True, '<!DOCTYPE a [<!ENTITY b "c">]><HOST><ID>1</ID></HOST>', 0]).host(1)


def test_a_fault_is_refused_with_its_text(serve: Serve) -> None:
    """A wrong number of arguments is our own mistake and must be seen."""
    body = xmlrpc.client.dumps(xmlrpc.client.Fault(-501, "Not enough parameters")).encode()
    with pytest.raises(Refused, match="Not enough parameters"):
        serve(body).call("host.info")


def test_a_call_that_the_release_lacks_is_named(serve: Serve) -> None:
    """A call of a newer release fails with a number, and nobody learns that an upgrade would help."""
    body = xmlrpc.client.dumps(xmlrpc.client.Fault(-506, "Method 'one.vm.exec' not defined")).encode()
    with pytest.raises(Refused, match=r"^one\.vm\.exec: this OpenNebula does not have this call"):
        serve(body).call("vm.exec", 1, "true", "")


def test_nobody_there() -> None:
    """Oned that is down is said in one line, with what to do."""
    with pytest.raises(Unreachable, match=r"Connection refused; is opennebula running\?"):
        Oned("http://127.0.0.1:1/RPC2", "a:b", timeout=2).version()


def test_a_silent_oned_ends_in_time() -> None:
    """Pyone's own time-out has no effect: a worker would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        oned = Oned(f"http://127.0.0.1:{silent.getsockname()[1]}/RPC2", "a:b", timeout=0.3)
        with pytest.raises(TimedOut, match="no complete answer in time"):
            oned.version()


def test_a_dripping_oned_ends_in_time() -> None:
    """A byte now and then must not hold a thread beyond the deadline."""
    ended = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not ended.wait(0.05):
            try:
                connection.sendall(b" ")
            except OSError:
                break
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        with pytest.raises(TimedOut):
            Oned(f"http://127.0.0.1:{server.getsockname()[1]}/RPC2", "a:b", timeout=0.4).version()
        ended.set()
        thread.join()
