"""The guarded XML-RPC before a sandbox with the installed driver, with pyone as scripts use it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyone
import pytest
from biscuit_auth import BlockBuilder, KeyPair

from gateway import part
from gateway.refusals import Invalid
from gateway.rpc import wire
from onext.biscuit import keys, scoped, tokens
from onext.install import oned_conf
from onext.part import Context
from onext.settings import OnedAccess, Settings
from onext.settings.gateway import Gateway as GatewaySettings
from tests.drivers.auth.biscuit.conftest import install, recorded_document
from tests.fixtures_sandbox import Sandbox
from tests.gateway.conftest import Answer, Cloud, Gateway, make_cloud, started
from tests.gateway.test_scoped_tokens import NEVER

pytestmark = pytest.mark.process
FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass
class Guarded:
    """A cloud whose user `dann1` has keys, and a gateway that vouches."""

    cloud: Cloud
    gateway: Gateway
    user: KeyPair
    key: KeyPair

    def token(self, operations: list[str] | None = None, resources: list[str] | None = None) -> str:
        """Return `dann1:token`, narrowed where operations are given."""
        made = tokens.mint(self.user.private_key, "dann1", NEVER)
        if operations is not None:
            made = tokens.attenuate(
                made, None, [scoped.check(operations, resources or [], self.key.public_key)]
            )
        return f"dann1:{made.to_base64()}"

    def call(self, method: str, session: str, *arguments: int | str | bool) -> list[object]:
        """Return the answer of a call through the gateway."""
        body = xmlrpc.client.dumps((session, *arguments), f"one.{method}").encode()
        answer = self.post(body)
        assert answer.status == 200, answer.body
        found: tuple[list[object], ...] = xmlrpc.client.loads(answer.body)[0]  # type: ignore[assignment]
        return found[0]

    def post(self, body: bytes) -> Answer:
        """Send a body."""
        return self.gateway.ask("POST", "/RPC2", None, {"Content-Type": "text/xml"}, body)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Start a sandbox with the driver, a user with a key, and a gateway with a key of its own."""
    location = tmp_path_factory.mktemp("guarded") / "one"
    Sandbox(location).stop()  # makes the tree
    conf = location / "etc/oned.conf"
    conf.write_text(oned_conf.add(conf.read_text()))
    recorded = recorded_document(FIXTURES / "opennebula-7.0.2")
    install(location / "var/remotes/auth/biscuit", location / "etc/onext/biscuit-revoked", recorded)
    sandbox = Sandbox(location, "--step", "0.02", "--monitor", "3600")
    cloud, user, key = make_cloud(sandbox), KeyPair(), KeyPair()
    number = sandbox.call("user.allocate", "dann1", keys.stored(user.public_key), "biscuit", [])
    sandbox.call("vm.chown", cloud.vms["alice"][0], number, -1)
    sandbox.call("vm.chown", cloud.vms["bob"][0], number, -1)
    (location / "gateway.key").write_text(str(key.private_key))
    with started(
        sandbox, f"  requests: 10000\n  rpc: true\n  scoped_key: {location}/gateway.key\n"
    ) as gateway:
        sandbox.call("user.allocate", "portal", "x", "server_cipher", [])
        access = OnedAccess(endpoint=sandbox.endpoint)
        context = Context(gateway.paths, Settings(oned=access, gateway=GatewaySettings(enabled=True)))
        assert part.reconcile(context, []) == "1 users with public keys"
        yield Guarded(cloud, gateway, user, key)
    sandbox.stop()


def test_pyone_works_through_the_gateway(guarded: Guarded) -> None:
    """Scripts would have to choose between the gateway and their binding."""
    one = pyone.OneServer(f"{guarded.gateway.url}/RPC2", session=guarded.cloud.sandbox.session)
    assert one.system.version() == guarded.cloud.sandbox.call("system.version")
    assert len(one.vmpool.info(-2, -1, -1, -1).VM) == 2
    with pytest.raises(pyone.OneNoExistsException):
        one.vm.info(77)
    own = pyone.OneServer(f"{guarded.gateway.url}/RPC2", session=guarded.token())
    assert own.user.info(-1).NAME == "dann1"  # a token without checks passes as it does at oned


