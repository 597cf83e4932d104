"""POST /v1/actions: a gateway and a worker's desk before a sandbox, with a recorder in place of `onext`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from biscuit_auth import KeyPair
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import part
from gateway.actions import acl, commands, desk
from gateway.actions.client import _refusal
from gateway.actions.ledger import Ledger
from gateway.actions.orders import KINDS, ORDERS, Confirm
from gateway.actions.socket_place import is_gateway, place
from gateway.refusals import Elsewhere
from onext import unix_service
from onext.biscuit import keys, tokens
from onext.part import Context
from onext.paths import Paths
from onext.settings import OnedAccess, Settings
from onext.settings.gateway import ACTIONS
from onext.settings.gateway import Gateway as GatewaySettings
from onext.xml import parse
from sandbox.state.access import ALL, CLUSTER, GROUP, ONE, Access, Caller
from sandbox.state.pool_object import RESOURCES
from tests.fixtures_sandbox import ROOT, Sandbox
from tests.gateway.conftest import Answer, Cloud, Gateway, make_cloud, started
from tests.gateway.test_scoped_tokens import NEVER
from tests.waiting import until

JSON = {"Content-Type": "application/json"}
# Writes what it was called with, and waits while the file `hold` is there.
RECORDER = """#!/bin/sh
here="$(dirname "$0")"
echo "$LOGNAME $*" >> "$here/orders"
while [ -e "$here/hold" ]; do sleep 0.05; done
case "$*" in *refused*|*"off 1") echo "onext: refused" >&2; exit 1;; esac
echo "did $*"
"""
# The worker's half alone, as a process that can be killed.
WORKER = """
import sys
from gateway import part
from onext.part import Context
from onext.settings import OnedAccess, Settings
from onext.settings.events import Events, EventSink
from onext.settings.gateway import ACTIONS, Gateway
import logging, time
logging.basicConfig(filename=sys.argv[2], level=logging.INFO)
sinks = EventSink(name="portal", kind="stdout", receiver="alice"), EventSink(name="log", kind="stdout")
given = Gateway(enabled=True, actions=ACTIONS)
context = Context(given=Settings(oned=OnedAccess(endpoint=sys.argv[1]), events=Events(sinks=sinks), gateway=given))
part._listen(context)
print("ready", flush=True)
time.sleep(600)
"""


@dataclass
class Site:
    """A cloud, a gateway, and the worker's process."""

    cloud: Cloud
    gateway: Gateway
    worker: subprocess.Popen[str]

    @property
    def sandbox(self) -> Sandbox:
        return self.cloud.sandbox

    def start(self) -> None:
        """Start the worker."""
        arguments = [
            sys.executable,
            "-c",
            WORKER,
            self.sandbox.endpoint,
            str(self.sandbox.location / "worker.log"),
        ]
        self.worker = subprocess.Popen(
            arguments, cwd=ROOT, env=self.sandbox.env, stdout=subprocess.PIPE, text=True
        )
        assert self.worker.stdout is not None
        assert self.worker.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """Kill the worker."""
        self.worker.kill()
        self.worker.wait()
        assert self.worker.stdout is not None
        self.worker.stdout.close()

    def order(
        self, order: Mapping[str, object], user: str = "oneadmin", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Give an order as a user."""
        session = self.sandbox.session if user == "oneadmin" else self.cloud.session(user)
        return self.gateway.ask(
            "POST", "/v1/actions", session, {**JSON, **(headers or {})}, json.dumps(order).encode()
        )

    def result(self, answer: Answer, user: str = "oneadmin") -> dict[str, Any]:
        """Wait until an order has ended, and return what is known of it."""
        assert answer.status == 202, answer.body
        session = self.sandbox.session if user == "oneadmin" else self.cloud.session(user)

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.gateway.get(answer.headers["location"], session).json
            return found if found["state"] != "running" else None

        found: dict[str, Any] = until(ended, "the order")
        return found

    @property
    def done(self) -> list[str]:
        """The commands that were run, each with who ordered it."""
        file = self.sandbox.location / "bin/orders"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def hold(self) -> Path:
        """While this file exists, commands do not end."""
        return self.sandbox.location / "bin/hold"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two tenants, an operator with HOST ADMIN on host 0, a locator with HOST MANAGE, and everything enabled."""
    sandbox = Sandbox(tmp_path_factory.mktemp("orders") / "one", "--step", "0.02", "--monitor", "3600")
    cloud = make_cloud(sandbox)
    recorder = sandbox.location / "bin/onext"
    recorder.parent.mkdir(exist_ok=True)
    recorder.unlink(missing_ok=True)
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    rules = {"operator": "#{} HOST/#0 ADMIN", "locator": "#{} HOST/%0 MANAGE", "member": ""}
    for name, rule in rules.items():
        number = sandbox.call("user.allocate", name, cloud.session(name).partition(":")[2], "core")
        if rule:
            add_rule(sandbox, number, rule)
    sandbox.call("user.chgrp", sandbox_user(sandbox, "member"), 0)
    listed = ", ".join(ACTIONS)
    with started(sandbox, f"  requests: 10000\n  actions: [{listed}]\n") as gateway:
        running = Site(cloud, gateway, None)  # type: ignore[arg-type]  # started below
        running.start()
        yield running
        running.kill()
    sandbox.stop()


def add_rule(sandbox: Sandbox, user: int, rule: str) -> None:
    """Add `#ID HOST/#N RIGHT` or `#ID HOST/%CLUSTER RIGHT`, as `oneacl create` does."""
    _, resource, right = rule.split()
    mark, number = resource.partition("/")[2][0], int(resource.partition("/")[2][1:])
    bits = RESOURCES["HOST"] | {"#": ONE, "%": CLUSTER}[mark] | number
    rights = {"USE": 1, "MANAGE": 2, "ADMIN": 4}[right]
    sandbox.call("acl.addrule", f"{ONE | user:x}", f"{bits:x}", f"{rights:x}")


def sandbox_user(sandbox: Sandbox, name: str) -> int:
    """Return the id of a user."""
    pool = parse(sandbox.call("userpool.info"))
    return next(int(one.findtext("ID", "")) for one in pool.iterfind("USER") if one.findtext("NAME") == name)


ORDERS_OF: Mapping[str, Mapping[str, object]] = {
    "locate": {"host": 0},
    "off": {"host": 0},
    "drain": {"host": 0},
    "on": {"host": 0},
    "flush": {"host": 0, "undo": True},
    "enroll": {"host": 0},
    "pause": {"cluster": 0},
    "resume": {"cluster": 0},
    "confirm": {"host": 0, "incident": 1000.5, "name": "node-1"},
    "snapshot": {"sink": "portal"},
}
HOST_ADMIN = {"off", "drain", "on", "flush"}
RIGHTS = {
    "oneadmin": set(ORDERS_OF),
    "member": set(ORDERS_OF) - {"confirm"},  # of the group oneadmin
    "operator": HOST_ADMIN,
    "locator": {"locate"},
    "alice": {"snapshot"},  # the receiver of that sink
}


@pytest.mark.process
@pytest.mark.parametrize("user", sorted(RIGHTS))
@pytest.mark.parametrize("action", sorted(ORDERS_OF))
def test_an_order_needs_the_right_at_oned(site: Site, action: str, user: str) -> None:
    """A tenant could switch hosts off, or an operator could not."""
    before = len(site.done)
    answer = site.order({"action": action, **ORDERS_OF[action]}, user)
    if action in RIGHTS[user]:
        assert site.result(answer, user)["state"] == "done"
        assert site.done[before:] == [f"{user} {' '.join(commands.of(order(action)).words)}"]
    else:
        assert answer.status == 403, answer.body
        assert len(site.done) == before


def order(action: str) -> Any:
    """Return an order of the table."""
    return ORDERS.decode(json.dumps({"action": action, **ORDERS_OF[action]}))


@pytest.mark.process
def test_a_right_on_one_host_is_none_on_another(site: Site) -> None:
    """Who administers one host would administer all."""
    assert site.order({"action": "off", "host": 1}, "operator").status == 403
    assert site.order({"action": "off", "host": 77}, "operator").status == 404
    assert site.order({"action": "off", "host": 77}).status == 404
    failed = site.result(site.order({"action": "off", "host": 1}))
    assert (failed["state"], failed["output"]) == ("failed", ["onext: refused"])


@pytest.mark.process
def test_a_receiver_orders_snapshots_of_its_own_sink_only(site: Site) -> None:
    """One receiver could have the state sent to another without end."""
    assert site.order({"action": "snapshot", "sink": "log"}, "alice").status == 403
    assert site.order({"action": "snapshot", "sink": "portal"}, "bob").status == 403
    assert site.order({"action": "snapshot", "sink": "--help"}).status == 400


@pytest.mark.process
def test_a_token_is_revoked_by_its_user_and_by_oneadmin(site: Site) -> None:
    """A user could not end a token that was lost, or could end those of others."""
    pair = KeyPair()
    site.sandbox.call("user.allocate", "dann1", keys.stored(pair.public_key), "biscuit", [])
    token = tokens.mint(pair.private_key, "dann1", NEVER)
    given = {"action": "revoke", "token": token.to_base64()}
    assert site.order(given, "alice").status == 403
    assert site.result(site.order(given))["state"] == "done"
    assert site.done[-1] == f"oneadmin biscuit revoke --id={token.revocation_ids[0]}"
    assert site.order({"action": "revoke", "token": "x" * 400}).status == 400
    assert token.to_base64() not in everything(site)


@pytest.mark.process
def test_the_same_key_is_the_same_order(site: Site) -> None:
    """A client that repeats a request after a broken connection would switch a host off twice."""
    before, key = len(site.done), {"Idempotency-Key": "a-1"}
    first = site.order({"action": "on", "host": 0}, "operator", key)
    again = site.order({"action": "on", "host": 0}, "operator", key)
    assert first.json["id"] == again.json["id"]
    assert site.order({"action": "off", "host": 0}, "operator", key).status == 422
    other = site.order({"action": "on", "host": 0}, "member", key)  # each user's keys are their own
    assert other.json["id"] != first.json["id"]
    site.result(first, "operator")
    site.result(other, "member")
    assert len(site.done) == before + 2
    assert site.gateway.get(first.headers["location"], site.cloud.session("alice")).status == 404
    assert site.order({"action": "on", "host": 0}, headers={"Idempotency-Key": "a b"}).status == 400


@pytest.mark.process
def test_a_user_has_a_bounded_number_of_orders_under_way(site: Site) -> None:
    """One user would use up the worker."""
    site.hold.touch()
    try:
        given = [site.order({"action": "on", "host": 0}, "operator") for _ in range(5)]
        assert [one.status for one in given] == [202] * 4 + [429]
        assert "retry-after" in given[-1].headers
    finally:
        site.hold.unlink()
    for one in given[:4]:
        site.result(one, "operator")


@pytest.mark.process
def test_another_sites_page_can_order_nothing(site: Site) -> None:
    """A page that an administrator visits would switch hosts off with the browser's credentials."""
    given = {"action": "on", "host": 0}
    assert site.order(given, headers={"Origin": "https://evil.example"}).status == 403
    assert site.order(given, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert site.order(given, headers={"Content-Type": "text/plain"}).status == 400
    cookie, csrf = log_in(site)
    answer = site.gateway.ask(
        "POST", "/v1/actions", None, {**JSON, "Cookie": cookie}, json.dumps(given).encode()
    )
    assert answer.status == 403
    with_token = {**JSON, "Cookie": cookie, "X-CSRF-Token": csrf}
    answer = site.gateway.ask("POST", "/v1/actions", None, with_token, json.dumps(given).encode())
    assert answer.status == 202


def log_in(site: Site) -> tuple[str, str]:
    """Log in on the page; return the cookie and the token of its forms."""
    import re
    import urllib.parse

    shown = site.gateway.get("/login", None)
    token = re.search(rb'name="csrf" value="([^"]+)"', shown.body)
    assert token is not None
    user, _, secret = site.sandbox.session.partition(":")
    body = urllib.parse.urlencode({"csrf": token[1].decode(), "user": user, "secret": secret}).encode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": shown.headers["set-cookie"].partition(";")[0],
    }
    entered = site.gateway.ask("POST", "/login", None, headers, body)
    cookie = next(
        part
        for part in entered.headers["set-cookie"].replace(",", ";").split(";")
        if "onext_session=" in part
    )
    page = site.gateway.get("/", None, {"Cookie": cookie.strip()})
    found = re.search(rb'name="csrf" value="([^"]+)"', page.body)
    assert found is not None
    return cookie.strip(), found[1].decode()


def everything(site: Site) -> str:
    """Return what the worker and the gateway wrote, and what the process list shows of them."""
    places = [
        site.sandbox.location / "var/onext",
        site.sandbox.location / "worker.log",
        site.sandbox.location / "bin",
    ]
    files = [
        file for one in places for file in ([one] if one.is_file() else one.rglob("*")) if file.is_file()
    ]
    texts = [file.read_bytes().decode(errors="replace") for file in files]
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                texts.append((process / name).read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join([site.gateway.output, *texts])


@pytest.mark.process
def test_the_credential_is_nowhere_but_in_memory(site: Site) -> None:
    """Who reads a log, a state file or the process list would have a password."""
    site.hold.touch()
    try:
        accepted = site.order({"action": "on", "host": 0}, "operator")
        refused = site.order({"action": "off", "host": 1}, "operator")
        assert (accepted.status, refused.status) == (202, 403)
        text = everything(site)
    finally:
        site.hold.unlink()
    site.result(accepted, "operator")
    secret = site.cloud.session("operator").partition(":")[2]
    assert secret not in text
    assert secret not in everything(site)
    assert "audit: on of host 0 by operator" in text


@pytest.mark.process
def test_an_order_is_not_repeated_after_the_worker_was_killed(site: Site) -> None:
    """A host would be switched off once more because a worker was restarted."""
    site.hold.touch()
    key = {"Idempotency-Key": "killed"}
    first = site.order({"action": "off", "host": 0}, "operator", key)
    before = len(site.done) or 1
    until(lambda: len(site.done) >= before, "the command")
    site.kill()
    down = site.order({"action": "off", "host": 0}, "operator", key)
    assert down.status == 503
    site.hold.unlink()
    site.start()
    count = len(site.done)
    again = site.order({"action": "off", "host": 0}, "operator", key)
    assert again.json["id"] == first.json["id"]
    assert site.result(again, "operator")["state"] == "interrupted"
    assert len(site.done) == count


@pytest.mark.process
@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"null", b'{"action": "reboot"}', b'{"action": "off"}', b'{"action": "off", "host": -1}',
        b'{"action": "off", "host": 2147483648}', b'{"action": "off", "host": "0"}', b'{"action": "off", "host": 0, "x": 1}',
        b'{"action": "off", "host": true}', b"[" * 60_000, b'{"action": "off", "host": 0}' * 2, b"\xff\xfe",
        b'{"action": "confirm", "host": 0, "incident": 1e400, "name": "a"}',
        b'{"action": "confirm", "host": 0, "incident": 1, "name": "a\\u0000b"}',
        b'{"action": "revoke", "token": "--now"}' + b" " * 70_000,
    ],
)  # fmt: skip
def test_what_is_no_order_is_refused(site: Site, body: bytes) -> None:
    """Something else than what was checked would be ordered."""
    before = len(site.done)
    answer = site.gateway.ask("POST", "/v1/actions", site.sandbox.session, JSON, body)
    assert answer.status in (400, 413), answer.body
    assert len(site.done) == before


