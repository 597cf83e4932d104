"""Requests before anything is known of the sender, and the hub's list before root's rights act on it."""

from __future__ import annotations

import base64
import json

import pytest
from biscuit_auth import BiscuitBuilder, KeyPair
from hypothesis import given
from hypothesis import strategies as st

from edge import ed25519, messages
from hooks.edge import hub_plan, requests
from tests.hooks.edge.front_end import Machine, wireguard_key

TOKEN = f"onext-edge::{BiscuitBuilder('edge_token(1)').build(KeyPair().private_key).to_base64()}"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "-oProxyCommand=x"}, {"name": "10.0.0.1"}, {"name": "a\nb"}, {"name": "x" * 300}, {"name": 7},
        {"wireguard": "x"}, {"wireguard": ["x"]}, {"ssh_key": "ssh-rsa AAAA"}, {"ssh_key": "x" * 5000},
        {"token": ""}, {"token": {"a": 1}}, {"token": "x" * 40_000}, {"name": "\u212a"},
    ],
)  # fmt: skip
def test_fields_that_are_no_fields(changes: dict[str, object]) -> None:
    """Names become lines of files and options of ssh."""
    machine = Machine("edge-1")
    values = {"token": TOKEN, "name": "edge-1", "wireguard": machine.wireguard, "ssh_key": machine.ssh}
    assert requests.read(messages.Asked(machine.secret, "join", values).data).join is not None
    with pytest.raises(requests.Invalid):
        requests.read(messages.Asked(machine.secret, "join", {**values, **changes}).data)


@pytest.mark.parametrize(
    ("here", "read"),
    [
        (["192.168.1.7:4000"], "192.168.1.7:4000"), (["[fd00::1]:4000"], "[fd00::1]:4000"), ([], ""), ("x", ""),
        (["198.51.100.7:4000", "x"], "198.51.100.7:4000"), (["8.8.8.8:4000"], ""), (["127.0.0.1:53"], ""),
        (["192.168.1.7:70000"], ""), (["front.example:1"], ""), (["192.168.1.7:1\nx"], ""), ([{"a": 1}], ""),
        (["169.254.169.254:80"], ""), (["192.168.1.7:-1"], ""), (["192.168.1.7:0"], ""), (["192.168.1.7:1"], "192.168.1.7:1"),
        (["192.168.1.7:65535"], "192.168.1.7:65535"), (["192.168.1.7:65536"], ""), ([7], ""), (7, ""), (None, ""),
        (["[" + "fd00:" * 11 + ":1]:65535"], ""), (["[fd00::" + "0" * 53 + "1]:1"], ""), (["fd00::1:" + "0" * 55 + "1"], "[fd00::1]:1"), (["fd00::1:" + "0" * 56 + "1"], ""), (["[fd00::1]:\u0661"], ""),
    ],
)  # fmt: skip
def test_a_node_states_an_endpoint_of_its_own_network_only(here: object, read: str) -> None:
    """A node that lies makes its neighbours send packets to a stranger, or to a service of their own."""
    machine = Machine("edge-1")
    asked = messages.Asked(machine.secret, "sync", {"session": "s", "certificate": False, "here": here})
    assert requests.read(asked.data).here == read


def signed(**values: object) -> bytes:
    """Return a request with just these values, signed."""
    secret, data = ed25519.generate(), json.dumps(values).encode()
    envelope = {
        "body": base64.b64encode(data).decode(),
        "key": ed25519.public(secret).hex(),
        "signature": ed25519.sign(secret, messages.REQUEST + data).hex(),
    }
    return json.dumps(envelope).encode()


@pytest.mark.parametrize("moment", [-1, 10**11, 10**11 + 1, True, False, 1.5, "1", None, [1]])
def test_a_time_that_is_none(moment: object) -> None:
    """The node's clock is compared with the front-end's and logged: it must be a number of seconds."""
    for fine in (0, 1, 10**11 - 1):
        assert requests.read(signed(action="sync", time=fine, session="s")).time == fine
    with pytest.raises(requests.Invalid, match="time"):
        requests.read(signed(action="sync", time=moment, session="s"))


def test_a_certificate_is_made_for_who_asks_for_one() -> None:
    """Each request of each node would be signed anew; a node that asks and receives none is locked out in the end."""
    for value, asked in ((True, True), (False, False), (1, False), ("yes", False), (None, False)):
        got = requests.read(signed(action="sync", time=1, session="s", certificate=value))
        assert got.certificate is asked
    assert requests.read(signed(action="ready", time=1, session="s")).certificate is False


