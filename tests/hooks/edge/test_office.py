"""The worker's answers to nodes, honest and lying, in a sandbox; requests are those of the node program."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
from dataclasses import replace
from typing import Any

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, KeyPair, PublicKey

from edge import messages, narrowing, word
from edge.errors import Refused, WrongServer
from hooks.availability import round_records
from hooks.edge import hub_plan, part, requests
from hooks.edge.minting import word as minted
from hooks.edge.office import NotReady, Office
from hooks.edge.records import ZONE, Book, Server, Token, Zone, host_name
from hooks.edge.secrets import USER, Secrets
from onext.hosts import holding
from onext.hosts.claims import HOST_RECORDS
from onext.hosts.model import Claim, Phase
from onext.oned import documents
from onext.oned.client import Oned
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from tests.hooks.edge.front_end import FrontEnd, Machine, ssh_key, wireguard_key

pytestmark = pytest.mark.process


def test_a_node_joins_becomes_a_host_and_leaves(front_end: FrontEnd, key: str) -> None:
    """The promise of the part: no person touches the front-end."""
    machine = Machine("edge-1")
    got = front_end.join(machine, front_end.token("--name", "edge-*"))
    assert (got["name"], got["address"], got["host"]) == ("edge-1", "fd0e:d6e0:1::1:0", -1)
    assert got["hosts"] == [["fd0e:d6e0:1::1:0", "edge-1"]]
    assert front_end.hub()["peers"] == [
        {"key": machine.wireguard, "address": "fd0e:d6e0:1::1:0", "cluster": front_end.clusters[0]}
    ]
    ready = front_end.answer(machine.ask("ready"), key)
    assert front_end.answer(machine.ask("ready"), key)["host"] == ready["host"]
    assert front_end.context.oned.host(ready["host"]).cluster_id == front_end.clusters[0]
    front_end.sandbox.until(lambda: front_end.answer(machine.ask("sync"), key)["host_state"] == "MONITORED")
    assert front_end.answer(machine.ask("leave"), key)["left"] is True
    assert front_end.hub()["peers"] == []
    assert "edge-1" not in {host.name for host in front_end.context.oned.hosts()}
    assert front_end.answer(machine.ask("leave"), key)["left"] is True, "the answer may have been lost"
    with pytest.raises(Refused, match="this node is left"):
        front_end.answer(machine.ask("sync"), key)


def test_a_machine_that_left_joins_again_with_its_host_key(front_end: FrontEnd, key: str) -> None:
    """Whoever took a node out for a week had to make a new ssh host key, and was not told how."""
    machine = Machine("edge-1")
    front_end.join(machine, front_end.token())
    assert front_end.answer(machine.ask("leave"), key)["left"] is True
    assert machine.ssh in (front_end.bundle.var / "edge/revoked_keys").read_text()
    with pytest.raises(Refused, match="ssh-keygen -A"):
        front_end.join(Machine("edge-2", ssh=machine.ssh), front_end.token())
    again = Machine("edge-1", ssh=machine.ssh)
    assert front_end.join(again, front_end.token())["revoked"] == []
    assert machine.ssh not in (front_end.bundle.var / "edge/revoked_keys").read_text()
    front_end.onext("revoke", "edge-1")
    with pytest.raises(Refused, match="ssh-keygen -A"):
        front_end.join(Machine("edge-1", ssh=machine.ssh), front_end.token())


def test_a_machine_that_left_by_force_joins_again_with_a_token_for_its_name(front_end: FrontEnd) -> None:
    """Its front-end was unreachable, and still has the node."""
    before = Machine("edge-1")
    front_end.join(before, front_end.token())
    with pytest.raises(Refused, match="use a token made for it now"):
        front_end.join(Machine("edge-1", ssh=before.ssh), front_end.token())
    time.sleep(1.1)  # tokens are stamped with whole seconds
    got = front_end.join(Machine("edge-1", ssh=before.ssh), front_end.token("--name", "edge-1"))
    assert got["revoked"] == []


def test_a_token_for_another_cluster_does_not_move_a_node(front_end: FrontEnd) -> None:
    """It was admitted where it was, and its administrator believed that it had moved."""
    machine = Machine("edge-1")
    front_end.join(machine, front_end.token())
    with pytest.raises(Refused, match="leave first"):
        front_end.join(machine, front_end.token("--cluster", str(front_end.clusters[1])))


def test_a_renewal_is_recorded_once_an_hour(front_end: FrontEnd, key: str) -> None:
    """Renewals are events; a node that asks all the time must not fill oned's database and the outbox."""
    machine, book = Machine("edge-1"), Book.of(front_end.context.oned)
    front_end.join(machine, front_end.token())
    joined = book.nodes.all()[0]

    def renew(after: float) -> Any:
        later = time.time() + after
        front_end.office = Office(lambda: replace(front_end.context, now=lambda: later))
        asked = messages.Asked(machine.secret, "sync", {"session": machine.session, "certificate": True})
        assert front_end.answer(asked, key)["certificate"]
        return book.nodes.all()[0]

    assert joined.value is not None
    assert joined.value.certified == pytest.approx(time.time(), abs=600)
    assert renew(1800) == joined
    first = renew(4000)
    assert first.value.certified == pytest.approx(joined.value.certified + 4000, abs=600)
    assert renew(4100) == first
    published = json.loads((front_end.bundle.var / "state/published/edge.json").read_text())
    assert published["nodes"]["0"]["certified"] == int(first.value.certified)


