"""Two nodes and the network between them."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.node import HERE, Node, until
from tests.lab.vm import VM


@dataclass(frozen=True)
class Network:
    """The underlay: who terminates VXLAN, and what the way is like."""

    ovs: bool = False
    on_b: str = ""  # with `ovs`, what node b has of it instead: nothing ("none"), or no switch ("broken")
    mtu: int = 1500
    delay_us: int = 0  # one way
    loss_permille: int = 0
    rate_mbit: int = 0

    @property
    def relayed(self) -> bool:
        """Tell whether frames go through the relay instead of a bridge."""
        return bool(self.delay_us or self.loss_permille or self.rate_mbit)


class Laboratory:
    """Nodes `a` and `b`, joined through a third namespace where everything on the underlay can be captured."""

    prefix = "oxl"  # of its namespaces: laboratories of two kinds may be up at once

    def __init__(self, folder: Path, network: Network, kernel: Path, initrd: Path) -> None:
        self.folder, self.network = folder, network
        self.kernel, self.initrd = kernel, initrd
        tag = f"{self.prefix}{os.getpid() % 100000}"
        self._wan = tag + "w"
        self.a = Node("lab-a", 1, folder / "a", tag + "a")
        self.b = Node("lab-b", 2, folder / "b", tag + "b")
        self._relay: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Build everything, until both nodes reach each other over ssh and libvirt answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self._links()
        key = self.folder / "key"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        peers = [(node.name, node.ipv4, node.ipv6) for node in self.nodes]
        for node in self.nodes:
            (node.folder / "etc").mkdir(parents=True, exist_ok=True)
        for node in self.nodes:
            node.start(peers, key, {})
        host_keys = {f"{n.name},{n.name}-six,{n.ipv4},{n.ipv6}": n.host_key for n in self.nodes}
        for node in self.nodes:
            node._write_homes(key, host_keys)
            node.daemons()
            if self.network.ovs and not (node is self.b and self.network.on_b):
                node.start_ovs()
            elif self.network.ovs and self.network.on_b == "broken":
                node.start_ovs(switch=False)
            self._address(node)
        self._meet(self.a, self.b)
        self._meet(self.b, self.a)

    def _meet(self, one: Node, other: Node) -> None:
        words = ("ssh", "-o", "ConnectTimeout=5", other.name, "true")
        until(lambda: one.run(*words, user="oneadmin", check=False).exit_code == 0, f"ssh to {other.name}")

    def down(self) -> None:
        """Take everything away."""
        for node in self.nodes:
            node.stop()
        if self._relay:
            self._relay.kill()
            self._relay.wait()
        for name in (self._wan, self.a.namespace, self.b.namespace):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    @property
    def nodes(self) -> tuple[Node, Node]:
        """Return both nodes."""
        return self.a, self.b

    def vm(self, name: str, **what: object) -> VM:
        """Return a VM that is not started yet."""
        return VM(name, self.folder, self.kernel, self.initrd, **what)  # type: ignore[arg-type]

    def boot(self, vm: VM, node: Node) -> None:
        """Have a VM on a node, its memory full and its clock running: booted once, then restored from a file."""
        saved = self.folder / f"{vm.name}-{vm.fill}-{vm.dirty}-{bool(vm.disk)}.saved"
        if not saved.exists():
            path = self.folder / f"{vm.name}.xml"
            path.write_text(vm.xml())
            vm.serial.unlink(missing_ok=True)
            node.virsh("create", str(path))
            until(lambda: vm.ticks() > 2, f"{vm.name} boots")
            node.virsh("save", vm.name, str(saved))
        vm.serial.unlink(missing_ok=True)
        node.virsh("restore", str(saved))
        until(lambda: vm.ticks() > 2, f"{vm.name} is restored")

    def in_wan(self, *words: str) -> list[str]:
        """Return the command that runs something between the nodes, where all of the underlay passes."""
        return ["ip", "netns", "exec", self._wan, *words]

    def lose_vxlan(self, *, lost: bool) -> None:
        """Let a relayed network lose every VXLAN packet, and nothing else: ssh continues."""
        assert self._relay is not None
        self._relay.send_signal(signal.SIGUSR1 if lost else signal.SIGUSR2)

    def cut(self, node: Node, *, off: bool) -> None:
        """Take a node's cable out, or put it in again."""
        device = "wa" if node is self.a else "wb"
        _ip("-n", self._wan, "link", "set", device, "down" if off else "up")

    def address(self, address: str) -> None:
        """Give the place between the nodes an address of the underlay, where front-ends run."""
        _ip("-n", self._wan, "address", "replace", address, "dev", "br0")

    def block(self, node: Node, *, off: bool) -> None:
        """Let nothing pass between a node and what runs between the nodes; the nodes reach each other."""
        _ip("-n", self._wan, "route", "replace" if off else "delete", "blackhole", f"{node.ipv4}/32")

    def shrink(self, mtu: int) -> None:
        """Let the way between the nodes drop larger packets, silently; TCP alone is told, as many routers do (MSS)."""
        for device in ("wa", "wb"):
            _ip("-n", self._wan, "link", "set", device, "mtu", str(mtu))
        for node in self.nodes:
            mss = ["advmss", str(mtu - 40)]
            node.run(
                "ip",
                "route",
                "replace",
                "10.99.0.0/24",
                "dev",
                "ul0",
                "proto",
                "kernel",
                "src",
                node.ipv4,
                *mss,
            )

    def _links(self) -> None:
        for name in (self._wan, self.a.namespace, self.b.namespace):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        for node, end in ((self.a, "wa"), (self.b, "wb")):
            _ip(
                "-n",
                self._wan,
                "link",
                "add",
                end,
                "type",
                "veth",
                "peer",
                "name",
                "ul0",
                "netns",
                node.namespace,
            )
            for namespace, device in ((self._wan, end), (node.namespace, "ul0")):
                _ip("-n", namespace, "link", "set", device, "mtu", str(self.network.mtu), "up")
                off = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"]
                subprocess.run(
                    ["ip", "netns", "exec", namespace, "ethtool", "-K", device, *off],
                    check=False,
                    capture_output=True,
                )
        self._join()

    def _join(self) -> None:
        network = self.network
        if not network.relayed:
            _ip("-n", self._wan, "link", "add", "br0", "mtu", str(network.mtu), "type", "bridge")
            for device in ("wa", "wb"):
                _ip("-n", self._wan, "link", "set", device, "master", "br0")
            _ip("-n", self._wan, "link", "set", "br0", "up")
            return
        binary = self.folder / "relay"
        if not binary.exists():
            subprocess.run(["gcc", "-O2", "-o", str(binary), str(HERE / "relay.c")], check=True)
        figures = [str(network.delay_us), str(network.loss_permille), str(network.rate_mbit)]
        dies_with_us = ["setpriv", "--pdeathsig", "KILL"]
        self._relay = subprocess.Popen([*dies_with_us, *self.in_wan(str(binary), "wa", "wb", *figures)])

    def _address(self, node: Node) -> None:
        device = "br-phy" if "br-phy" in node.devices() else "ul0"
        node.run("ip", "address", "add", f"{node.ipv4}/24", "dev", device)
        node.run("ip", "address", "add", f"{node.ipv6}/64", "dev", device, "nodad")
        node.run("ip", "link", "set", device, "mtu", str(self.network.mtu), "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
