"""A host that is suspended by ssh and woken over the network."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import asyncssh
import pytest

from onext.hosts.bmc import wake_on_lan
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import Refused, Unreachable, WrongMachine
from onext.hosts.bmc.protocol import Bmc, Power
from onext.hosts.bmc.query import query_all
from onext.hosts.bmc.wake_on_lan import wake
from tests.fixtures_bmc import without
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
Books = Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]
ROOT = Path(__file__).parents[4]
MAC = "02:00:00:00:00:0e"
LINKS = f"2: eth0: <BROADCAST,UP> mtu 1500 state UP \\    link/ether {MAC} brd ff:ff:ff:ff:ff:ff\n"
CONFIG = """Host *
    HostKeyAlias node
    Port {port}
    User node
    IdentityFile {folder}/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
"""


class Node:
    """A node behind a real ssh server: it falls silent when it is suspended, if `obedient`."""

    def __init__(self, folder: Path) -> None:
        self.links, self.obedient, self.allowed = LINKS, True, True
        self.asked: list[str] = []
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._key, self._host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.port = 0
        self.wake()
        (folder / "key").write_bytes(self._key.export_private_key())
        (folder / "key").chmod(0o600)
        (folder / "known_hosts").write_bytes(b"node " + self._host_key.export_public_key())
        self.config = folder / "ssh_config"
        self.config.write_text(CONFIG.format(port=self.port, folder=folder))

    def wake(self) -> None:
        """Answer, for the first time or again."""
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE)
        self.port = self._acceptor.get_port()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        known = asyncssh.import_authorized_keys(self._key.export_public_key().decode())
        return await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self._host_key],
            authorized_client_keys=known,
            process_factory=self._answer,
        )

    def _answer(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        self.asked.append(process.command or "")
        self._connections.append(process.get_extra_info("connection"))
        if process.command == "ip -o link":
            process.stdout.write(self.links)
        elif not self.allowed:
            process.exit(1)
            return
        elif self.obedient:
            self._acceptor.close()
        process.exit(0)

    async def _end(self) -> None:
        """Leave no task behind: Python would complain of it in the middle of another test."""
        self._acceptor.close()
        for connection in self._connections:
            connection.abort()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0.05)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Give a node that is awake."""
    if not shutil.which("ssh"):
        without("ssh is missing: install openssh-client")
    made = Node(tmp_path)
    yield made
    made.stop()


def entry(node: Node) -> dict[str, object]:
    return {"kind": "suspend", "address": "127.0.0.1", "port": node.port, "mac": MAC, "interface": "lo"}


def sleeper(node: Node, bmc_config: Books) -> Bmc:
    return bmc_config({7: entry(node)}).bmc(7, timeout=30.0, ssh_config=node.config)


def test_a_host_is_suspended_and_falls_silent(node: Node, bmc_config: Books) -> None:
    """An order that was not followed would be taken for sleep, and silence for power off."""
    host = sleeper(node, bmc_config)
    assert host.power().power is Power.ON
    assert host.identity().serial == MAC
    host.soft_off()
    assert node.asked[-1] == "sudo -n /usr/bin/systemctl --no-block suspend"
    assert host.power().power is Power.UNKNOWN
    assert not host.proves_off


