"""The hypervisors behind ssh: every host of the pool is a small machine with its own loopback address.

A node is a folder, `nodes/<name>` below ONE_LOCATION: commands run there by `sh -c`, with the node's `bin`
first in PATH, so that `ip --json address show` prints that node's addresses and a test can put any program on
it. asyncssh does the protocol; it is imported when the first node is asked for.
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import shutil
import threading
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import ApiError
from sandbox.iproute import links
from sandbox.ports import free_port
from sandbox.processes import Children

if TYPE_CHECKING:
    import asyncssh

_SECONDS = 60.0  # for a node to begin or to end; more than any machine needs
BEHAVIOURS = ("ok", "refuse", "mute", "hang")
_FIRST = ipaddress.IPv4Address("127.18.0.1")  # the first node's own address
_IP = '#!/bin/sh\ncase "$*" in *addr*) exec cat "$HOME/addresses.json" ;; esac\nexit 1\n'
_HOST = """Host {name}
    HostName {address}
    Port {port}
    HostKeyAlias {name}
    User oneadmin
    UserKnownHostsFile "{folder}/known_hosts"
    IdentityFile "{folder}/id_ed25519"
    IdentitiesOnly yes

"""


@dataclass
class Node:
    """One node: its addresses, and how it behaves.

    `ok`; `refuse`: no program listens; `mute`: connections are accepted without an answer, as by a machine
    whose kernel hangs; `hang`: commands begin and never end.
    """

    name: str
    address: str
    home: Path
    behaves: str = "ok"
    listener: "asyncssh.SSHAcceptor | asyncio.Server | None" = None
    addresses: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Make the node's folder and what `ip` prints there."""
        (self.home / "bin").mkdir(parents=True, exist_ok=True)
        ip = self.home / "bin/ip"
        ip.write_text(_IP)
        ip.chmod(0o755)
        (self.home / "addresses.json").write_text(json.dumps(links(self.addresses)))


class Nodes:
    """All nodes, served by one thread."""

    def __init__(self, location: Path, children: Children) -> None:
        self._location, self._children = location, children
        self._nodes: dict[str, Node] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port = 0
        self._given = 0
        self._key: Any = None

    def set(self, name: str, addresses: Iterable[str] | None, behaves: str) -> None:
        """Make a node, or change its addresses and how it behaves."""
        if behaves not in BEHAVIOURS:
            raise ApiError(f"a node cannot behave {behaves}: {', '.join(BEHAVIOURS)}")
        with self._lock:
            loop = self._loop or self._start()
            node = self._nodes.get(name) or self._new(name)
            if addresses is not None:
                node.addresses = list(addresses)
            node.behaves = behaves
            node.write()
            self._wait(loop, self._serve(node))
            self._configure()

    def behave(self, name: str, behaves: str) -> None:
        """Change how a node behaves, if there is such a node."""
        if name in self._nodes:
            self.set(name, None, behaves)

    def stop(self) -> None:
        """Serve no more."""
        with self._lock:
            if self._loop:
                self._wait(self._loop, self._close())
                self._loop.call_soon_threadsafe(self._loop.stop)

    async def _close(self) -> None:
        for node in self._nodes.values():
            if node.listener:
                node.listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _new(self, name: str) -> Node:
        node = Node(name, str(_FIRST + self._given), self._location / "nodes" / name)
        self._given += 1
        self._nodes[name] = node
        return node

    def _start(self) -> asyncio.AbstractEventLoop:
        import asyncssh

        folder = self._location / "nodes"
        folder.mkdir(exist_ok=True)
        for name in ("host_key", "id_ed25519"):
            key = asyncssh.generate_private_key("ssh-ed25519", comment="sandbox")
            key.write_private_key(folder / name)
            key.write_public_key(folder / f"{name}.pub")
            (folder / name).chmod(0o600)
        self._port = free_port(str(_FIRST))
        loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(loop,), name="nodes", daemon=True).start()
        self._loop = loop
        return loop

    def _wait(self, loop: asyncio.AbstractEventLoop, task: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(task, loop).result(_SECONDS)

    async def _serve(self, node: Node) -> None:
        import asyncssh

        if node.listener:
            node.listener.close()
            await node.listener.wait_closed()
            node.listener = None
        if node.behaves == "refuse":
            return
        if node.behaves == "mute":
            node.listener = await asyncio.start_server(_say_nothing, node.address, self._port)
            return
        folder = self._location / "nodes"
        node.listener = await asyncssh.listen(
            node.address,
            self._port,
            server_host_keys=[str(folder / "host_key")],
            authorized_client_keys=str(folder / "id_ed25519.pub"),
            process_factory=lambda process: self._session(node, process),
            encoding=None,
            login_timeout=0,
        )

    async def _session(self, node: Node, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """Run one command on a node, its streams connected to the client's."""
        if node.behaves == "hang":
            await process.stdin.channel.wait_closed()
            return
        env = {"HOME": str(node.home), "NODE": node.name, "PATH": f"{node.home}/bin:{os.environ['PATH']}"}
        ran = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command or "true"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=node.home,
            env=env,
        )
        with self._children.spared(ran.pid):
            await process.redirect(stdin=ran.stdin, stdout=ran.stdout, stderr=ran.stderr)
            code = await ran.wait()
            await process.stdout.drain()
        with contextlib.suppress(OSError):
            process.exit(code)

    def _configure(self) -> None:
        """Write ssh_config and known_hosts: every node by its name, and no other."""
        folder = self._location / "nodes"
        key = (folder / "host_key.pub").read_text()
        hosts = [
            _HOST.format(name=node.name, address=node.address, port=self._port, folder=folder)
            for node in self._nodes.values()
        ]
        _replace(self._location / "ssh_config", "".join(hosts))
        _replace(folder / "known_hosts", "".join(f"{name} {key}" for name in self._nodes))


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    shutil.move(fresh, path)