def test_a_scoped_token_does_what_it_names(guarded: Guarded) -> None:
    """A token for one VM would not work, or would work for another, or at oned."""
    vm, other = guarded.cloud.vms["alice"][0], guarded.cloud.vms["bob"][0]
    session = guarded.token(["vm:info"], [f"vm:{vm}"])
    assert guarded.call("vm.info", session, vm)[0] is True
    refused = guarded.call("vm.info", session, other)
    assert refused[0] is False
    assert "vm:info on vm" in str(refused[1])
    for method, arguments in (("vmpool.info", (-2, -1, -1, -1)), ("user.info", (-1,)), ("vm.action", ("terminate", vm)),
                              ("user.login", ("dann1", "", 600, -1)), ("user.update", (-1, "A=1", 1))):  # fmt: skip
        assert guarded.call(method, session, *arguments)[0] is False, method
    assert guarded.cloud.sandbox.answer("one.vm.info", vm, session=session)[0] is False  # at oned itself
    assert guarded.gateway.get(f"/v1/vms/{vm}", session).json["id"] == vm
    assert guarded.gateway.get(f"/v1/vms/{other}", session).status == 403
    for path in ("/v1/vms", "/v1/hosts", "/v1/power", "/v1/events", "/"):
        assert guarded.gateway.get(path, session).status == 403, path


def test_the_composed_token_is_nowhere_to_be_found(guarded: Guarded) -> None:
    """It is a password with all rights: whoever read it in a log could do anything as that user."""
    vm = guarded.cloud.vms["alice"][0]
    session = guarded.token(["vm:info"], [f"vm:{vm}"])
    guarded.call("vm.info", session, vm)
    body = xmlrpc.client.dumps((session, vm), "one.vm.info").encode()
    answer = guarded.post(body)
    start = session.partition(":")[2][:60]
    for place in (
        guarded.gateway.output,
        guarded.cloud.sandbox.oned_log,
        answer.body.decode(),
        str(answer.headers),
    ):
        assert start not in place


def test_revoked_and_widened_tokens_are_refused(guarded: Guarded) -> None:
    """A revoked token would go on working through the gateway."""
    vm = guarded.cloud.vms["alice"][0]
    made = tokens.attenuate(tokens.mint(guarded.user.private_key, "dann1", NEVER), None,
                            [scoped.check(["vm:info"], [f"vm:{vm}"], guarded.key.public_key)])  # fmt: skip
    wide = made.append(BlockBuilder(f'operation("vm:rename"); resource("vm", {vm});'))
    assert guarded.call("vm.rename", f"dann1:{wide.to_base64()}", vm, "x")[0] is False
    revoked = guarded.cloud.sandbox.location / "etc/onext/biscuit-revoked"
    revoked.write_text(f"{made.revocation_ids[1]}\n")
    assert guarded.call("vm.info", f"dann1:{made.to_base64()}", vm)[0] is False
    revoked.write_text("")


@pytest.mark.parametrize(
    "session", ["serveradmin:oneadmin:x", "portal:oneadmin:x", "alice:wrong", "alice", ":", ""]
)
def test_sessions_of_others_are_refused(guarded: Guarded, session: str) -> None:
    """A server's user would act for everybody through the gateway."""
    assert guarded.call("vm.info", session, 0)[0] is False


@pytest.mark.parametrize(
    "method",
    ["system.multicall", "system.listMethods", "one.zone.replicate", "sandbox.monitor", "one.nothing.here"],
)
def test_calls_beyond_the_table_are_refused_for_everybody(guarded: Guarded, method: str) -> None:
    """Several calls in one would pass by the table."""
    body = xmlrpc.client.dumps((guarded.cloud.sandbox.session,), method).encode()
    answer = xmlrpc.client.loads(guarded.post(body).body)[0][0]
    assert answer[0] is False  # type: ignore[index]
    assert "gateway: " in str(answer)