def test_a_host_key_that_a_machine_does_not_have(front_end: FrontEnd) -> None:
    """A holder of a token could state the host key of a machine that joins later, which was refused then."""
    honest, liar, token = Machine("edge-2"), Machine("edge-1"), front_end.token("--uses", "2", "--name", "*")
    foreign = honest.join(token)
    proof = json.loads(base64.b64decode(json.loads(foreign.data)["body"]))["proof"]
    for changes in ({"proof": proof}, {"proof": ""}, {"proof": 7}, {"proof": "x" * 128}, {"proof": None}):
        with pytest.raises(Refused, match="does not prove that the ssh host key is its own"):
            front_end.join(liar, token, ssh_key=honest.ssh, **changes)
    assert front_end.listed() == {}
    assert '"used": 0' in front_end.onext("list", "--tokens", "--json"), "the token is not spent"
    assert front_end.join(honest, token)["name"] == "edge-2"


@pytest.fixture
def small(bare: FrontEnd) -> FrontEnd:
    """Return a front-end with the smallest IPv4 pool."""
    bare.onext("init", "--pool", "192.168.77.0/24")
    return bare


def test_an_overlay_with_ipv4_addresses(small: FrontEnd) -> None:
    """Sites whose programs or rules know IPv4 only."""
    machine = Machine("edge-1")
    got = small.join(machine, small.token())
    assert (got["address"], got["pool"]) == ("192.168.77.16", "192.168.77.0/24")
    assert got["hubs"][0]["address"] == "192.168.77.1"
    assert small.hub()["address"] == "192.168.77.1"
    assert [peer["address"] for peer in small.hub()["peers"]] == ["192.168.77.16"]
    config = (small.bundle.var / "edge/ssh_config").read_text()
    assert "HostName 192.168.77.16" in config
    rules = hub_plan.firewall(hub_plan.read(small.hub()))
    subprocess.run(["unshare", "-n", "nft", "-c", "-f", "-"], input=rules.encode(), check=os.geteuid() == 0)


def test_a_pool_that_is_used_up_refuses_new_nodes_only(small: FrontEnd) -> None:
    """An address that is given twice belongs to two nodes."""
    book = Book.of(small.context.oned)
    token = small.token("--uses", "3", "--name", "*")
    first = Machine("edge-1")
    small.join(first, token)
    stored = book.nodes.all()[0]
    assert stored.value is not None
    last = replace(stored.value, name="last", identity="a" * 64, wireguard=wireguard_key(), ssh_key=ssh_key())
    book.nodes.put(238, last, None)
    with pytest.raises(Refused, match="the address pool is used up: all 239 addresses"):
        small.join(Machine("edge-2"), token)
    assert small.join(first, token)["address"] == "192.168.77.16"
    assert {row["address"] for row in small.listed().values()} == {"192.168.77.16", "192.168.77.254"}