@pytest.mark.process
def test_the_workers_socket_takes_anything(site: Site) -> None:
    """A process on the server could stop the worker's answers with half a request, or with thousands."""
    socket_file = place(Paths.self_contained(site.sandbox.location))
    for data in (b"", b"x", b"[" * 50_000, b"\x00" * 1000, b"{" * 200_000, b'{"credential": "a:b"}', b'{"credential": 1}',
                 b'{"credential": "a:b", "order": {"action": "off"}}', b'{"credential": "a:b", "result": "../x"}'):  # fmt: skip
        status, body = unix_service.ask(socket_file, data, seconds=10, largest=10_000)
        assert 400 <= status < 500, (data[:40], status)
        assert set(json.loads(body)) == {"error"}
    silent = []
    for _ in range(300):
        one = socket.socket(socket.AF_UNIX)
        with unix_service.address(socket_file) as name:
            one.connect(name)
        one.sendall(b'{"credential": "half')
        silent.append(one)
    for one in silent:
        one.close()
    assert site.result(site.order({"action": "on", "host": 0}))["state"] == "done"
    assert "Traceback" not in everything(site)


def test_only_the_gateways_user_is_served(tmp_path: Path) -> None:
    """Any account of the server could hand credentials to the worker, or try passwords there."""
    file = tmp_path / "a.sock"
    asked: list[int] = []

    def refuse(user: int) -> bool:
        asked.append(user)
        return False

    refusing = unix_service.UnixService(file, lambda data: (200, data), threads=1, largest=100, peers=refuse)
    try:
        status, body = unix_service.ask(file, b"x", seconds=10, largest=1000)
        assert (status, json.loads(body)) == (403, {"error": "this user may not send requests here"})
        assert asked[0] == os.geteuid()
        status, _ = unix_service.ask(file, b"x" * 4_000_000, seconds=10, largest=1000)  # more than it takes
        assert status == 403
    finally:
        refusing.close()
    packaged = Paths.packaged(tmp_path)
    assert not is_gateway(packaged, os.geteuid())  # the unit does not run
    (tmp_path / "run/onext-gateway").mkdir(parents=True)
    assert is_gateway(packaged, os.geteuid())
    assert not is_gateway(packaged, os.geteuid() + 1)
    assert is_gateway(Paths.self_contained(tmp_path), os.geteuid())
    assert not is_gateway(Paths.self_contained(tmp_path), os.geteuid() + 1)


