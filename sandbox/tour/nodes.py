"""The nodes of the sandbox behind ssh: each answers `ip --json address show` with addresses of its own.

`python -m sandbox.tour.nodes CONFIG NAME=ADDRESS[,ADDRESS] …` writes an ssh configuration by which the names
lead here, says so in one line, and runs until SIGTERM.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

import asyncssh

_QUESTION = "ip --json address show"
_HOST = """\
Host {name}
    HostName 127.0.0.1
    Port {port}
    HostKeyAlias sandbox
    UserKnownHostsFile "{known}"
    IdentityFile none
    User oneadmin
"""


class Node(asyncssh.SSHServer):
    """A node that lets everybody in: it listens on loopback, and knows one answer."""

    def begin_auth(self, username: str) -> bool:
        """Ask for no authentication."""
        del username
        return False


def answer(addresses: list[str]) -> str:
    """Return what iproute2 prints on a machine that has these addresses."""
    own = [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]
    public = [
        {
            "family": "inet6" if ":" in address else "inet",
            "local": address,
            "prefixlen": 24,
            "scope": "global",
        }
        for address in addresses
    ]
    links = [("lo", own), ("eth0", public)]
    return json.dumps([{"ifname": name, "operstate": "UP", "addr_info": info} for name, info in links])


async def serve(config: Path, nodes: dict[str, list[str]]) -> None:
    """Listen with one port for each node until SIGTERM."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    known = config.with_name("known_hosts")
    known.write_text(f"sandbox {key.export_public_key().decode()}")
    entries = []
    for name, addresses in nodes.items():

        def handle(process: asyncssh.SSHServerProcess[str], said: str = answer(addresses)) -> None:
            process.stdout.write(said if process.command == _QUESTION else "")
            process.exit(0 if process.command == _QUESTION else 127)

        listening = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], server_factory=Node, process_factory=handle
        )
        entries.append(_HOST.format(name=name, port=listening.get_port(), known=known))
    config.write_text("\n".join(entries))  # noqa: ASYNC240 - before anybody is served
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write(f"{len(entries)} nodes\n")
    sys.stdout.flush()
    await ended.wait()


def main() -> None:
    """Read the command line."""
    pairs = (word.partition("=") for word in sys.argv[2:])
    asyncio.run(serve(Path(sys.argv[1]), {name: addresses.split(",") for name, _, addresses in pairs}))


if __name__ == "__main__":
    main()
