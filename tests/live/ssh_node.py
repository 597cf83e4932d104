"""A hypervisor node that answers `ip --json address show` by ssh, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

_COMMAND = "ip --json address show"
_CONFIG = """\
Host onext-live-*
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {key}
    IdentitiesOnly yes
    UserKnownHostsFile {known_hosts}
    GlobalKnownHostsFile /dev/null
    HostKeyAlias onext-live-node
"""


@contextmanager
def node(folder: Path, addresses: list[str]) -> Iterator[Path]:
    """Answer as a node with these addresses; give the ssh_config that leads all our host names to it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "key").write_bytes(key.export_private_key())
    (folder / "known_hosts").write_bytes(b"onext-live-node " + host_key.export_public_key())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
            process_factory=lambda process: _answer(process, addresses),
        )

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    values = {
        "port": acceptor.get_port(),
        "user": "node",
        "key": folder / "key",
        "known_hosts": folder / "known_hosts",
    }
    (folder / "ssh_config").write_text(_CONFIG.format(**values))
    owner = folder.stat()
    for path in folder.iterdir():
        path.chmod(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
    try:
        yield folder / "ssh_config"
    finally:
        asyncio.run_coroutine_threadsafe(_close(acceptor), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _answer(process: asyncssh.SSHServerProcess[str], addresses: list[str]) -> None:
    if process.command != _COMMAND:
        process.exit(127)
        return
    info = [{"family": "inet6" if ":" in address else "inet", "local": address} for address in addresses]
    process.stdout.write(json.dumps([{"ifname": "eth0", "addr_info": info}]))
    process.exit(0)


async def _close(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()
