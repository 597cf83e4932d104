"""What the worker records and does for each request, with records, hosts and a clock that the test plays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge import messages, overlay
from edge.errors import Refused as NodeRefused
from hooks.edge import draining, hub_list, office, requests, secrets
from hooks.edge.admission import ALLOCATING, NO_HOST, Refused
from hooks.edge.office import CLOCK, NotReady, Office, zone_of
from hooks.edge.records import Book, Node, Server, State, Token, Zone
from hooks.edge.secrets import Secrets
from onext import process
from onext import zone as servers
from onext.hosts import maintenance
from onext.oned.client import Raft, RaftState
from onext.oned.documents import Conflict, Stored
from onext.part import Busy, Context
from onext.paths import Paths
from onext.process import CommandError
from onext.settings.edge import Edge
from tests.edge.test_word import token
from tests.hooks.edge.front_end import Machine, wireguard_key

NOW = 1_700_000_000.0
WORD, HUB_KEY = token(), wireguard_key()
TOKEN = Token(100, "edge-*", NOW - 10, NOW + 10, 5)


class Records:
    """Documents of one kind, in memory."""

    def __init__(self, written: list[str]) -> None:
        self.found: dict[int, Stored[Any]] = {}
        self.written = written

    def all(self, _pool: object = None) -> dict[int, Stored[Any]]:
        return dict(self.found)

    def get(self, number: int) -> Stored[Any] | None:
        return self.found.get(number)

    def put(self, number: int, value: Any, version: int | None) -> Stored[Any]:
        before = self.found.get(number)
        assert version == (before.version if before else None), "another writer's record would be lost"
        self.found[number] = Stored(number, number, (version or 0) + 1, value)
        self.written.append(type(value).__name__)
        return self.found[number]


class Cloud:
    """A front-end: its records, keys, hosts and clock."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.paths, self.written, self.done = (
            Paths.self_contained(folder),
            list[str](),
            list[tuple[object, ...]](),
        )
        self.settings = Edge(enabled=True, endpoint="front.example:8443", hub="front.example:51820")
        self.raft = Raft(0, RaftState.LEADER, 3)
        self.stopped, self.now, self.hosts = False, NOW, {"kvm-1": 0}
        self.left: dict[int, str] | Exception = {}
        self.states = {7: "MONITORED"}
        self.records = [Records(self.written) for _ in range(4)]
        self.zones, self.servers, self.tokens, self.nodes = self.records
        self.kept = Secrets.of(self.paths)
        for name in (*secrets.ZONE, secrets.HUB):
            self.kept.create(name)
        public = self.kept.public
        self.zone = Zone(
            overlay.pool("fd00::/64"), public(secrets.TOKEN), public(secrets.ANSWER), public(secrets.USER_CA),
            public(secrets.HOST_CA),
        )  # fmt: skip
        self.zones.put(0, self.zone, None)
        self.servers.put(
            0, Server("front", "front.example:8443", "0" * 64, "hub.example:51820", HUB_KEY), None
        )
        self.tokens.put(8, TOKEN, None)
        self.oned = SimpleNamespace(
            raft=lambda: self.raft, document=lambda _: None,
            update_host=lambda number, values: self.done.append(("update", number, values)),
        )  # fmt: skip
        book = Book(cast("Any", self.oned), *cast("Any", self.records))
        patch.setattr(Book, "of", classmethod(lambda _cls, _oned: book))
        patch.setattr("hooks.edge.records.read", lambda _oned: None)
        patch.setattr(office, "Hosts", lambda _oned: self)
        patch.setattr(office, "verified", self._verified)
        patch.setattr(maintenance, "end", lambda _context, number: self.done.append(("end", number)))
        patch.setattr(draining, "let_go", lambda _context, number: self.done.append(("let go", number)))
        patch.setattr(servers, "servers", lambda *_: [SimpleNamespace(name="two", host="two.example")])
        self.office = Office(lambda: _context(self))
        self.office.draining = cast("Any", SimpleNamespace(step=self._step))
        self.asked: list[Mapping[str, object]] = []
        self.book = book

    def _verified(self, given: Mapping[str, object]) -> int:
        self.asked.append(given)
        return 8

    def _step(self, _context: object, number: int) -> dict[int, str]:
        self.done.append(("drain", number))
        if isinstance(self.left, Exception):
            raise self.left
        return self.left

    def names(self) -> dict[str, int]:
        return dict(self.hosts)

    def allocate(self, name: str, im_mad: str, vm_mad: str, cluster: int) -> int:
        self.done.append(("allocate", name, im_mad, vm_mad, cluster))
        self.hosts[name] = 7
        return 7

    def state(self, host: int) -> str:
        return self.states.get(host, "gone")

    def find(self, host: int) -> SimpleNamespace | None:
        return SimpleNamespace(vm_ids=(1, 2)) if host in self.states else None

    def remove(self, host: int) -> None:
        self.done.append(("remove", host))

    def disable(self, host: int) -> None:
        self.done.append(("disable", host))

    def node(self, number: int) -> Node:
        """Return a node's record."""
        value = self.nodes.found[number].value
        assert isinstance(value, Node)
        return value

    def change(self, number: int, **changes: Any) -> None:
        """Change a node's record."""
        stored = self.nodes.found[number]
        self.nodes.found[number] = replace(stored, value=replace(self.node(number), **changes))

    def answer(self, asked: messages.Asked) -> dict[str, Any]:
        """Return an answer as a node opens it."""
        return messages.opened(asked, self.zone.answer_key, self.office.handle(requests.read(asked.data)))

    def joined(self, machine: Machine, **changes: object) -> dict[str, Any]:
        """Let a machine join, and change its record."""
        got = self.answer(machine.join(WORD))
        machine.session = got["session"]
        if changes:
            self.change(max(self.nodes.found), **changes)
        self.done.clear()
        self.written.clear()
        return got


