"""A front-end's hub, an internet, two NATs and nodes behind them, as namespaces of this machine.

    front (203.0.113.2), second (203.0.113.66) -- internet -- nat-a (203.0.113.130) -- node a1, a2 (192.168.1.x)
                              |------- nat-b (203.0.113.194) -- node b1 (192.168.1.x, the same network)

Worker and oned (the sandbox) run outside, as the endpoint reaches the worker by a Unix socket only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge import build
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import ROOT, Sandbox
from tests.waiting import PATIENCE, until

PROGRAMS = ("wireguard-go", "wg", "nft", "iptables", "sshd", "ssh-keygen", "ssh", "ip", "unshare", "nsenter")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
IPV6, IPV4 = "fd0e:d6e0:1::/64", "10.77.0.0/22"  # pools
FRONT = "203.0.113.2"
SETTINGS = """edge:
  enabled: true
  endpoint: {host}:8443
  hub: {host}:51820
  im_mad: dummy
  vm_mad: dummy
  node_ports: [[22, 22], [49152, 49215]]
oned:
  timeout: 20
"""


def why_not() -> str:
    """Return why the network cannot be made here, empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    return f"not installed (sh tests/packages.sh): {', '.join(missing)}" if missing else ""


class Space:
    """A machine: a namespace of networks, mounts and names, held by a process that sleeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = "mount -t tmpfs tmpfs /run && mkdir -p /run/sshd /run/wireguard && ip link set lo up && echo ready && exec sleep infinity"
        command = ["unshare", "--net", "--mount", "--uts", "sh", "-c", script]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline().strip() == "ready"
        self.children: list[subprocess.Popen[bytes]] = []

    def argv(self, *words: str) -> list[str]:
        """Return the command that runs `words` inside."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "-u", "--", *words]

    def run(
        self, *words: str, check: bool = True, seconds: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        done = subprocess.run(
            self.argv(*words),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done

    def start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a program inside; it ends with the space."""
        log = (self.folder / f"{len(self.children)}.log").open("wb")
        child = subprocess.Popen(
            self.argv(*words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **variables},
        )
        log.close()
        self.children.append(child)
        return child

    def resolve(self, *lines: str) -> None:
        """Give programs inside a hosts file of their own."""
        file = self.folder / "hosts"
        mounted = file.exists()
        file.write_text("".join(f"{line}\n" for line in ("127.0.0.1 localhost", *lines)))
        if not mounted:
            self.run("mount", "--bind", str(file), "/etc/hosts")

    def sysctl(self, *settings: str) -> None:
        """Set values below /proc/sys."""
        for setting in settings:
            self.run("sysctl", "-qw", setting)

    def end(self) -> None:
        """End what runs inside, and the namespaces."""
        found = subprocess.run(
            ["ls", "-1", "/proc"], capture_output=True, text=True, check=True
        ).stdout.split()
        own = Path(f"/proc/{self.holder.pid}/ns/net").readlink()
        for pid in filter(str.isdigit, found):
            try:
                if Path(f"/proc/{pid}/ns/net").readlink() == own and int(pid) != self.holder.pid:
                    os.kill(int(pid), 9)
            except OSError:
                continue
        self.holder.kill()
        self.holder.wait()
        for child in self.children:
            child.kill()
            child.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()


def link(one: Space, name: str, address: str, other: Space, other_name: str, other_address: str) -> None:
    """Connect two machines."""
    own, far = f"v{one.holder.pid}"[:14], f"w{other.holder.pid}"[:14]
    subprocess.run(["ip", "link", "add", own, "type", "veth", "peer", "name", far], check=True)
    for space, given, wanted, where in ((one, own, name, address), (other, far, other_name, other_address)):
        subprocess.run(["ip", "link", "set", given, "netns", str(space.holder.pid)], check=True)
        space.run("ip", "link", "set", given, "name", wanted)
        if where:
            space.run("ip", "addr", "add", where, "dev", wanted)
        space.run("ip", "link", "set", wanted, "up")


class Node(Space):
    """A machine with sshd and the node program."""

    def __init__(self, folder: Path, name: str, program: Path) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.name, self.program, self.root = name, program, folder / "root"
        self.service: subprocess.Popen[bytes] | None = None
        self.install()

    def install(self) -> None:
        """Write sshd's configuration and a host key, and start sshd."""
        for place in ("etc/ssh/sshd_config.d", "run", "etc/systemd"):
            (self.root / place).mkdir(parents=True)
        ssh = self.root / "etc/ssh"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh / "ssh_host_ed25519_key")],
            check=True,
        )
        (ssh / "sshd_config").write_text(
            f"Include {ssh}/sshd_config.d/*.conf\nHostKey {ssh}/ssh_host_ed25519_key\n"
            f"PidFile {self.root}/run/sshd.pid\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
            "AuthorizedKeysFile none\nPasswordAuthentication no\n"
        )
        self.start("/usr/sbin/sshd", "-D", "-f", str(ssh / "sshd_config"))

    def power_off(self) -> None:
        """End the service, and lose what a machine without power loses."""
        assert self.service is not None
        self.service.kill()
        self.service.wait()
        self.service = None
        self.run("ip", "link", "del", "onext-edge")

    def install_anew(self) -> None:
        """Lose all files and keys, as by an installation."""
        os.kill(int((self.root / "run/sshd.pid").read_text()), signal.SIGKILL)
        shutil.rmtree(self.root)
        self.install()

    def edge(self, *words: str, check: bool = True, seconds: float = 150) -> subprocess.CompletedProcess[str]:
        """Run the node program."""
        given = ["--root", str(self.root), "--account", "root", *words]
        return self.run(sys.executable, "-I", str(self.program), *given, check=check, seconds=seconds)

    def join(self, token: str, *, check: bool = True, name: str = "") -> subprocess.CompletedProcess[str]:
        """Join as this node's name, or another."""
        return self.edge("join", "--name", name or self.name, "--wait", "180", token, check=check)

    def serve(self, *words: str) -> None:
        """Start what systemd would run, again where it runs."""
        if self.service is not None:
            self.service.kill()
            self.service.wait()
        given = ["--root", str(self.root), "--account", "root", "run", *words]
        self.service = self.start(sys.executable, "-I", str(self.program), *given)

    @property
    def state(self) -> dict[str, object]:
        """What the node program keeps."""
        found = json.loads((self.root / "etc/onext-edge/state.json").read_text())
        assert isinstance(found, dict)
        return found

    @property
    def address(self) -> str:
        """The overlay address."""
        return str(self.state["address"])


