"""A zone whose front-ends move: to another address, or to another server that leads it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hooks.edge import secrets
from onext.oned.client import RaftState
from tests.fixtures_sandbox import Sandbox
from tests.lab.edge_network import FrontEnd, Network, Node, network, why_not
from tests.lab.test_edge import listen, reaches
from tests.lab.zone_view import View
from tests.waiting import PATIENCE, until

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(why_not()) and not os.environ.get("CI"), reason=why_not() or "ready"),
]
SLOW = 4 * PATIENCE  # nodes take a hub for silent after 150 s


@pytest.fixture(autouse=True)
def _whole_laboratory(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("lab") != "all":
        pytest.skip("minutes of waiting: make lab")


def test_a_hub_that_moves_to_another_address_is_found_by_its_name(
    tmp_path: Path, sandboxes: Callable[..., Sandbox]
) -> None:
    """A front-end with a dynamic address, or a new provider, would lose all nodes."""
    with network(tmp_path, sandboxes, host="front.example") as net:
        a1 = net.node("a1", "a", 10)
        a1.resolve("203.0.113.2 front.example")
        a1.join(net.token("--name", "a1"))
        a1.serve()
        until(lambda: net.ssh("a1", "echo", "in").stdout == "in\n", "the tunnel")
        before = net.listed()["a1"]
        net.front.run("ip", "addr", "flush", "dev", "wan")
        net.front.run("ip", "addr", "add", "203.0.113.3/26", "dev", "wan")
        net.front.run("ip", "route", "replace", "default", "via", "203.0.113.1")
        a1.resolve("203.0.113.3 front.example")
        until(
            lambda: net.ssh("a1", "echo", "found").stdout == "found\n", "the tunnel to the new address", SLOW
        )
        assert "203.0.113.3:51820" in a1.run("wg", "show", "onext-edge", "endpoints").stdout
        assert net.listed()["a1"] == before
        assert a1.edge("leave").stdout.endswith("left\n")


class Zone:
    """Two front-ends; the first one leads."""

    def __init__(self, net: Network, views: list[View], location: Path) -> None:
        self.first, self.views = net, views
        self.views.append(View(net.sandbox, 1, RaftState.FOLLOWER, location))
        self.second = net.second(self.views[1])
        self.second.start_endpoint()
        folder = self.second.bundle.var / "edge"
        folder.mkdir(mode=0o700)
        for name in secrets.ZONE:  # as a restored backup; `init --from` copies them over ssh
            shutil.copy(net.bundle.var / "edge" / name, folder)
        self.second.bundle.onext("edge", "init")
        self.second.start_worker()
        self.second.start_hub()

    def lose_the_first(self) -> None:
        """Cut the leader off, and let the other server lead."""
        assert self.first.worker is not None
        self.first.worker.kill()
        self.first.worker.wait()
        self.first.front.run("ip", "link", "set", "wan", "down")
        self.views[0].state, self.views[1].state = RaftState.FOLLOWER, RaftState.LEADER


@pytest.fixture
def zone(tmp_path: Path, sandboxes: Callable[..., Sandbox]) -> Iterator[Zone]:
    """Return a zone of two front-ends."""
    views: list[View] = []

    def first(*options: str) -> View:
        sandbox = sandboxes(*options)
        views.append(View(sandbox, 0, RaftState.LEADER, sandbox.location))
        return views[0]

    with network(tmp_path, first) as net:
        made = Zone(net, views, tmp_path / "location-2")
        yield made
        made.second.end()
        for view in views:
            view.close()


def in_by(front_end: FrontEnd, node: Node) -> bool:
    """Whether oneadmin logs in from a front-end."""
    return front_end.ssh(node.name, "echo", "in").stdout == "in\n"


def test_the_other_front_end_takes_over(zone: Zone) -> None:
    """The loss of one server would cut off all sites: their VMs would run on, unreachable."""
    net = zone.first
    a1, b1 = net.node("a1", "a", 10), net.node("b1", "b", 12)
    a1.join(net.token("--name", "a1"))
    a1.serve()
    until(lambda: in_by(net, a1) and in_by(zone.second, a1), "both front-ends reach the node")
    host = net.listed()["a1"]["host"]
    zone.lose_the_first()
    until(lambda: in_by(zone.second, a1), "the second front-end reaches it")
    token = zone.second.token("--name", "b1")
    assert "the host is MONITORED" in b1.join(token).stdout
    b1.serve()
    listen(a1, 49152)
    until(lambda: reaches(b1, a1.address, 49152), "nodes reach each other through the other hub", SLOW)
    assert zone.second.listed()["a1"]["host"] == host
    zone.second.bundle.onext("edge", "revoke", "a1")
    until(lambda: not in_by(zone.second, a1), "the node is cut off")
    net.front.run("ip", "link", "set", "wan", "up")
    net.front.run("ip", "route", "replace", "default", "via", "203.0.113.1")
    net.start_worker()
    revoked = a1.run("wg", "show", "onext-edge", "public-key").stdout.strip()
    until(
        lambda: revoked not in net.front.run("wg", "show", "onext-edge", "peers").stdout,
        "by the first one, too",
    )
    assert not in_by(net, a1)
    until(lambda: in_by(net, b1), "and the node that joined meanwhile is its, too", SLOW)
