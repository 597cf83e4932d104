"""A hypervisor node that is reached by ssh, on loopback: it says its addresses, and takes OpenNebula's drivers."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

EVERY_HOST_OF_OURS = "onext-live-*"
DOMAINS = "domains"
DRIVERS = "remotes"  # where `onehost sync` copies to, below the node's folder
_PIPES = 0.1  # seconds in which the loop hears that closed pipes have ended
_UNREACHABLE, _NO_SUCH_COMMAND = 255, 127
_CONFIG = """\
Host {names}
    HostName 127.0.0.1
    Port {port}
    User node
    IdentityFile {folder}/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    HostKeyAlias onext-live-node
"""


@dataclass(frozen=True)
class Node:
    """What the node is, and whether it answers: when it does not, sshd closes connections without a greeting."""

    folder: Path
    addresses: list[str]
    answers: Callable[[], bool]

    @property
    def domains(self) -> Path:
        """The names of the VMs that its libvirt runs, one a line."""
        return self.folder / DOMAINS

    async def answer(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one command, as far as the node knows it."""
        words = shlex.split(process.command or "")
        if not self.answers():
            process.exit(_UNREACHABLE)
        elif words == ["ip", "--json", "address", "show"]:
            process.stdout.write(self._interfaces())
            process.exit(0)
        elif words in (["true"], ["exec"]):  # `exec` is what onehost's mkdir comes down to
            process.exit(0)
        elif words[:1] == ["virsh"]:
            self._virsh(words, process)
        elif words[:2] == ["rsync", "--server"]:
            await self._rsync(words, process)
        else:
            process.exit(_NO_SUCH_COMMAND)

    def _interfaces(self) -> bytes:
        info = [
            {"family": "inet6" if ":" in address else "inet", "local": address} for address in self.addresses
        ]
        return json.dumps([{"ifname": "eth0", "addr_info": info}]).encode()

    def _virsh(self, words: list[str], process: asyncssh.SSHServerProcess[bytes]) -> None:
        names = self.domains.read_text().split() if self.domains.exists() else []
        if "destroy" in words:
            self.domains.write_text("\n".join(name for name in names if name != words[-1]))
        else:
            process.stdout.write("\n".join(names).encode())
        process.exit(0)

    async def _rsync(self, words: list[str], process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Take what is copied into the node's folder, whatever place the front-end named."""
        pipe = asyncio.subprocess.PIPE
        argv = [*words[:-1], f"{self.folder / DRIVERS}/"]
        running = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            await process.redirect(running.stdin, running.stdout, running.stderr)
            process.exit(await running.wait())
            await process.wait_closed()
        finally:  # a client that goes away leaves the pipes open, and by itself asyncio closes them never
            running._transport.close()  # type: ignore[attr-defined]
            await running.wait()


class _Connections(asyncssh.SSHServer):
    """Remembers whom it let in: a client that has not gone must be sent away at the end."""

    def __init__(self, clients: list[asyncssh.SSHServerConnection], answers: Callable[[], bool]) -> None:
        self._clients, self._answers = clients, answers

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember a client, or send it away."""
        self._clients.append(conn)
        if not self._answers():
            conn.abort()


@contextmanager
def node(
    folder: Path,
    addresses: list[str],
    *,
    names: str = EVERY_HOST_OF_OURS,
    answers: Callable[[], bool] = lambda: True,
) -> Iterator[Path]:
    """Be a node with these addresses; give the ssh_config that leads hosts of these names to it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "key").write_bytes(key.export_private_key())
    (folder / "known_hosts").write_bytes(b"onext-live-node " + host_key.export_public_key())
    clients: list[asyncssh.SSHServerConnection] = []
    played = Node(folder, addresses, answers)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
            server_factory=lambda: _Connections(clients, answers),
            process_factory=played.answer,
            encoding=None,
        )

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    config = _CONFIG.format(names=names, port=acceptor.get_port(), folder=folder)
    (folder / "ssh_config").write_text(config)
    owner = folder.stat()
    for path in folder.iterdir():
        path.chmod(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
    try:
        yield folder / "ssh_config"
    finally:
        asyncio.run_coroutine_threadsafe(_close(acceptor, clients), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _close(acceptor: asyncssh.SSHAcceptor, clients: list[asyncssh.SSHServerConnection]) -> None:
    acceptor.close()
    await acceptor.wait_closed()
    await _send_away(clients)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:  # of sessions whose clients have gone
        await asyncio.wait(others, timeout=5)
    await _send_away(clients)  # who were accepted before the end, and came in after it
    await asyncio.sleep(_PIPES)


async def _send_away(clients: list[asyncssh.SSHServerConnection]) -> None:
    while clients:
        client = clients.pop()
        client.abort()
        await client.wait_closed()