def test_users_that_systemd_creates_reach_the_socket(tmp_path: Path) -> None:
    """With the umask of the worker's unit neither the gateway nor the edge endpoint could enter its folder."""
    before = os.umask(0o027)
    try:
        file = tmp_path / "gateway/actions.sock"
        unix_service.UnixService(file, lambda data: (200, data), threads=1, largest=100).close()
        service = unix_service.UnixService(file, lambda data: (200, data), threads=1, largest=100)
        assert file.parent.stat().st_mode & 0o777 == 0o755
        assert file.stat().st_mode & 0o777 == 0o666
        service.close()
    finally:
        os.umask(before)


def test_a_socket_in_a_deep_folder_is_served(tmp_path: Path) -> None:
    """A sandbox below a long TMPDIR would have no edge endpoint, and its gateway would take no orders."""
    file = tmp_path / ("deep" * 40) / "a.sock"
    try:
        service = unix_service.UnixService(file, lambda data: (200, data), threads=1, largest=100)
    except OSError as error:
        pytest.fail(str(error))
    assert unix_service.ask(file, b"x", seconds=10, largest=100) == (200, b"x")
    service.close()
    assert list(file.parent.iterdir()) == []


def test_a_request_that_comes_slowly_ends(tmp_path: Path) -> None:
    """A byte every few seconds would hold one of the worker's threads for days."""
    file = tmp_path / "slow.sock"
    service = unix_service.UnixService(file, lambda data: (200, data), threads=1, largest=100, arrives=0.3)
    try:
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(file))
            stop = threading.Event()

            def drip() -> None:
                while not stop.wait(0.05):
                    try:
                        slow.sendall(b"x")
                    except OSError:
                        return

            dripping = threading.Thread(target=drip)
            dripping.start()
            assert unix_service.ask(file, b"y", seconds=10, largest=100) == (200, b"y")
            stop.set()
            dripping.join()
        assert unix_service.ask(file, b"z" * 101, seconds=10, largest=100)[0] == 413
    finally:
        service.close()


