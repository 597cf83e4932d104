"""`shutdown: ssh`: the right host is shut down by its own operating system, and no other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from onext import process, ssh
from onext.hosts.bmc import client
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import Refused, Unreachable, WrongMachine
from onext.hosts.bmc.protocol import Bmc

UUID = "4c4c4544-0042-3510-8053-b4c04f564433"
REVERSED = "44454c4c-4200-1035-8053-b4c04f564433"  # as some kernels print it
ENTRY = {
    "kind": "ipmi",
    "address": "192.0.2.12",
    "user": "onext",
    "password": "x",
    "uuid": UUID,
    "shutdown": "ssh",
    "host": "node-a",
}
Books = Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]


class Node:
    """A host behind ssh, and its BMC."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.power, self.identity, self.exit_code = "on", UUID, 0
        self.commands: list[str] = []
        monkeypatch.setattr(ssh, "run", self.run)
        monkeypatch.setattr(client, "ask", self.ask)

    def ask(self, jobs: Sequence[Any], _deadline: float) -> dict[int, client.Answer]:
        assert [job.wish for job in jobs] == ["power"], "the BMC is asked and not told"
        return {12: {"seconds": 0.1, "power": self.power}}

    def run(self, host: str, words: Sequence[str], **_: object) -> process.Completed:
        assert host == "node-a"
        self.commands.append(" ".join(words))
        if self.exit_code:
            raise process.CommandError(words, "failed", self.exit_code, b"")
        return process.Completed(tuple(words), 0, f"{self.identity}\n".encode(), b"")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """Give a host that is on."""
    return Node(monkeypatch)


@pytest.fixture
def bmc(bmc_config: Books) -> Bmc:
    """Give the BMC of an entry with `shutdown: ssh`."""
    return bmc_config({12: ENTRY}).bmc(12)


@pytest.mark.parametrize("printed", [UUID, UUID.upper(), REVERSED])
def test_D2_a_shutdown_over_ssh_in_place_of_the_bmc_s(node: Node, bmc: Bmc, printed: str) -> None:
    """A host whose BMC offers no shutdown could not be powered off cleanly."""
    node.identity = printed
    bmc.soft_off()
    assert node.commands == [
        "sudo -n /usr/sbin/dmidecode -s system-uuid",
        "sudo -n /usr/bin/systemctl --no-block poweroff",
    ]


def test_another_host_is_not_shut_down(node: Node, bmc: Bmc) -> None:
    """A typing error in `host` would shut down a host with VMs."""
    node.identity = "11111111-2222-3333-4444-555555555555"
    with pytest.raises(WrongMachine, match="11111111"):
        bmc.soft_off()
    assert len(node.commands) == 1


def test_a_host_that_is_off_is_left_alone(node: Node, bmc: Bmc) -> None:
    """Its name may lead to another machine by now."""
    node.power = "off"
    bmc.soft_off()
    assert node.commands == []


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [(255, Unreachable, "node-a cannot be reached by ssh"), (1, Refused, "check sudoers")],
)
def test_E1_a_shutdown_that_fails_names_the_cause(
    node: Node, bmc: Bmc, code: int, kind: type[Exception], message: str
) -> None:
    """A missing line for sudo would look like a broken network."""
    node.exit_code = code
    with pytest.raises(kind, match=message):
        bmc.soft_off()


def test_a_machine_is_recognised_by_its_serial_number_where_it_has_no_uuid(
    node: Node, bmc_config: Books
) -> None:
    """Boards without a UUID of their own could not be shut down."""
    entry = {**{key: value for key, value in ENTRY.items() if key != "uuid"}, "serial": "ABC1234"}
    bmc = bmc_config({12: entry}).bmc(12)
    node.identity = " abc1234 "
    bmc.soft_off()
    assert node.commands == [
        "sudo -n /usr/sbin/dmidecode -s system-serial-number",
        "sudo -n /usr/bin/systemctl --no-block poweroff",
    ]
    node.identity, node.commands = UUID, []
    with pytest.raises(WrongMachine):
        bmc.soft_off()
    assert len(node.commands) == 1


def test_E1_the_command_that_failed_is_named_without_sudo(node: Node, bmc: Bmc) -> None:
    """Somebody has to write exactly this line into sudoers."""
    node.exit_code = 1
    with pytest.raises(
        Refused, match=r"node-a: `/usr/sbin/dmidecode -s system-uuid` failed with exit code 1"
    ):
        bmc.soft_off()