def _context(cloud: Cloud) -> Context:
    made = SimpleNamespace(
        settings=SimpleNamespace(edge=cloud.settings), paths=cloud.paths, oned=cloud.oned,
        stopped=lambda part: cloud.stopped and part == "edge", now=lambda: cloud.now,
    )  # fmt: skip
    return cast("Context", made)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Return a front-end on which `init` was run."""
    monkeypatch.setattr(messages, "time", SimpleNamespace(time=lambda: NOW))
    return Cloud(tmp_path, monkeypatch)


@pytest.mark.parametrize("what", ["disabled", "stopped", "follower", "not initialised"])
def test_a_server_that_cannot_answer_changes_nothing(cloud: Cloud, what: str) -> None:
    """Two servers would admit nodes at once, or one that an administrator stopped would go on."""
    if what == "disabled":
        cloud.settings = Edge(enabled=False)
    cloud.stopped = what == "stopped"
    if what == "follower":
        cloud.raft = Raft(0, RaftState.FOLLOWER, 3)
    if what == "not initialised":
        cloud.zones.found.clear()
    cloud.written.clear()
    with pytest.raises(NotReady):
        cloud.office.handle(requests.read(Machine("edge-1").join(WORD).data))
    assert (cloud.written, cloud.asked) == ([], [])
    cloud.zones.found[0] = Stored(0, 0, 1, None, "damaged")
    view = cloud.book.view()
    with pytest.raises(NotReady, match="damaged"):
        zone_of(view)


def test_a_join_uses_the_token_before_it_makes_the_node(cloud: Cloud) -> None:
    """A worker that is killed in between would let a second machine in with the token."""
    machine = Machine("edge-1")
    cloud.written.clear()
    got = cloud.answer(machine.join(WORD))
    assert cloud.written[:2] == ["Token", "Node"]
    assert cloud.asked[0]["key"] == cloud.zone.token_key
    assert (cloud.asked[0]["name"], cloud.asked[0]["node_key"]) == ("edge-1", machine.identity)
    assert (got["address"], got["host"], got["host_state"], got["days"]) == ("fd00::1:0", -1, "", 90)
    assert got["certificate"].startswith("ssh-ed25519-cert-v01@openssh.com ")
    assert got["time"] == NOW
    assert (cloud.node(0).token, cloud.node(0).session) == (8, got["session"])
    assert len(got["session"]) == 32
    cloud.written.clear()
    assert cloud.answer(machine.join(WORD))["session"] == got["session"]
    assert cloud.written == [], "the next attempt writes nothing"
    other = cloud.answer(Machine("edge-2").join(WORD))
    assert (other["address"], other["session"] != got["session"]) == ("fd00::1:1", True)
    assert cloud.done == [], "no host before the tunnel is up"


def test_a_node_whose_record_is_replaced(cloud: Cloud) -> None:
    """The write would be refused: the version is that of the record before."""
    cloud.joined(Machine("edge-1"), joined=NOW - 20, host=7)
    cloud.tokens.found[8] = replace(cloud.tokens.found[8], value=replace(TOKEN, pattern="edge-1"))
    got = cloud.answer(Machine("edge-1").join(WORD))
    assert (got["address"], got["host"], got["host_state"]) == ("fd00::1:0", 7, "MONITORED")


@pytest.mark.parametrize(
    ("stored", "reason"), [(None, "record is gone"), (Stored(8, 8, 1, None, "damaged"), "damaged")]
)
def test_a_token_without_its_record(cloud: Cloud, stored: Stored[Token] | None, reason: str) -> None:
    """A token whose record a person removed is worth nothing, whoever signed it."""
    cloud.tokens.found = {} if stored is None else {8: stored}
    with pytest.raises(NodeRefused, match=reason):
        cloud.answer(Machine("edge-1").join(WORD))


@pytest.mark.parametrize("name", ["front", "front.example", "hub.example", "two", "two.example"])
def test_names_of_front_ends_are_taken(cloud: Cloud, name: str) -> None:
    """The cluster's nodes would dial the liar for a hub."""
    cloud.tokens.found[8] = replace(cloud.tokens.found[8], value=replace(TOKEN, pattern="*"))
    with pytest.raises(NodeRefused, match="no node can be named"):
        cloud.answer(Machine(name).join(WORD))
    with pytest.raises(NodeRefused, match="did not join by a token"):
        cloud.answer(Machine("kvm-1").join(WORD))