@pytest.mark.process
def test_nothing_is_ordered_unless_it_is_enabled(site: Site) -> None:
    """An update of onext would open a way to switch hosts off."""
    with started(site.sandbox, "  requests: 10000\n") as gateway:
        other = Site(site.cloud, gateway, site.worker)
        for action, values in ORDERS_OF.items():
            answer = other.order({"action": action, **values})
            assert answer.status == 403
            assert "not enabled" in answer.json["detail"]
    context = Context(
        given=Settings(gateway=GatewaySettings(enabled=True)),
        paths=Paths.self_contained(site.sandbox.location / "x"),
    )
    part._listen(context)
    assert not place(context.paths).exists()


@pytest.mark.process
def test_a_server_that_follows_names_the_leaders_gateway(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of another server of the zone would get a refusal without a remedy, or act beside the leader."""
    servers = {1: "https://one-2:9928/"}
    chosen = GatewaySettings(enabled=True, actions=ACTIONS, servers=servers)
    access = OnedAccess(endpoint=site.sandbox.endpoint)
    context = Context(Paths.self_contained(site.sandbox.location), Settings(oned=access, gateway=chosen))
    here = desk.Desk(lambda: context, Ledger(tmp_path / "ledger"))
    given = {"credential": site.sandbox.session}
    order = json.dumps({**given, "order": {"action": "on", "host": 0}}).encode()
    site.sandbox.control("raft", 2, 7, False)
    try:
        status, body = here.answer(order)
        assert (status, b"does not lead" in body) == (
            503,
            True,
        )  # the zone of the sandbox has no other server
        monkeypatch.setattr(desk, "_leader", lambda _context: 1)
        assert here.answer(order) == (307, b"https://one-2:9928/v1/actions")
        number = "0" * 32
        asked = here.answer(json.dumps({**given, "result": number}).encode())
        assert asked == (307, f"https://one-2:9928/v1/actions/{number}".encode())
        refused = site.order({"action": "on", "host": 0})
        assert (refused.status, "does not lead" in refused.json["detail"]) == (503, True)
    finally:
        site.sandbox.control("raft", 0, 8, False)


def test_a_redirect_keeps_its_address() -> None:
    """A client would be sent to nowhere."""
    found = _refusal(307, b"https://one-2:9928/v1/actions")
    assert isinstance(found, Elsewhere)
    assert found.location == "https://one-2:9928/v1/actions"
    assert found.origin == "https://one-2:9928/"  # where the page leads to
    assert _refusal(500, b"x").status == 503
    assert _refusal(200, b"[]").status == 503


def test_every_action_has_a_command() -> None:
    """An action that is enabled would be a fault of the server."""
    assert set(ORDERS_OF) | {"revoke"} == set(KINDS)
    assert commands.of(Confirm(host=3, incident=7.25, name="--dry-run")).words == (
        ["ha", "confirm", "--name=--dry-run", "--incident=7.250", "3"]
    )


RULES = st.tuples(
    st.sampled_from([ALL, ONE | 3, ONE | 4, GROUP | 1, GROUP | 7]),
    st.builds(
        lambda kind, where: RESOURCES[kind] | where,
        st.sampled_from(["HOST", "VM", "CLUSTER"]),
        st.sampled_from([ALL, ONE | 5, ONE | 6, CLUSTER | 2, CLUSTER | 9, GROUP | 5]),
    ),
    st.sampled_from([1, 2, 3, 4, 6, 7, 8]),
    st.sampled_from([ALL, ONE | 0, ONE | 1]),
)


@dataclass
class Thing:
    """A host as the sandbox's rules see it."""

    id: int
    cluster: int
    uid: int = -1
    gid: int = -1
    rights: tuple[int, int, int] = (0, 0, 0)
    lock: None = None

    def clusters(self) -> list[int]:
        return [self.cluster]


@settings(max_examples=300)
@given(st.lists(RULES, max_size=6), st.sampled_from([2, 4]))
def test_rules_are_decided_as_the_sandbox_decides(
    given_rules: list[tuple[int, int, int, int]], right: int
) -> None:
    """A rule about VMs, another zone or another cluster would permit to locate a host."""
    access = Access()
    access.rules.clear()
    for rule in given_rules:
        access.add(*rule)
    who = Caller(3, 1, "u", "g", frozenset({1}))
    mine = acl.permits([acl.Rule(*rule) for rule in given_rules], right, acl.Who(3, {1}, 0), 5, 2)
    assert mine == access.allows(who, right, "HOST", Thing(5, 2))  # type: ignore[arg-type]
