"""The servers of this zone: each authenticates with its own driver and its own revocation list.

`onezone serversync` copies neither; what must be the same everywhere goes over ssh as the user who runs
this (oneadmin, whose servers trust each other), to fixed commands, with the data on standard input.
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


@dataclass(frozen=True)
class Server:
    """One server of the zone; `host` is the name in its endpoint."""

    id: int
    name: str
    host: str
    here: bool


@dataclass(frozen=True)
class Answer:
    """What a server said to a command, or why it did not."""

    server: Server
    done: bool
    text: str


def servers(oned: Oned, configuration: Element) -> list[Server]:
    """Return every server of this zone, none when it stands alone.

    `configuration` is that of one.system.config, which knows the zone.
    """
    zone = oned.document("zone.info", int(configuration.findtext("FEDERATION/ZONE_ID") or 0), False)
    here = oned.raft().server_id
    return [_server(element, here) for element in zone.iterfind("SERVER_POOL/SERVER")]


def ask(server: Server, paths: Paths, words: Sequence[str], data: bytes = b"") -> Answer:
    """Run `onext biscuit WORDS` on another server; never raises for what happens there."""
    location = ["env", f"ONE_LOCATION={paths.location}"] if paths.location else []
    command = [*location, str(paths.bin / "onext"), "biscuit", *words]
    try:
        done = ssh.run(server.host, command, timeout=TIMEOUT, input=data)
    except ValueError as error:
        return Answer(server, False, f"its endpoint: {error}")
    except CommandError as error:
        said = error.output.decode("utf-8", "backslashreplace").strip().splitlines()
        return Answer(server, False, said[-1] if said else str(error))
    return Answer(server, True, done.stdout.decode("utf-8", "replace").strip())


def _server(element: Element, here: int) -> Server:
    number = int(element.findtext("ID", "-1"))
    endpoint = urlsplit(element.findtext("ENDPOINT", ""))
    return Server(number, element.findtext("NAME", ""), endpoint.hostname or "", number == here)
