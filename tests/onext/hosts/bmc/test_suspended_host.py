"""A host that is suspended by ssh, with ssh and time played: how long it is waited for, and what counts as asleep."""

import fcntl
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from onext import process, ssh
from onext.hosts.bmc import client
from onext.hosts.bmc.entry import Suspend
from onext.hosts.bmc.errors import ConfigChanged, Refused, Unreachable
from onext.hosts.bmc.protocol import Power
from onext.hosts.bmc.wake_on_lan import SuspendedHost, wake

MAC = "02:00:00:00:00:0E"


class Node:
    """A host whose looks answer as written down, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: list[str] = ["on"]
        self.now, self.pauses, self.commands = 1000.0, list[float](), list[str]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)
        monkeypatch.setattr(ssh, "run", self.run)
        monkeypatch.setattr(client, "ask", self.ask)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def run(self, host: str, words: Sequence[str], **how: Any) -> process.Completed:
        assert (host, how["timeout"]) == ("192.0.2.14", 5.0)
        self.commands.append(" ".join(words))
        return process.Completed(tuple(words), 0, f"link/ether {MAC} brd".encode(), b"")

    def ask(self, jobs: Sequence[Any], _deadline: float) -> dict[int, client.Answer]:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        gone = {"seconds": 0.1, "error": "Unreachable", "reason": "it does not answer"}
        return {jobs[0].id: {"seconds": 0.1, "power": "on"} if look == "on" else gone}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(monkeypatch)


def host(unchanged: Any = lambda: None) -> SuspendedHost:
    entry = Suspend(kind="suspend", address="192.0.2.14", mac=MAC, interface="eth1")
    return SuspendedHost(7, entry, 5.0, Path("ssh_config"), unchanged)


@pytest.mark.parametrize(
    ("looks", "pauses"),
    [
        (["gone", "gone"], 1),
        (["on", "gone", "gone"], 2),
        (["gone", "on", "gone", "gone"], 3),
    ],
)
def test_a_host_sleeps_once_it_was_silent_twice_in_a_row(node: Node, looks: list[str], pauses: int) -> None:
    """One look that was lost would be sleep, and a host that is on be counted as off."""
    node.looks = looks
    host().soft_off()
    assert node.pauses == [1.0] * pauses
    assert node.commands == ["ip -o link", "sudo -n /usr/bin/systemctl --no-block suspend"]


def test_a_host_that_stays_awake_is_given_four_time_outs(node: Node) -> None:
    """A host that is slow to sleep would be reported as one that refuses."""
    with pytest.raises(Refused, match="and still answers"):
        host().soft_off()
    assert len(node.pauses) == 20


def test_an_entry_that_changed_ends_each_order(node: Node) -> None:
    """Another host would be put to sleep."""

    def changed() -> None:
        raise ConfigChanged("bmc.yaml changed meanwhile")

    asleep = host(changed)
    for order in (asleep.soft_off, asleep.switch_on):
        with pytest.raises(ConfigChanged):
            order()
    reading = asleep.power()
    assert (reading.power, reading.reason) == (Power.UNKNOWN, "bmc.yaml changed meanwhile")
    assert node.commands == []


def test_a_node_without_ssh_is_unreachable(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody would look for the fault in bmc.yaml."""

    def fails(_host: str, words: Sequence[str], **_: Any) -> process.Completed:
        raise process.CommandError(words, "failed", 255, b"")

    monkeypatch.setattr(ssh, "run", fails)
    with pytest.raises(Unreachable, match="it cannot be reached by ssh: exit code 255"):
        host().identity()


def test_a_magic_packet_goes_to_the_broadcast_address_of_the_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that sleeps has no address: what is not a broadcast, or not its pattern, does not wake it."""
    sent: list[Any] = []

    class Sender:
        def setsockopt(self, *option: int) -> None:
            sent.append(option)

        def fileno(self) -> int:
            return 3

        def sendto(self, packet: bytes, where: tuple[str, int]) -> None:
            sent.append((packet, where))

    def ioctl(_descriptor: int, request: int, data: bytes) -> bytes:
        assert (request, data) == (0x8919, struct.pack("256s", b"eth1"))
        return data[:16] + bytes(4) + bytes([10, 9, 0, 255]) + data[24:]

    monkeypatch.setattr(socket, "socket", lambda *_: nullcontext(Sender()))
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    wake(MAC, "eth1")
    assert sent == [
        (socket.SOL_SOCKET, socket.SO_BROADCAST, 1),
        (b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x0e" * 16, ("10.9.0.255", 9)),
    ]