class FrontEnd:
    """A front-end: its endpoint and hub in a machine of their own, its worker and commands outside."""

    def __init__(self, folder: Path, front: Space, bundle: Bundle, host: str) -> None:
        """Write the settings for nodes that reach it at `host`."""
        self.state, self.front, self.bundle = folder, front, bundle
        bundle.settings(SETTINGS.format(host=host))
        front.sysctl("net.ipv6.conf.all.forwarding=1")
        self.endpoint: subprocess.Popen[bytes] | None = None
        self.hub: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None
        self._agents = tempfile.TemporaryDirectory(prefix="oxa")  # a socket's path has 107 bytes
        self.agent = Path(self._agents.name) / "agent"
        front.start("ssh-agent", "-D", "-a", str(self.agent))
        until(self.agent.exists, "oneadmin's ssh agent")

    def start_endpoint(self) -> None:
        """Start the endpoint, and wait until it has published its certificate."""
        run = self.bundle.var / "run/edge-endpoint"
        run.mkdir(parents=True, exist_ok=True)
        state = self.state / "endpoint"
        state.mkdir(exist_ok=True)
        words = ["--state", str(state), "--publish", str(run / "certificate.pem")]
        words += ["--worker", str(self.bundle.var / "run/edge/join.sock"), "--listen", "[::]:8443"]
        words += ["--hub-list", str(self.bundle.var / "run/edge/hub.json")]
        self.endpoint = self.front.start(
            sys.executable, "-m", "hooks.edge.endpoint", *words, PYTHONPATH=str(ROOT)
        )
        until((run / "certificate.pem").exists, "the endpoint's certificate")

    def lose_certificate(self) -> None:
        """Let the endpoint make another certificate, as after the loss of its folder, and record it."""
        assert self.endpoint is not None
        self.endpoint.kill()
        self.endpoint.wait()
        shutil.rmtree(self.state / "endpoint")
        (self.bundle.var / "run/edge-endpoint/certificate.pem").unlink()
        self.start_endpoint()
        self.bundle.onext("edge", "init")

    def start_hub(self) -> None:
        """Start the hub's process."""
        words = ["--list", str(self.bundle.var / "run/edge/hub.json")]
        words += ["--key", str(self.bundle.var / "edge/hub.key")]
        self.hub = self.front.start(sys.executable, "-m", "hooks.edge.hub", *words, PYTHONPATH=str(ROOT))

    def start_worker(self) -> None:
        """Start the worker and wait until it takes requests."""
        command = "from onext.cli.main import main; main()"
        self.worker = subprocess.Popen(
            [sys.executable, "-c", command, "worker"],
            cwd=ROOT,
            env={**self.bundle.sandbox.env, "SSH_AUTH_SOCK": str(self.agent)},
            stderr=subprocess.DEVNULL,
        )
        until((self.bundle.var / "run/edge/join.sock").exists, "the worker's socket")

    def token(self, *options: str) -> str:
        """Make a join token for cluster 100."""
        cluster = () if "--cluster" in options else ("--cluster", "100")
        return self.bundle.onext("edge", "token", *cluster, *options).stdout.strip()

    @property
    def hub_address(self) -> str:
        """The front-end's address in the overlay."""
        return str(json.loads((self.bundle.var / "run/edge/hub.json").read_text())["address"])

    def listed(self) -> dict[str, dict[str, object]]:
        """Return the nodes by name; of several with one name the last."""
        rows = {row["name"]: row for row in json.loads(self.bundle.onext("edge", "list", "--json").stdout)}
        return {name: {key: row[key] for key in row if key != "over"} for name, row in rows.items()}

    def over(self, name: str) -> str:
        """Return by which protocol a node dials in, as the hub reports it every ten seconds."""
        return str(json.loads(self.bundle.onext("edge", "show", name, "--json").stdout)["over"])

    def ssh(self, host: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Log in from the front-end, with nothing but what onext configured."""
        config = self.bundle.var / "edge/ssh_config"
        return self.front.run(
            "ssh",
            "-F",
            str(config),
            "-o",
            "BatchMode=yes",
            "-l",
            "root",
            host,
            *words,
            check=False,
            seconds=30,
        )

    def end(self) -> None:
        """End the worker; what runs in the machine ends with it."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()
        self._agents.cleanup()


class Network(FrontEnd):
    """The first front-end and the ways to it."""

    def __init__(self, folder: Path, sandbox: Sandbox, host: str = FRONT) -> None:
        self.folder, self.sandbox = folder, sandbox
        self.program = folder / "onext-edge.pyz"
        build.write(str(self.program))
        self.spaces: list[Space] = []
        self.internet, front = self._space("internet"), self._space("front")
        self.internet.sysctl("net.ipv4.ip_forward=1")
        self._wan(front, "front", 0)
        self.nats = {"a": self._nat("a", 128), "b": self._nat("b", 192)}
        super().__init__(folder, front, Bundle(sandbox), host)

    def second(self, sandbox: Sandbox) -> FrontEnd:
        """Return another front-end of the zone, which sees oned as `sandbox`."""
        space = self._space("second")
        self._wan(space, "second", 64)
        return FrontEnd(space.folder, space, Bundle(sandbox), "203.0.113.66")

    def _wan(self, space: Space, name: str, base: int) -> None:
        """Connect a machine to the internet."""
        link(space, "wan", f"203.0.113.{base + 2}/26", self.internet, name, f"203.0.113.{base + 1}/26")
        space.run("ip", "route", "add", "default", "via", f"203.0.113.{base + 1}")

    def _space(self, name: str) -> Space:
        folder = self.folder / name
        folder.mkdir()
        self.spaces.append(Space(folder))
        return self.spaces[-1]

    def _nat(self, name: str, base: int) -> Space:
        space = self._space(f"nat-{name}")
        space.sysctl("net.ipv4.ip_forward=1")
        self._wan(space, f"nat{name}", base)
        space.run("ip", "link", "add", "lan", "type", "bridge")
        space.run("ip", "addr", "add", "192.168.1.1/24", "dev", "lan")
        space.run("ip", "link", "set", "lan", "up")
        space.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE")
        for chain in ("FORWARD", "INPUT"):  # as routers do: what nobody asked for leaves no trace
            space.run("iptables", "-A", chain, "-i", "wan", "-m", "state", "--state", "NEW", "-j", "DROP")
        return space

    def node(self, name: str, nat: str, number: int) -> Node:
        """Return a new machine behind a NAT."""
        made = Node(self.folder / f"node-{name}", name, self.program)
        self.spaces.append(made)
        self.plug(made, nat, number)
        return made

    def plug(self, node: Node, nat: str, number: int) -> None:
        """Connect a node to a NAT's network."""
        link(node, "eth0", f"192.168.1.{number}/24", self.nats[nat], f"port{number}", "")
        self.nats[nat].run("ip", "link", "set", f"port{number}", "master", "lan")
        node.run("ip", "route", "add", "default", "via", "192.168.1.1")

    def end(self) -> None:
        """End everything."""
        super().end()
        for space in reversed(self.spaces):
            space.end()


@contextmanager
def network(
    folder: Path, sandboxes: Callable[..., Sandbox], pool: str = IPV6, host: str = FRONT
) -> Iterator[Network]:
    """Return a network whose front-end is initialised with a pool, and runs."""
    sandbox = sandboxes("--hosts", "0", "--step", "0.02", "--monitor", "1")
    made = Network(folder, sandbox, host)
    try:
        for name in ("alpha", "beta"):
            sandbox.call("cluster.allocate", name)
        made.start_endpoint()
        made.bundle.onext("edge", "init", "--pool", pool)
        made.start_worker()
        made.start_hub()
        yield made
    finally:
        made.end()