def test_a_record_beyond_the_pool_stops_no_other_node(small: FrontEnd) -> None:
    """One document that a person wrote by hand would keep all nodes' changes from the hub."""
    book = Book.of(small.context.oned)
    first = Machine("edge-1")
    token = small.token("--uses", "3", "--name", "*")
    small.join(first, token)
    stored, server = book.nodes.all()[0], book.servers.all()[0]
    assert stored.value is not None
    assert server.value is not None
    book.nodes.put(5000, replace(stored.value, name="far", identity="b" * 64), None)
    book.servers.put(99, replace(server.value, name="far"), None)
    second = Machine("edge-2")
    assert small.join(second, token)["address"] == "192.168.77.17"
    assert len(small.hub()["peers"]) == 2
    listed = {row["id"]: row for row in json.loads(small.onext("list", "--json"))}
    assert "no address for number 5000" in listed[5000]["problem"]
    assert any("number 5000" in check.message for check in part.checks(small.context))


def test_a_host_with_vms_is_drained_before_it_goes(front_end: FrontEnd, key: str) -> None:
    """A VM that runs on a machine which leaves would be lost with it."""
    machine = Machine("edge-1")
    front_end.join(machine, front_end.token())
    host = front_end.answer(machine.ask("ready"), key)["host"]
    front_end.sandbox.until(lambda: front_end.answer(machine.ask("sync"), key)["host_state"] == "MONITORED")
    vm = front_end.sandbox.call("vm.allocate", "CPU=0.1 MEMORY=16", True)
    front_end.sandbox.call("vm.deploy", vm, host)
    front_end.sandbox.until(lambda: front_end.context.oned.host(host).vm_ids == (vm,))
    got = front_end.answer(machine.ask("leave"), key)
    assert (got["left"], got["vms"]) == (False, 1)
    assert front_end.context.oned.host(host).state.name == "DISABLED"
    front_end.sandbox.until(lambda: front_end.context.oned.vm(vm).running)
    front_end.sandbox.call("vm.action", "terminate-hard", vm)
    front_end.sandbox.until(lambda: front_end.answer(machine.ask("leave"), key)["left"])


def leaving(front_end: FrontEnd, key: str, machine: Machine) -> tuple[int, int]:
    """Let a node join, run a VM on it that can move nowhere, and begin to leave; return host and VM."""
    front_end.join(machine, front_end.token())
    host = front_end.answer(machine.ask("ready"), key)["host"]
    oned, sandbox = front_end.context.oned, front_end.sandbox
    sandbox.until(lambda: oned.host(host).state.name == "MONITORED")
    vm = sandbox.call("vm.allocate", "CPU=0.1 MEMORY=16", True)
    sandbox.call("vm.deploy", vm, host)
    sandbox.until(lambda: oned.vm(vm).running)
    assert front_end.answer(machine.ask("leave"), key)["left"] is False
    return host, vm


def test_a_host_that_leaves_is_in_maintenance_until_it_has_left(front_end: FrontEnd, key: str) -> None:
    """Its silence would count as a failure: it would be fenced, and its VMs started elsewhere, while it drains."""
    machine = Machine("edge-1")
    host, vm = leaving(front_end, key, machine)
    kept = round_records.records(front_end.context)
    assert host in kept.maintenance
    known = kept.hosts[host].value
    assert known is not None
    assert known.claim is not None, "power leaves it alone too"
    front_end.sandbox.call("vm.action", "terminate-hard", vm)
    front_end.sandbox.until(lambda: front_end.answer(machine.ask("leave"), key)["left"])
    assert host not in round_records.records(front_end.context).maintenance


def test_a_host_that_availability_works_on_does_not_leave_yet(front_end: FrontEnd, key: str) -> None:
    """Its VMs would be moved and started elsewhere at once, or run on beyond the cloud's reach."""
    machine = Machine("edge-1")
    front_end.join(machine, front_end.token())
    host = front_end.answer(machine.ask("ready"), key)["host"]
    records = Documents(front_end.context.oned, HOST_RECORDS)
    holding.hold(
        records, host, "edge-1", Claim(Phase.HELD, 1.0, -1, 0, reason="silent", holder="availability")
    )
    got = front_end.answer(machine.ask("leave"), key)
    assert (got["left"], got["vms"]) == (False, 0)
    assert "held by availability" in got["stays"][0]
    assert front_end.context.oned.host(host).state.name != "DISABLED"
    holding.let_go(records, host, "availability")
    assert front_end.answer(machine.ask("leave"), key)["left"]


def test_a_node_that_is_revoked_while_it_leaves_counts_as_failed(front_end: FrontEnd, key: str) -> None:
    """It never finishes leaving: its VMs would stay locked on a machine that may be gone."""
    host, _ = leaving(front_end, key, Machine("edge-1"))
    front_end.onext("revoke", "edge-1")
    assert host not in round_records.records(front_end.context).maintenance


