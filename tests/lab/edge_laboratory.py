"""Two hypervisors behind two NATs, joined by tokens: nothing but their hub lies between them.

They are machines of the laboratory for migrations, plugged into the network of the edge tests. oneadmin logs in by
the zone's certificate only: from the front-end with the agent that the worker keeps, which the node uses to reach the
other node.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from tests.lab import edge_network, laboratory
from tests.lab.node import PATIENCE, Done, Node, until
from tests.lab.scenario import DRIVER, Result, action_xml
from tests.lab.vm import VM


class EdgeLaboratory(laboratory.Laboratory):
    """Nodes `lab-a` behind NAT a and `lab-b` behind NAT b."""

    prefix = "oxe"

    def __init__(self, folder: Path, net: edge_network.Network, kernel: Path, initrd: Path) -> None:
        super().__init__(folder, laboratory.Network(), kernel, initrd)
        self.net = net

    def up(self) -> None:
        """Start both machines, and let them join."""
        self.folder.chmod(0o755)
        key = self.folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        token = self.net.token("--name", "lab-*", "--uses", "2")
        for node, nat in zip(self.nodes, ("a", "b"), strict=True):
            subprocess.run(["ip", "netns", "add", node.namespace], check=True)
            (node.folder / "etc").mkdir(parents=True)
            node.start([], key, {})
            (node.folder / "home/.ssh/authorized_keys").unlink()
            node.run("ip", "link", "set", "lo", "up")
            self._plug(node, nat)
            node.daemons()
            words = ("join", "--name", node.name, "--wait", "60", token)
            assert "the host is MONITORED" in self.edge(node, *words).stdout
        for node in self.nodes:
            self.edge(node, "rejoin", "--wait", "5")  # the first one knows of the second now
            self._meet_front_end(node)
        until(self._agent_is_ready, "the worker's next round gives the agent oneadmin's certificate")

    def _agent_is_ready(self) -> bool:
        words = ("env", f"SSH_AUTH_SOCK={self.net.agent}", "ssh-add", "-L")
        return "-cert-" in self.net.front.run(*words, check=False).stdout

    def _meet_front_end(self, node: Node) -> None:
        until(lambda: self.ssh(node, "true").exit_code == 0, f"ssh to {node.name}")

    def _plug(self, node: Node, nat: str) -> None:
        lan, port = self.net.nats[nat], f"vm{node.number}"
        near, far = f"x{os.getpid()}{node.number}", f"y{os.getpid()}{node.number}"
        subprocess.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far], check=True)
        subprocess.run(["ip", "link", "set", near, "name", "eth0", "netns", node.namespace], check=True)
        subprocess.run(["ip", "link", "set", far, "name", port, "netns", str(lan.holder.pid)], check=True)
        lan.run("ip", "link", "set", port, "master", "lan", "up")
        node.run("ip", "address", "add", f"192.168.1.{100 + node.number}/24", "dev", "eth0")
        node.run("ip", "link", "set", "eth0", "up")
        node.run("ip", "route", "add", "default", "via", "192.168.1.1")

    def serve(self, node: Node) -> None:
        """Start what systemd would run on a machine."""
        node.sh(f"setsid python3 -I {self.net.program} run </dev/null >/run/onext-edge.log 2>&1 &")

    def move(self, node: Node, nat: str) -> None:
        """Take a running machine to another site: another NAT, another public address."""
        node.run("ip", "link", "del", "eth0")
        self._plug(node, nat)

    def edge(self, node: Node, *words: str) -> Done:
        """Run the node program on a machine."""
        return node.run("python3", "-I", str(self.net.program), *words)

    def ssh(self, node: Node, command: str, stdin: bytes = b"") -> Done:
        """Run a command as oneadmin, as the front-end's drivers do: by the certificate, with an agent."""
        process = self.start_ssh(node, command, stdin)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        return Done(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def start_ssh(self, node: Node, command: str, stdin: bytes = b"") -> subprocess.Popen[bytes]:
        """Start a command as oneadmin."""
        keys = self.net.bundle.var / "edge"
        (self.folder / "input").write_bytes(stdin)
        ssh = f"ssh -F {keys}/ssh_config -A -o BatchMode=yes -l oneadmin {node.name} {shlex.quote(command)}"
        script = f"exec {ssh} <{self.folder}/input"
        words = self.net.front.argv("env", f"SSH_AUTH_SOCK={self.net.agent}", "sh", "-c", script)
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )

    def start_migration(self, vm: VM, source: Node, destination: Node) -> subprocess.Popen[bytes]:
        """Start a migration as OpenNebula does."""
        words = [DRIVER, vm.name, destination.name, source.name, vm.number, source.name]
        return self.start_ssh(source, shlex.join(words), action_xml(vm))

    def migrate(self, vm: VM, source: Node, destination: Node) -> Result:
        """Migrate a VM and wait for it."""
        return self.finish(self.start_migration(vm, source, destination))

    def finish(self, process: subprocess.Popen[bytes]) -> Result:
        """Wait for a migration."""
        stdout, stderr = process.communicate(timeout=PATIENCE)
        return Result(
            Done(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
        )

    def in_wan(self, *words: str) -> list[str]:
        """Return the command that runs something on the internet between front-end and NATs."""
        return self.net.internet.argv(*words)

    def sent(self, node: Node) -> int:
        """Return the bytes that a node sent to its WireGuard peers, as WireGuard counts them."""
        shown = node.run("wg", "show", "onext-edge", "transfer").stdout
        return sum(int(line.split("\t")[2]) for line in shown.splitlines())