def test_texts_have_a_length() -> None:
    """A session is compared and recorded; what strangers send is neither empty nor endless."""
    assert requests.read(signed(action="leave", time=1, session="s" * 64)).session == "s" * 64
    assert requests.read(signed(action="leave", time=1, session="s")).session == "s"
    for session in ("s" * 65, "", None, 7, "\u00e4"):
        with pytest.raises(requests.Invalid, match="session"):
            requests.read(signed(action="leave", time=1, session=session))
    for action in ("x" * 16, "JOIN", "", None, "x" * 17):
        reason = "unknown action" if action and len(action) < 17 else "`action` is missing or too long"
        with pytest.raises(requests.Invalid, match=reason):
            requests.read(signed(action=action, time=1, session="s"))


def test_a_request_is_base64_and_no_larger_than_it_may_be() -> None:
    """The signature must cover exactly the decoded bytes: a decoder may skip others."""
    envelope = json.loads(signed(action="sync", time=1, session="s"))
    with pytest.raises(requests.Invalid, match="not a request"):
        requests.read(json.dumps({**envelope, "body": envelope["body"] + "\n"}).encode())
    data = json.dumps(envelope).encode()
    assert requests.read(data.ljust(requests.LARGEST)).action == "sync"
    with pytest.raises(requests.Invalid, match="more than 65536 bytes"):
        requests.read(data.ljust(requests.LARGEST + 1))


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=9),
            lambda c: st.lists(c) | st.dictionaries(st.text(max_size=5), c),
        ).map(lambda value: json.dumps(value).encode()),
        st.just(b"[" * 60_000),
        st.just(b"{" * 70_000),
    )
)
def test_any_bytes_are_a_request_or_invalid(data: bytes) -> None:
    """The endpoint hands over what strangers send: nothing of it may end the worker."""
    with pytest.raises(requests.Invalid):
        requests.read(data)
    secret = ed25519.generate()
    envelope = {
        "body": base64.b64encode(data).decode(),
        "key": ed25519.public(secret).hex(),
        "signature": ed25519.sign(secret, messages.REQUEST + data).hex(),
    }
    with pytest.raises(requests.Invalid):
        requests.read(json.dumps(envelope).encode())


def listed(**changes: object) -> dict[str, object]:
    """Return a hub's list."""
    peers = [
        {"key": wireguard_key(), "address": "fd00::1:0", "cluster": 100},
        {"key": wireguard_key(), "address": "fd00::1:1", "cluster": 101},
    ]
    values: dict[str, object] = {
        "interface": "onext-edge", "address": "fd00::1", "pool": "fd00::/64", "port": 51820, "mtu": 1280,
        "node_ports": [[22, 22], [49152, 49215]], "own_ports": [4124, 8443], "peers": peers,
    }  # fmt: skip
    return {**values, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"interface": "eth0; reboot"}, {"interface": "x" * 16}, {"pool": "2000::/3"}, {"pool": "::/0"},
        {"address": "fe80::1"}, {"port": "22"}, {"port": True}, {"mtu": 70_000}, {"own_ports": ["22 accept"]},
        {"node_ports": [[1]]}, {"peers": {"a": 1}}, {"peers": [{"key": "x", "address": "fd00::2", "cluster": 1}]},
        {"peers": [{"key": "A" * 43 + "=", "address": "::/0", "cluster": 1}]},
        {"peers": [{"key": "A" * 43 + "=", "address": "fd00::2", "cluster": n} for n in (1, 2)]},
    ],
)  # fmt: skip
def test_a_list_that_would_configure_something_else(changes: dict[str, object]) -> None:
    """Whoever writes oneadmin's file must not route or filter the front-end's own networks."""
    assert len(hub_plan.read(listed()).peers) == 2
    with pytest.raises(hub_plan.InvalidList):
        hub_plan.read(listed(**changes))


def test_rules_join_nodes_of_one_cluster_only() -> None:
    """A rule for the wrong set would open one customer's nodes to another's."""
    hub = hub_plan.read(listed())
    lines = [line.strip() for line in hub_plan.firewall(hub).splitlines()]
    accepting = [line for line in lines if "accept" in line and "saddr" in line]
    assert accepting
    for line in accepting:
        assert line.split()[2] == line.split()[5], line
    assert lines.count("drop") == 2
    text = hub_plan.wireguard(hub, "K" * 43 + "=")
    assert text.count("AllowedIPs = fd00::1:0/128") == text.count("AllowedIPs = fd00::1:1/128") == 1
