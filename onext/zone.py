"""The servers of this zone, each with its own bundle, drivers and lists: `onezone serversync` copies none.

What must be the same everywhere goes over ssh as oneadmin, whose servers trust each other, to fixed
commands, with the data on standard input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from onext import ssh
from onext.oned.client import Oned
from onext.paths import Paths
from onext.process import CommandError
from onext.xml import Element

TIMEOUT = 20.0  # seconds for one server, connecting included
_SSH_FAILED = 255  # ssh(1), EXIT STATUS


@dataclass(frozen=True)
class Server:
    """One server of the zone; `host` is the name in its endpoint."""

    id: int
    name: str
    host: str
    here: bool


@dataclass(frozen=True)
class Answer:
    """A server's answer to a command, or why it is missing."""

    server: Server
    done: bool
    text: str


def servers(oned: Oned, configuration: Element) -> list[Server]:
    """Return every server of this zone, none when it is the only one.

    `configuration` is that of one.system.config, which knows the zone.
    """
    zone = oned.document("zone.info", int(configuration.findtext("FEDERATION/ZONE_ID") or 0), False)
    here = oned.raft().server_id
    return [_server(element, here) for element in zone.iterfind("SERVER_POOL/SERVER")]


def others(oned: Oned, configuration: Element) -> list[Server]:
    """Return every server of this zone but this one."""
    return [server for server in servers(oned, configuration) if not server.here]


def ask(
    server: Server,
    paths: Paths,
    words: Sequence[str],
    data: bytes = b"",
    *,
    timeout: float = TIMEOUT,
    check: bool = True,
) -> Answer:
    """Run `onext WORDS` on another server; never raises for what happens there.

    Without `check` a command that ends with an exit code has answered, but for ssh's own, 255.
    """
    location = ["env", f"ONE_LOCATION={paths.location}"] if paths.location else []
    command = [*location, str(paths.bin / "onext"), *words]
    try:
        done = ssh.run(server.host, command, timeout=timeout, input=data, check=check)
    except ValueError as error:
        return Answer(server, False, f"its endpoint: {error}")
    except CommandError as error:
        return Answer(server, False, _last_line(error.output) or str(error))
    if done.exit_code == _SSH_FAILED:
        return Answer(server, False, _last_line(done.stderr) or "ssh failed")
    return Answer(server, True, done.stdout.decode("utf-8", "replace").strip())


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "backslashreplace").strip().splitlines()
    return lines[-1] if lines else ""


def _server(element: Element, here: int) -> Server:
    number = int(element.findtext("ID", "-1"))
    endpoint = urlsplit(element.findtext("ENDPOINT", ""))
    return Server(number, element.findtext("NAME", ""), endpoint.hostname or "", number == here)