def test_keys_of_front_ends_are_taken(cloud: Cloud) -> None:
    """Claimed and given up, oneadmin's key would be in all nodes' lists of revoked keys."""
    for key in (cloud.zone.user_ca, cloud.zone.host_ca, cloud.kept.public(secrets.USER)):
        with pytest.raises(NodeRefused, match="belongs to another node"):
            cloud.answer(Machine("edge-1").join(WORD, ssh_key=key))
    with pytest.raises(NodeRefused, match="belongs to another node"):
        cloud.answer(Machine("edge-1").join(WORD, wireguard=HUB_KEY))


def test_a_clock_that_is_off_is_noted(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """Certificates would be refused on the node without a plain reason."""
    caplog.set_level("INFO")
    for off, noted in ((300, False), (-300, False), (301, True), (-301, True)):
        caplog.clear()
        cloud.now = NOW - off
        cloud.tokens.found[8] = replace(
            cloud.tokens.found[8], value=replace(TOKEN, created=0.0, expires=2 * NOW, uses=9)
        )
        cloud.answer(Machine(f"edge-{off % 1000}").join(WORD))
        assert (f"its clock is off by {off} s" in caplog.text) == noted
    assert CLOCK == 300.0


def test_a_host_is_allocated_once(cloud: Cloud) -> None:
    """Two hosts of one node would both be scheduled."""
    machine = Machine("edge-1")
    cloud.joined(machine)
    cloud.settings = cloud.settings.model_copy(update={"im_mad": "kvm-probes", "vm_mad": "qemu"})
    got = cloud.answer(machine.ask("ready"))
    assert (got["host"], got["host_state"]) == (7, "MONITORED")
    assert cloud.done == [("allocate", "edge-1", "kvm-probes", "qemu", 100), ("update", 7, {"ONEXT_EDGE": 0})]
    assert cloud.written == ["Node", "Node"], "the intent before, the id after"
    assert (cloud.node(0).state, cloud.node(0).host) == (State.ACTIVE, 7)
    cloud.done.clear()
    cloud.written.clear()
    assert cloud.answer(machine.ask("ready"))["host"] == 7
    assert (cloud.done, cloud.written) == ([], [])


def test_the_intent_is_recorded_before_the_host_is_made(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed between both finds the host by its name, and takes no other one for it."""
    machine = Machine("edge-1")
    cloud.joined(machine)
    seen: list[int] = []

    def allocate(*_: object) -> int:
        seen.append(cloud.node(0).host)
        return 7

    monkeypatch.setattr(cloud, "allocate", allocate)
    cloud.answer(machine.ask("ready"))
    assert seen == [ALLOCATING]
    cloud.change(0, host=ALLOCATING, state=State.JOINING)
    cloud.hosts["edge-1"] = 12
    assert cloud.answer(machine.ask("ready"))["host"] == 12
    assert seen == [ALLOCATING], "the host that is there is its own"
    assert cloud.done[-1] == ("update", 12, {"ONEXT_EDGE": 0})


def test_a_host_that_somebody_made_meanwhile_is_not_taken_over(cloud: Cloud) -> None:
    """A hypervisor of the data centre with this name would become the node's."""
    machine = Machine("edge-1")
    cloud.joined(machine)
    cloud.hosts["edge-1"] = 12
    with pytest.raises(NodeRefused, match="did not join by a token"):
        cloud.answer(machine.ask("ready"))
    assert cloud.written == []


@pytest.mark.parametrize(
    ("host", "known", "allocated"), [(0, 0, False), (7, 7, False), (7, 8, True), (-1, 8, True)]
)
def test_a_host_that_is_gone_is_allocated_again(cloud: Cloud, host: int, known: int, allocated: bool) -> None:
    """A host that a person deleted would never come back; one that is there must not become two."""
    machine = Machine("edge-1")
    cloud.joined(machine, host=host, state=State.JOINING)
    cloud.hosts = {"other": known}
    cloud.answer(machine.ask("ready"))
    assert bool([one for one in cloud.done if one[0] == "allocate"]) == allocated
    assert cloud.node(0).state is State.ACTIVE


@pytest.mark.parametrize(("state", "reason"), [(State.LEFT, "is left"), (State.REVOKED, "is revoked")])
def test_who_left_is_told_nothing(cloud: Cloud, state: State, reason: str) -> None:
    """A stolen machine would learn of the cluster's nodes."""
    machine = Machine("edge-1")
    cloud.joined(machine, state=state)
    for action in ("sync", "ready"):
        with pytest.raises(NodeRefused, match=reason):
            cloud.answer(machine.ask(action))
    if state is State.LEFT:
        assert cloud.answer(machine.ask("leave"))["left"] is True, "the answer may have been lost"
    with pytest.raises(NodeRefused, match=reason):
        cloud.answer(machine.ask("leave", "0" * 32))
    with pytest.raises(NodeRefused, match="not known"):
        cloud.answer(Machine("edge-9").ask("sync", "s"))
    assert cloud.done == []


def test_requests_of_an_earlier_join_are_refused(cloud: Cloud) -> None:
    """Replayed months later, one would remove the node."""
    machine = Machine("edge-1")
    cloud.joined(machine)
    for action in ("sync", "ready", "leave"):
        with pytest.raises(NodeRefused, match="earlier join"):
            cloud.answer(machine.ask(action, "0" * 32))
    assert cloud.written == []


def leaving(cloud: Cloud, **changes: object) -> Machine:
    """Return a machine that has a host, and joined."""
    machine = Machine("edge-1")
    cloud.joined(machine, **{"host": 7, "state": State.ACTIVE, **changes})
    return machine


def test_a_host_is_emptied_before_its_node_leaves(cloud: Cloud) -> None:
    """A VM that runs on a machine which leaves would be lost with it."""
    machine = leaving(cloud)
    cloud.left = dict.fromkeys(range(60, 0, -1), "no room")
    got = cloud.answer(machine.ask("leave"))
    assert (got["left"], got["vms"], len(got["stays"])) == (False, 60, 50)
    assert got["stays"][:2] == ["VM 1: no room", "VM 2: no room"]
    assert cloud.node(0).state is State.LEAVING
    assert cloud.answer(machine.ask("leave"))["left"] is False
    assert (cloud.written, cloud.done) == (["Node"], [("drain", 7), ("drain", 7)])
    assert len(cloud_peers(cloud)) == 1, "its VMs need the tunnel"
    cloud.left = {}
    cloud.done.clear()
    assert cloud.answer(machine.ask("leave"))["left"] is True
    assert cloud.done == [("drain", 7), ("remove", 7), ("end", 7)]
    assert (cloud.node(0).state, cloud.node(0).host) == (State.LEFT, NO_HOST)
    assert cloud_peers(cloud) == []


def cloud_peers(cloud: Cloud) -> list[object]:
    """Return the peers in the hub's list."""
    found: list[object] = json.loads(hub_list.place(cloud.paths).read_text())["peers"]
    return found


@pytest.mark.parametrize(("gone", "vms"), [(False, 2), (True, 0)])
def test_a_host_that_another_part_holds_does_not_leave(cloud: Cloud, gone: bool, vms: int) -> None:
    """Its VMs would be moved and started elsewhere at once."""
    machine = leaving(cloud)
    cloud.left = Conflict("held by availability")
    if gone:
        cloud.states.clear()
    got = cloud.answer(machine.ask("leave"))
    assert (got["left"], got["vms"], got["stays"]) == (False, vms, ["held by availability"])
    assert ("remove", 7) not in cloud.done


@pytest.mark.parametrize("host", [NO_HOST, ALLOCATING])
def test_a_node_without_a_host_leaves_at_once(cloud: Cloud, host: int) -> None:
    """A join that was interrupted could not be undone."""
    machine = leaving(cloud, host=host, state=State.JOINING)
    assert cloud.answer(machine.ask("leave"))["left"] is True
    assert cloud.done == []
    zero = leaving_zero(cloud)
    assert cloud.answer(zero.ask("leave"))["left"] is True
    assert ("remove", 0) in cloud.done


def leaving_zero(cloud: Cloud) -> Machine:
    """Return a machine whose host has the number 0."""
    machine = Machine("edge-2")
    cloud.joined(machine, host=0, state=State.ACTIVE)
    return machine


def test_an_old_request_to_leave_is_refused(cloud: Cloud) -> None:
    """The endpoint may have kept it, and the node has changed its mind."""
    machine = leaving(cloud)
    for off, accepted in ((301, False), (-301, False), (300, True), (-300, True)):
        cloud.now = NOW + off
        if accepted:
            assert cloud.answer(machine.ask("leave"))["left"] is True
        else:
            with pytest.raises(NodeRefused, match="clock is off"):
                cloud.answer(machine.ask("leave"))


def test_a_certificate_is_recorded_once_an_hour(cloud: Cloud) -> None:
    """A node may ask as often as it likes: each time would be a write that all servers replicate."""
    machine = Machine("edge-1")
    cloud.joined(machine)
    asked = {"session": machine.session, "certificate": True}
    for later, written in ((3600.0, []), (3600.1, ["Node"]), (3600.2, [])):
        cloud.written.clear()
        cloud.now = NOW + later
        got = cloud.answer(messages.Asked(machine.secret, "sync", asked))
        assert got["certificate"].startswith("ssh-ed25519-cert")
        assert cloud.written == written
    cloud.change(0, host=0)
    cloud.states[0] = "MONITORED"
    assert cloud.answer(machine.ask("sync"))["host_state"] == "MONITORED", "host 0 is one like any other"


def test_what_nodes_state_of_their_network_is_for_their_neighbours(cloud: Cloud) -> None:
    """Behind one NAT the public address leads nowhere."""
    one, two = Machine("edge-1"), Machine("edge-2")
    for machine in (one, two):
        cloud.joined(machine)
    file = cloud.paths.run / "edge/endpoints.json"
    file.write_text(json.dumps({machine.wireguard: "203.0.113.1:5000" for machine in (one, two)}))
    here = messages.Asked(one.secret, "sync", {"session": one.session, "here": ["192.168.1.7:4000"]})
    assert "certificate" not in cloud.answer(here)
    got = cloud.answer(two.ask("sync"))
    assert [peer["endpoint"] for peer in got["peers"]] == ["192.168.1.7:4000"]
    assert got["node_ports"] == [[22, 22], [16509, 16509], [16514, 16514], [49152, 49215]]
    cloud.settings = cloud.settings.model_copy(update={"direct": False})
    assert "peers" not in cloud.answer(two.ask("sync"))


def test_revoking_cuts_off_first(cloud: Cloud) -> None:
    """A stolen machine must lose its tunnel at once; its host is closed afterwards."""
    leaving(cloud)
    context = cloud.office.context()
    office.revoke(context, cloud.book, 0)
    assert (cloud.node(0).state, cloud_peers(cloud)) == (State.REVOKED, [])
    assert cloud.done == [("disable", 7), ("let go", 7)]
    cloud.written.clear()
    office.revoke(context, cloud.book, 0)
    assert cloud.written == [], "it may be repeated"
    with pytest.raises(Refused, match="no node 5"):
        office.revoke(context, cloud.book, 5)
    cloud.nodes.found[5] = Stored(5, 5, 1, None, "damaged")
    with pytest.raises(Refused, match="damaged"):
        office.revoke(context, cloud.book, 5)


@pytest.mark.parametrize(("host", "done"), [(NO_HOST, []), (0, [("disable", 0), ("let go", 0)])])
def test_revoking_a_node_with_or_without_a_host(cloud: Cloud, host: int, done: list[object]) -> None:
    """Host 0 is a valid host; an invalid id causes no call to oned."""
    leaving(cloud, host=host)
    office.revoke(cloud.office.context(), cloud.book, 0)
    assert cloud.done == done


@pytest.mark.parametrize(
    ("host", "state", "there", "kept"),
    [
        (7, State.REVOKED, True, 7), (7, State.REVOKED, False, NO_HOST), (0, State.REVOKED, False, NO_HOST),
        (ALLOCATING, State.REVOKED, False, ALLOCATING), (7, State.ACTIVE, False, 7),
    ],
)  # fmt: skip
def test_a_revoked_node_whose_host_is_gone_lets_its_name_go(
    cloud: Cloud, host: int, state: State, there: bool, kept: int
) -> None:
    """Another machine may have the name by now: oneadmin could not log in to it."""
    leaving(cloud, host=host, state=state)
    cloud.hosts = {"edge-1": host} if there else {"other": 99}
    office.let_names_go(cloud.office.context(), cloud.book, cloud.book.view())
    assert cloud.node(0).host == kept
    assert len(cloud.written) == (kept != host), "nothing is written for nothing"


def test_a_server_without_a_hub_writes_no_list(cloud: Cloud) -> None:
    """A process that has none would be told to make an interface."""
    cloud.kept.file(secrets.HUB).unlink()
    cloud.joined(Machine("edge-1"))
    assert not hub_list.place(cloud.paths).exists()


@pytest.mark.parametrize("problem", [Conflict("another was faster"), Busy("another process")])
def test_another_writer_is_waited_for(
    cloud: Cloud, problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node would give up where a second of patience is enough."""

    def fails(*_: object) -> None:
        raise problem

    monkeypatch.setattr(Records, "put", fails)
    with pytest.raises(NotReady, match="try again: another"):
        cloud.office.handle(requests.read(Machine("edge-1").join(WORD).data))


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (b'{"id": 7}', 7),
        (b'{"id": 0}', 0),
        (b'{"refused": "no"}', "no"),
        (b"", "too long"),
        (b"{", "too long"),
    ],
)
def test_what_the_process_that_verifies_answers(
    output: bytes, result: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that ends the process would be accepted as record 0, or end the worker."""
    ran: list[tuple[object, ...]] = []

    def run(words: list[str], *, timeout: float, input: bytes, max_output: int) -> SimpleNamespace:  # noqa: A002
        ran.append((words[1], json.loads(input), timeout, max_output))
        if not output:
            raise CommandError("verify", "killed", -9, b"")
        return SimpleNamespace(stdout=output)

    monkeypatch.setattr(process, "run", run)
    if isinstance(result, int):
        assert office.verified({"token": "x"}) == result
    else:
        with pytest.raises(Refused, match=result):
            office.verified({"token": "x"})
    assert ran == [("-I", {"token": "x"}, 20.0, 4096)]