def test_the_vms_of_a_node_that_leaves_move_to_others(front_end: FrontEnd, key: str) -> None:
    """OpenNebula's scheduler moves one at any time, and reports no reason when it does not."""
    one, two = Machine("edge-1"), Machine("edge-2")
    token, hosts = front_end.token("--uses", "2"), []
    for machine in (one, two):
        front_end.join(machine, token)
        hosts.append(front_end.answer(machine.ask("ready"), key)["host"])
    oned, sandbox = front_end.context.oned, front_end.sandbox
    sandbox.until(lambda: all(oned.host(host).state.name == "MONITORED" for host in hosts))
    vm = sandbox.call("vm.allocate", 'NAME="shop"\nCPU=0.1\nMEMORY=16', True)
    sandbox.call("vm.deploy", vm, hosts[0])
    sandbox.until(lambda: oned.vm(vm).running)
    sandbox.until(lambda: front_end.answer(one.ask("leave"), key)["left"])
    assert oned.vm(vm).host_id == hosts[1]
    got = front_end.answer(two.ask("leave"), key)
    assert (got["left"], got["vms"]) == (False, 1)
    (why,) = got["stays"]
    assert why.startswith(f"VM {vm}: "), "the person at the node reads what to do"


def test_an_interrupted_join_is_completed_by_the_next_attempt(
    front_end: FrontEnd, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed anywhere must leave neither two hosts nor a token that is used up."""
    real, left = Oned.call, [10**9]

    def call(self: Oned, method: str, *arguments: object) -> Any:
        if left[0] <= 0:
            raise OnedError("killed")
        answered = real(self, method, *arguments)
        left[0] -= method.endswith((".allocate", ".update", ".lock", ".unlock", ".chmod"))
        if left[0] <= 0:
            raise OnedError("killed")
        return answered

    monkeypatch.setattr(Oned, "call", call)
    monkeypatch.setattr(documents, "STALE_LOCK", -1.0)  # a minute otherwise
    for step in range(1, 40):
        token, machine = front_end.token("--name", f"edge-{step}"), Machine(f"edge-{step}")
        left[0] = step
        with contextlib.suppress(OnedError, NotReady):
            front_end.join(machine, token)
            front_end.answer(machine.ask("ready"), key)
        ended, left[0] = left[0] > 0, 10**9
        front_end.join(machine, token)
        ready = front_end.answer(machine.ask("ready"), key)
        assert [h.id for h in front_end.context.oned.hosts() if h.name == machine.name] == [ready["host"]]
        row = json.loads(front_end.onext("list", "--tokens", "--json"))[-1]
        assert (row["used"], row["state"]) == (1, "used up")
        assert len(front_end.listed()) == step
        if ended:
            break
    assert 10 <= step < 39, "every write of a join was the last one once"


class TestTokens:
    """Tokens that must not let anybody in."""

    def test_a_used_token_lets_no_second_machine_in(self, front_end: FrontEnd) -> None:
        """A token in a mail or a log would be an open door."""
        token = front_end.token()
        front_end.join(Machine("edge-1"), token)
        with pytest.raises(Refused, match="used 1 of 1"):
            front_end.join(Machine("edge-2"), token)
        assert set(front_end.listed()) == {"edge-1"}

    def test_what_is_sent_is_worth_nothing_on_another_machine(self, front_end: FrontEnd) -> None:
        """Whoever reads a request at the endpoint must not be able to join with its token."""
        token = front_end.token("--uses", "5")
        victim, thief = Machine("edge-1"), Machine("edge-2")
        body = json.loads(base64.b64decode(json.loads(victim.join(token).data)["body"]))
        with pytest.raises(Refused, match="restriction"):
            front_end.join(thief, token, token=body["token"])
        assert front_end.listed() == {}

    def test_expired_and_revoked_tokens(self, front_end: FrontEnd) -> None:
        """A token is for an hour, and for less when a person regrets it."""
        token = front_end.token("--uses", "5")
        number = json.loads(front_end.onext("list", "--tokens", "--json"))[-1]["id"]
        assert "would revoke token" in front_end.onext("revoke", "--token", str(number), "--dry-run")
        front_end.join(Machine("edge-1"), token)
        front_end.onext("revoke", "--token", str(number))
        with pytest.raises(Refused, match="revoked"):
            front_end.join(Machine("edge-2"), token)
        book = Book.of(front_end.context.oned)
        zone, kept = book.zones.all()[0].value, Secrets.of(front_end.paths)
        assert zone is not None
        old = minted(kept, zone, [_server()], number, Token(100, "*", 0, 1000, 5))
        with pytest.raises(Refused, match="expired"):
            front_end.join(Machine("edge-3"), old)

    def test_a_foreign_token(self, front_end: FrontEnd) -> None:
        """Another zone's administrator must not add nodes to this one."""
        built = BiscuitBuilder("edge_token(1); edge_cluster(100)").build(KeyPair().private_key)
        text = narrowing.bind(built.to_base64(), "node_key", "x")
        with pytest.raises(Refused, match="not signed by this zone"):
            front_end.join(Machine("edge-1"), front_end.token(), token=text)

    def test_a_narrowed_token_obeys_its_holder(self, front_end: FrontEnd) -> None:
        """An installer who hands a token on for one name must be able to rely on it."""
        token = front_end.token("--name", "edge-*", "--uses", "9")
        prefix, _, biscuit = token.rpartition(":")
        public = PublicKey(f"ed25519/{_zone(front_end).token_key}")
        narrow = Biscuit.from_base64(biscuit, public).append(
            BlockBuilder(f'check if name("edge-7"), cluster({front_end.clusters[0]})')
        )
        narrowed = f"{prefix}:{narrow.to_base64()}"
        with pytest.raises(Refused, match="restriction"):
            front_end.join(Machine("edge-1"), narrowed)
        assert front_end.join(Machine("edge-7"), narrowed)["name"] == "edge-7"
        twice = word.narrowed(word.narrowed(token, "edge-8"), "edge-8")
        with pytest.raises(Refused, match="restriction"):
            front_end.join(Machine("edge-1"), twice)
        assert front_end.join(Machine("edge-8"), twice)["name"] == "edge-8"

    def test_a_block_cannot_widen_a_token(self, front_end: FrontEnd) -> None:
        """A holder could otherwise turn his token into any other."""
        front_end.token("--name", "other")
        token = front_end.token("--name", "edge-1")
        prefix, _, biscuit = token.rpartition(":")
        public = PublicKey(f"ed25519/{_zone(front_end).token_key}")
        wide = Biscuit.from_base64(biscuit, public).append(
            BlockBuilder('edge_token(1); name("edge-1"); node_key("x"); time(2020-01-01T00:00:00Z)')
        )
        with pytest.raises(Refused, match="edge-1"):
            front_end.join(Machine("other"), f"{prefix}:{wide.to_base64()}")

    def test_a_token_that_computes_for_minutes(self, front_end: FrontEnd) -> None:
        """Any holder can append such a block: the worker would stand still."""
        token = front_end.token()
        prefix, _, biscuit = token.rpartition(":")
        public = PublicKey(f"ed25519/{_zone(front_end).token_key}")
        facts = ";".join(f"n({number})" for number in range(60))
        slow = "check if n($a), n($b), n($c), n($d), n($e), n($f), $a + $b + $c + $d + $e + $f < 0"
        heavy = Biscuit.from_base64(biscuit, public).append(BlockBuilder(f"{facts};{slow}"))
        with pytest.raises(Refused, match=r"too long|restriction|cannot be evaluated"):
            front_end.join(Machine("edge-1"), f"{prefix}:{heavy.to_base64()}")


class TestLiars:
    """A node that is allowed to join, and states what is not so."""

    def test_two_nodes_with_one_name(self, front_end: FrontEnd, key: str) -> None:
        """The second would receive the first one's migrations."""
        token = front_end.token("--uses", "5", "--name", "edge-*")
        first = Machine("edge-1")
        front_end.join(first, token)
        with pytest.raises(Refused, match="is there already"):
            front_end.join(Machine("edge-1"), token)
        with pytest.raises(Refused, match="is there already"):
            front_end.join(Machine("EDGE-1"), token)
        assert front_end.answer(first.ask("ready"), key)["host"] >= 0

    def test_a_reinstalled_node_keeps_its_host_and_its_old_key_is_revoked(
        self, front_end: FrontEnd, key: str
    ) -> None:
        """Its VMs and its history belong to the host's id."""
        old, new = Machine("edge-1"), Machine("edge-1")
        front_end.join(old, front_end.token("--name", "edge-1"))
        host = front_end.answer(old.ask("ready"), key)["host"]
        time.sleep(1.1)  # tokens are stamped with whole seconds
        got = front_end.join(new, front_end.token("--name", "edge-1"))
        assert got["host"] == host
        assert front_end.answer(new.ask("ready"), key)["host"] == host
        assert old.ssh in got["revoked"]
        assert got["revoked_hosts"] == [["edge-1", old.ssh]]
        assert [peer["key"] for peer in front_end.hub()["peers"]] == [new.wireguard]
        with pytest.raises(Refused, match="not known"):
            front_end.answer(old.ask("sync"), key)

    def test_a_name_that_is_a_host_of_another_kind(self, front_end: FrontEnd) -> None:
        """A node must not take over a hypervisor of the data centre by its name."""
        present = front_end.context.oned.hosts()[0].name
        with pytest.raises(Refused, match="did not join by a token"):
            front_end.join(Machine(present), front_end.token())

    @pytest.mark.parametrize("key", ["A" * 68, "AAAAC3NzaC1lZDI1NTE5AAAAI" + "Q" + "A" * 42])
    def test_an_ssh_key_that_is_none(self, front_end: FrontEnd, key: str) -> None:
        """In a list of revoked keys it makes sshd refuse everybody: one revocation locked oneadmin out."""
        with pytest.raises(requests.Invalid, match="ssh_key has not the expected form"):
            front_end.join(Machine("edge-1"), front_end.token(), ssh_key=f"ssh-ed25519 {key}")
        assert front_end.listed() == {}

    @pytest.mark.parametrize("field", ["wireguard", "ssh_key"])
    def test_another_ones_keys(self, front_end: FrontEnd, field: str) -> None:
        """A peer of WireGuard is its key: the first node would be cut off."""
        token = front_end.token("--uses", "5")
        first, second = Machine("edge-1"), Machine("edge-2")
        front_end.join(first, token)
        stolen = first.wireguard if field == "wireguard" else first.ssh
        with pytest.raises(Refused, match="belongs to another node"):
            front_end.join(second, token, **{field: stolen})

    def test_the_key_with_which_oneadmin_logs_in(self, front_end: FrontEnd) -> None:
        """Every node knows it; claimed and given up, it would be in all nodes' lists of revoked keys."""
        with pytest.raises(Refused, match="belongs to another node"):
            front_end.join(
                Machine("edge-1"), front_end.token(), ssh_key=Secrets.of(front_end.paths).public(USER)
            )

    def test_the_authority_that_was_replaced(self, front_end: FrontEnd) -> None:
        """Revoked with the node, it would make all nodes strangers to oneadmin without a new certificate."""
        book, former = Book.of(front_end.context.oned), ssh_key()
        stored = book.zones.all()[ZONE]
        assert stored.value is not None
        book.zones.put(ZONE, replace(stored.value, former_host_ca=former), stored.version)
        with pytest.raises(Refused, match="belongs to another node"):
            front_end.join(Machine("edge-1"), front_end.token(), ssh_key=former)

    @pytest.mark.parametrize(
        "name",
        [
            "localhost",
            "localhost.localdomain",
            "ip6-loopback",
            "a.localhost",
            "FRONT.example",
            os.uname().nodename,
        ],
    )
    def test_a_name_of_a_front_end_or_of_every_machine(self, front_end: FrontEnd, name: str) -> None:
        """The cluster's nodes would dial the liar for a hub, and oneadmin's ssh would log in to it."""
        with pytest.raises(Refused, match="no node can be named"):
            front_end.join(Machine(name), front_end.token())

    def test_a_name_that_programs_take_for_an_address(self) -> None:
        """A migration to 0x7f000001 goes to the host that sends it."""
        with pytest.raises(ValueError, match="looks like an address"):
            host_name("0x7f000001")

    def test_addresses_are_given_and_not_taken(self, front_end: FrontEnd) -> None:
        """A node that names its own address or cluster would be its neighbour's."""
        got = front_end.join(
            Machine("edge-1"), front_end.token(), address="fd0e:d6e0:1::1", cluster=101, allowed_ips="::/0"
        )
        assert (got["address"], got["cluster"]) == ("fd0e:d6e0:1::1:0", front_end.clusters[0])


class TestEndpointUnderAnAttackersControl:
    """It passes requests and answers on, and can forge neither."""

    def test_an_altered_or_older_answer(self, front_end: FrontEnd, key: str) -> None:
        """An authority of the attacker's in an answer would be root on the node."""
        machine = Machine("edge-1")
        first = machine.join(front_end.token())
        genuine = front_end.office.handle(requests.read(first.data))
        machine.session = messages.opened(first, key, genuine)["session"]
        envelope = json.loads(genuine)
        body = json.loads(base64.b64decode(envelope["body"]))
        body["user_ca"] = ssh_key()
        envelope["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        with pytest.raises(WrongServer):
            messages.opened(first, key, json.dumps(envelope).encode())
        with pytest.raises(WrongServer):
            messages.opened(machine.ask("sync"), key, genuine)

    def test_an_altered_request(self, front_end: FrontEnd) -> None:
        """The endpoint would put its own keys into a node's join."""
        envelope = json.loads(Machine("edge-1").join(front_end.token()).data)
        body = json.loads(base64.b64decode(envelope["body"]))
        body["wireguard"] = wireguard_key()
        envelope["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        with pytest.raises(requests.Invalid, match="not signed"):
            requests.read(json.dumps(envelope).encode())

    def test_a_leave_that_was_given_up(self, front_end: FrontEnd, key: str) -> None:
        """Sent again by the endpoint a day later, it would move the VMs away and remove the host."""
        machine = Machine("edge-1")
        front_end.join(machine, front_end.token())
        kept = machine.ask("leave")
        front_end.context.__dict__["now"] = lambda: time.time() + 86_400
        with pytest.raises(Refused, match="clock is off by -864"):
            front_end.answer(kept, key)
        assert front_end.answer(machine.ask("sync"), key)["name"] == "edge-1"

    def test_a_leave_of_an_earlier_membership(self, front_end: FrontEnd, key: str) -> None:
        """Replayed months later, it would remove the node."""
        machine = Machine("edge-1")
        front_end.join(machine, front_end.token())
        with pytest.raises(Refused, match="earlier join"):
            front_end.answer(machine.ask("leave", "0" * 32), key)


def test_a_revoked_node_is_cut_off_everywhere(front_end: FrontEnd, key: str) -> None:
    """A stolen machine must lose tunnel, certificate and answers at once."""
    machine = Machine("edge-1")
    front_end.join(machine, front_end.token())
    host = front_end.answer(machine.ask("ready"), key)["host"]
    assert "would revoke node edge-1" in front_end.onext("revoke", "edge-1", "--dry-run")
    assert front_end.listed()["edge-1"]["state"] == "active"
    front_end.onext("revoke", "edge-1")
    assert front_end.hub()["peers"] == []
    assert machine.ssh in (front_end.bundle.var / "edge/revoked_keys").read_text()
    assert "edge-1" not in (front_end.bundle.var / "edge/known_hosts").read_text()
    assert front_end.context.oned.host(host).state.name == "DISABLED"
    with pytest.raises(Refused, match="revoked"):
        front_end.answer(machine.ask("sync"), key)
    with pytest.raises(Refused, match="leave --force"):
        front_end.join(machine, front_end.token())


def test_nobody_is_sent_to_a_revoked_node_by_its_name(front_end: FrontEnd, key: str) -> None:
    """OpenNebula still monitors its host: DNS would lead oneadmin's ssh, with its agent, to the thief's machine."""
    machine = Machine("edge-1")
    got = front_end.join(machine, front_end.token())
    host = front_end.answer(machine.ask("ready"), key)["host"]
    front_end.onext("revoke", "edge-1")
    config = front_end.bundle.var / "edge/ssh_config"
    found = subprocess.run(
        ["ssh", "-G", "-F", str(config), "edge-1"], capture_output=True, text=True, check=True
    )
    assert {f"hostname {got['address']}", "stricthostkeychecking true"} <= set(found.stdout.splitlines())
    front_end.context.oned.call("host.delete", host)
    try:
        part.reconcile(front_end.context, [])
        part.reconcile(front_end.context, [])
    finally:
        part._close()
    assert "edge-1" not in config.read_text(), "another machine may have the name now"


def _zone(front_end: FrontEnd) -> Zone:
    zone = Book.of(front_end.context.oned).zones.all()[0].value
    assert zone is not None
    return zone


def _server() -> Server:
    return Server("front", "front.example:8443", "0" * 64, "front.example:51820", "A" * 43 + "=")
