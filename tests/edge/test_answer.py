"""What a node takes from the front-end: every value in its bounds, because root acts on it."""

from __future__ import annotations

from typing import Any

import pytest

from edge import answer
from edge.errors import WrongServer
from tests.edge.test_program import CA, KEY, told

CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com " + "A" * 200
PEER = {"key": KEY, "endpoint": "203.0.113.7:5000", "address": "fd00::1:1"}
HUB = {"key": KEY, "endpoint": "front.example:51820", "address": "fd00::1"}


def test_a_whole_answer_is_kept() -> None:
    """A value that is lost is a node without its neighbours, its certificate or its ports."""
    full = told(
        mtu=1300, mtu_most=1400, peers=[PEER, {**PEER, "endpoint": "[FD11::1]:5"}],
        node_ports=[[22, 22], [1, 65535]], certificate=CERTIFICATE, days=90,
        revoked_hosts=[["edge-2", CA]],
    )  # fmt: skip
    kept = answer.checked({**full, "more": "from a later release"})
    expected = {**full, "peers": [PEER, {**PEER, "endpoint": "[fd11::1]:5"}]}
    assert kept == expected


def test_an_answer_of_an_earlier_front_end() -> None:
    """A node that is newer than its front-end would be cut off by its update."""
    kept = answer.checked(told())
    assert (kept["mtu_most"], kept["peers"], kept["node_ports"], kept["revoked_hosts"]) == (1280, [], [], [])
    assert "certificate" not in kept


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("mtu", (1280, 9000), (1279, 9001, None, "1280", 1280.5)),
        ("mtu_most", (1280, 9000), (1279, 9001, None)),
        ("node_ports", ([[1, 1]], [[65535, 65535]], [[1, 1]] * 64),
         ([[0, 1]], [[1, 0]], [[1, 65536]], [[65536, 1]], [[1]], {}, [[1, 1]] * 65)),
        ("hubs", ([], [HUB] * 32), ([HUB] * 33, None, {})),
        ("hosts", ([], [["fd00::1:0", "a"]] * 5000), ([["fd00::1:0", "a"]] * 5001, None)),
        ("revoked", ([], [CA] * 5000), ([CA] * 5001, None)),
        ("revoked_hosts", ([], [["a", CA]] * 5000), ([["a", CA]] * 5001, None, [["a b", CA]], [["a", "x"]])),
        ("peers", ([], [PEER] * 128), ([PEER] * 129, None, {})),
        ("servers", ([["a:1", "0" * 64]] * 32,), ([], [["a:1", "0" * 64]] * 33, [["a:0", "0" * 64]], [["a:1", "0"]])),
    ],
)  # fmt: skip
def test_bounds(name: str, accepted: tuple[object, ...], refused: tuple[object, ...]) -> None:
    """A fault of the front-end must not fill a node's disk, nor become a command that half of a change survives."""
    for value in accepted:
        changes: dict[str, Any] = {"mtu_most": 9000, name: value}
        assert answer.checked(told(**changes))[name] == value
    for value in refused:
        with pytest.raises(WrongServer, match="answer is invalid"):
            answer.checked(told(**{name: value}))


def test_a_certificate_has_days() -> None:
    """Without them a node would ask for a certificate at each request, or never again."""
    for days in (1, 4000):
        assert answer.checked(told(certificate=CERTIFICATE, days=days))["days"] == days
    for other in (0, 4001, None):
        with pytest.raises(WrongServer):
            answer.checked(told(certificate=CERTIFICATE, days=other))


@pytest.mark.parametrize(
    "peer",
    [{"endpoint": "front.example:1"}, {"endpoint": "203.0.113.7"}, {"endpoint": "203.0.113.7:0"},
     {"address": "fd11::1"}, {"address": "10.0.0.1"}, {"key": "x"}],
)  # fmt: skip
def test_a_direct_peer_is_an_address_of_the_pool(peer: dict[str, str]) -> None:
    """A name would be looked up by root at each change; another address would take the node's own traffic."""
    with pytest.raises(WrongServer):
        answer.checked(told(peers=[{**PEER, **peer}]))