def test_a_host_that_stays_awake_is_told(
    node: Node, bmc_config: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that refuses to sleep would be given up while it runs."""
    monkeypatch.setattr(wake_on_lan, "_TIMEOUTS", 0.1)
    node.obedient = False
    with pytest.raises(Refused, match="still answers"):
        sleeper(node, bmc_config).soft_off()


def test_a_host_that_nothing_would_wake_is_not_suspended(node: Node, bmc_config: Books) -> None:
    """A wrong address in bmc.yaml would be found when the host is missed."""
    node.links = LINKS.replace(MAC, "02:00:00:00:00:0f")
    with pytest.raises(WrongMachine, match=f"no interface {MAC}"):
        sleeper(node, bmc_config).soft_off()
    assert not any("suspend" in command for command in node.asked)


def test_a_missing_sudoers_line_is_told(node: Node, bmc_config: Books) -> None:
    """Somebody would look for the fault in the network."""
    node.allowed = False
    with pytest.raises(Unreachable, match="is the line for sudo there"):
        sleeper(node, bmc_config).soft_off()


def test_power_cannot_be_cut_without_a_bmc(node: Node, bmc_config: Books) -> None:
    """A fence that did nothing would report success, and guests would run twice."""
    with pytest.raises(Refused, match="cannot be cut"):
        sleeper(node, bmc_config).hard_off()


def test_hosts_that_sleep_are_asked_in_the_same_round(node: Node, bmc_config: Books) -> None:
    """A cluster without BMCs would have no round at all."""
    asleep = {**entry(node), "address": "127.0.0.2"}
    said = query_all(bmc_config({1: entry(node), 2: asleep}), 60.0)
    assert (said[1].power, said[2].power) == (Power.ON, Power.UNKNOWN)


def test_an_interface_that_is_not_there_is_told() -> None:
    """A wake that was never sent would look like a host that does not wake."""
    with pytest.raises(Refused, match="no packet can be sent from nothere0"):
        wake(MAC, "nothere0")


LISTEN = """
import socket, subprocess, sys
for words in ("link add w0 type veth peer name w1", "addr add 10.9.0.1/24 brd + dev w0", "link set w0 up", "link set w1 up"):
    subprocess.run(["ip", *words.split()], check=True)
sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
sniffer.bind(("w1", 0)); sniffer.settimeout(60)
from onext.hosts.bmc.wake_on_lan import wake
wake(sys.argv[1], "w0")
print(sniffer.recv(2048).hex())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace of our own takes root")
def test_the_magic_packet_reaches_the_whole_network_of_the_interface() -> None:
    """A host that sleeps has no address any more: only a broadcast reaches it."""
    command = ["unshare", "-n", sys.executable, "-c", LISTEN, MAC]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    frame = bytes.fromhex(done.stdout.strip())
    assert frame[:6] == b"\xff" * 6
    assert frame.endswith(b"\xff" * 6 + bytes.fromhex(MAC.replace(":", "")) * 16)


CYCLE = """
import socket, subprocess, sys, tempfile, threading
from pathlib import Path
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.entry import Suspend
from tests.onext.hosts.bmc.test_wake_on_lan import Node
from tests.fixtures_bmc import without
from tests.waiting import PATIENCE

for words in ("link set lo up", "link add w0 type veth peer name w1", "addr add 10.9.0.1/24 brd + dev w0",
              "link set w0 up", "link set w1 up"):
    subprocess.run(["ip", *words.split()], check=True)
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
card.bind(("w1", 0)); card.settimeout(PATIENCE)
mac = card.getsockname()[4]
node = Node(Path(tempfile.mkdtemp()))
node.links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout

def listen():
    while b"\\xff" * 6 + mac * 16 not in card.recv(2048): pass
    node.wake()

entry = Suspend(kind="suspend", address="127.0.0.1", port=node.port, mac=mac.hex(":"), interface="w0")
host = BmcConfig(Path("bmc.yaml"), {7: entry}).bmc(7, timeout=30.0, ssh_config=node.config)
said = [host.power().power.value]
host.soft_off()
said.append(host.power().power.value)
card_listens = threading.Thread(target=listen); card_listens.start()
host.switch_on()
card_listens.join(PATIENCE)
said.append(host.power().power.value)
node.stop()
print(*said)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace of our own takes root")
def test_a_host_sleeps_by_ssh_and_wakes_by_its_packet() -> None:
    """The whole way: its interface is looked for, it falls silent, and its card hears what we send."""
    command = ["unshare", "-n", sys.executable, "-c", CYCLE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.split() == ["on", "unknown", "on"], done.stderr