def test_a_large_answer_is_streamed_and_gives_its_place_back(guarded: Guarded) -> None:
    """Lists of a large cloud would fail, or clients that end early would use up oned's connections."""
    vm = guarded.cloud.vms["alice"][0]
    session = guarded.cloud.sandbox.session
    guarded.cloud.sandbox.call("vm.update", vm, f'NOTE="{"x" * 600_000}"', 1)
    assert len(str(guarded.call("vm.info", session, vm)[1])) > 600_000
    body = xmlrpc.client.dumps((session, vm), "one.vm.info").encode()
    head = f"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(8):  # more than oned_connections
        with socket.create_connection(("127.0.0.1", guarded.gateway.port), 10) as connection:
            connection.sendall(head.encode() + body)
            assert connection.recv(100)
    assert guarded.call("vm.info", session, vm)[0] is True
    guarded.cloud.sandbox.call("vm.update", vm, "NOTE=[ ]", 1)


BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><methodCall><methodName>one.vm.info</methodName><params><param><value><string>&b;</string></value></param></params></methodCall>'
CALL = xmlrpc.client.dumps(("a:b", 1), "one.vm.info").encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", BOMB, BOMB.decode().encode("utf-16"), CALL[:-20], CALL.replace(b"one.vm.info", b"one.vm.info<b/>"),
        b'<?xml version="1.0" encoding="cp037"?>' + CALL.partition(b"?>")[2],
        CALL.replace(b"<int>1</int>", b"<i8>99999999999999999999</i8>"), CALL.replace(b"<int>1</int>", b"<nil/>"),
        CALL.replace(b"<int>1</int>", b"<struct><member><name>a</name><value>b</value></member></struct>"),
        CALL.replace(b"<int>1</int>", b"<array><data>" * 5000), CALL.replace(b"<int>1</int>", b"<base64>aa</base64>"),
        CALL.replace(b"one.vm.info", b"one.vm.info\n"), CALL.replace(b"a:b", b"a:\xff"),
    ],
)  # fmt: skip
def test_what_is_no_plain_call_is_refused(body: bytes) -> None:
    """What the gateway reads and what oned reads would differ."""
    with pytest.raises(Invalid):
        wire.read(body)


def test_what_is_forwarded_is_encoded_anew() -> None:
    """An element that the gateway did not look at would reach oned."""
    odd = CALL.replace(b"<params>", b"<x>y</x><params>") if b"<params>" in CALL else CALL
    read = wire.read(odd)
    assert (read.method, read.session, read.arguments) == ("one.vm.info", "a:b", (1,))
    assert b"<x>" not in wire.encode(read.method, read.session, read.arguments)
    assert "a:b" not in repr(read)


def test_the_real_onevm_works_through_the_gateway(guarded: Guarded) -> None:
    """OpenNebula's own commands are what people use."""
    onevm = os.environ.get("ONEXT_ONEVM") or shutil.which("onevm")
    if onevm is None:
        pytest.skip("OpenNebula's commands are not here (ONEXT_ONEVM)")
    auth = guarded.cloud.sandbox.location / "dann1_auth"
    auth.write_text(guarded.token())
    env = {**os.environ, "ONE_XMLRPC": f"{guarded.gateway.url}/RPC2", "ONE_AUTH": str(auth)}
    listed = subprocess.run([onevm, "list", "--csv"], env=env, capture_output=True, text=True, check=False)
    assert "vm-of-alice" in listed.stdout, listed.stderr
    vm = guarded.cloud.vms["alice"][0]
    auth.write_text(guarded.token(["vm:info"], [f"vm:{vm}"]))
    shown = subprocess.run([onevm, "show", str(vm)], env=env, capture_output=True, text=True, check=False)
    assert "vm-of-alice" in shown.stdout, shown.stderr
    refused = subprocess.run([onevm, "list"], env=env, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
