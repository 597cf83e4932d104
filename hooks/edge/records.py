"""What is known of edge nodes, as documents of oneadmin: the zone, its servers, tokens, nodes.

Nodes are never deleted: a number, and so an overlay address, is given once, and the keys of nodes that left
stay revoked.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

from edge import overlay
from edge.overlay import Pool
from hooks.edge.addresses import most_nodes, most_servers
from hooks.edge.forms import HEX_KEY, PATTERN, SSH_KEY, WHERE, WIREGUARD_KEY, matching
from onext import bounds
from onext.oned.client import Oned
from onext.oned.documents import Documents, Kind, Stored, read
from onext.payload import valid_host_name

ZONE = 0  # the number of the one record of its kind
_TIME = 1e11  # seconds
_T = TypeVar("_T")


class State(Enum):
    """What a node is allowed: only one that is joining or active is a peer."""

    JOINING = "joining"
    ACTIVE = "active"
    LEAVING = "leaving"
    LEFT = "left"
    REVOKED = "revoked"

    @property
    def peer(self) -> bool:
        """Whether a node in this state may use the tunnel."""
        return self in (State.JOINING, State.ACTIVE, State.LEAVING)


@dataclass(frozen=True)
class Zone:
    """What all servers of the zone share; keys are public ones."""

    pool: Pool
    token_key: str  # Ed25519, hex: signs join tokens
    answer_key: str  # Ed25519, hex: signs answers to nodes
    user_ca: str
    host_ca: str
    revoked_users: tuple[str, ...] = ()  # oneadmin's keys that were replaced
    former_host_ca: str = ""
    host_ca_since: float = 0.0  # when it was replaced


@dataclass(frozen=True)
class Server:
    """One front-end: where nodes reach it."""

    name: str
    endpoint: str  # HOST:PORT, HTTPS
    digest: str  # SHA-256 of the endpoint's certificate, hex
    hub: str  # HOST:PORT, UDP
    hub_key: str


@dataclass(frozen=True)
class Token:
    """A join token: what it allows, and who used it (identity keys of nodes)."""

    cluster: int
    pattern: str  # of host names, as in fnmatch
    created: float
    expires: float
    uses: int
    used: tuple[str, ...] = ()
    revoked: bool = False


@dataclass(frozen=True)
class Node:
    """A node; `number` gives its overlay address. `session` changes with each join."""

    name: str
    cluster: int
    state: State
    identity: str  # Ed25519, hex: signs the node's requests
    wireguard: str
    ssh_key: str
    session: str
    token: int
    joined: float
    host: int = -1  # the id of OpenNebula's host; -1: none yet, -2: its allocation was begun
    revoked_keys: tuple[str, ...] = field(default=())  # ssh host keys that it had before
    certified: float = 0.0  # when it got a certificate, to an hour


def host_name(text: object) -> str:
    """Return a host name that oned takes and that no file or option misreads; raise ValueError."""
    if not isinstance(text, str) or not valid_host_name(text) or len(text) > 64:
        raise ValueError("not a host name of at most 64 letters, digits, dots and dashes")
    if text.replace(".", "").isdigit() or _address(text):
        raise ValueError("a host name that looks like an address")
    return text.lower()


def _address(text: str) -> bool:
    """Whether programs take a name for an address: 0x7f000001, 0177.1."""
    try:
        socket.inet_aton(text)
    except OSError:
        return False
    return True


def whole(text: str, low: int, high: int) -> int:
    """Return an integer; raise ValueError."""
    found = bounds.whole(text, low, high)
    if found is None:
        raise ValueError(f"{bounds.words(text, 20)!r} is not a number from {low} to {high}")
    return found


def _seconds(text: str) -> float:
    found = bounds.number(text, 0, _TIME)
    if found is None:
        raise ValueError(f"{bounds.words(text, 20)!r} is not a time")
    return found


def _words(text: str, form: re.Pattern[str], separator: str = ",") -> tuple[str, ...]:
    return tuple(matching(form, word, "a key") for word in text.split(separator) if word)


def _zone(values: Mapping[str, str]) -> Zone:
    return Zone(
        overlay.pool(values["POOL"]),
        matching(HEX_KEY, values["TOKEN_KEY"], "TOKEN_KEY"),
        matching(HEX_KEY, values["ANSWER_KEY"], "ANSWER_KEY"),
        matching(SSH_KEY, values["USER_CA"], "USER_CA"),
        matching(SSH_KEY, values["HOST_CA"], "HOST_CA"),
        _words(values.get("REVOKED_USERS", ""), SSH_KEY),
        matching(SSH_KEY, former, "FORMER_HOST_CA") if (former := values.get("FORMER_HOST_CA", "")) else "",
        _seconds(values.get("HOST_CA_SINCE", "0")),
    )


def _server(values: Mapping[str, str]) -> Server:
    return Server(
        bounds.words(values["SERVER"], 128),
        matching(WHERE, values["ENDPOINT"], "ENDPOINT"),
        matching(HEX_KEY, values["DIGEST"], "DIGEST"),
        matching(WHERE, values["HUB"], "HUB"),
        matching(WIREGUARD_KEY, values["HUB_KEY"], "HUB_KEY"),
    )


def _token(values: Mapping[str, str]) -> Token:
    return Token(
        whole(values["CLUSTER"], 0, 2**31),
        matching(PATTERN, values["PATTERN"], "PATTERN"),
        _seconds(values["CREATED"]),
        _seconds(values["EXPIRES"]),
        whole(values["USES"], 1, 200),
        _words(values.get("USED", ""), HEX_KEY),
        values.get("REVOKED") == "YES",
    )


def _node(values: Mapping[str, str]) -> Node:
    return Node(
        host_name(values["HOST_NAME"]),
        whole(values["CLUSTER"], 0, 2**31),
        State(values["STATE"]),
        matching(HEX_KEY, values["IDENTITY"], "IDENTITY"),
        matching(WIREGUARD_KEY, values["WIREGUARD"], "WIREGUARD"),
        matching(SSH_KEY, values["SSH_KEY"], "SSH_KEY"),
        bounds.words(values["SESSION"], 64),
        whole(values["TOKEN"], 0, 10**9),
        _seconds(values["JOINED"]),
        whole(values["HOST"], -2, 2**31),
        _words(values.get("REVOKED_KEYS", ""), SSH_KEY),
        _seconds(values.get("CERTIFIED", "0")),
    )


ZONES = Kind[Zone](
    "edgezone",
    lambda z: {
        "POOL": str(z.pool),
        "TOKEN_KEY": z.token_key,
        "ANSWER_KEY": z.answer_key,
        "USER_CA": z.user_ca,
        "HOST_CA": z.host_ca,
        "REVOKED_USERS": ",".join(z.revoked_users[-100:]),
        "FORMER_HOST_CA": z.former_host_ca,
        "HOST_CA_SINCE": str(int(z.host_ca_since)),
    },
    _zone,
)
SERVERS = Kind[Server](
    "edgeserver",
    lambda s: {
        "SERVER": s.name,
        "ENDPOINT": s.endpoint,
        "DIGEST": s.digest,
        "HUB": s.hub,
        "HUB_KEY": s.hub_key,
    },
    _server,
)
TOKENS = Kind[Token](
    "edgetoken",
    lambda t: {
        "CLUSTER": str(t.cluster),
        "PATTERN": t.pattern,
        "CREATED": str(int(t.created)),
        "EXPIRES": str(int(t.expires)),
        "USES": str(t.uses),
        "USED": ",".join(t.used),
        "REVOKED": "YES" if t.revoked else "NO",
    },
    _token,
)
NODES = Kind[Node](
    "edgenode",
    lambda n: {
        "HOST_NAME": n.name,
        "CLUSTER": str(n.cluster),
        "STATE": n.state.value,
        "IDENTITY": n.identity,
        "WIREGUARD": n.wireguard,
        "SSH_KEY": n.ssh_key,
        "SESSION": n.session,
        "TOKEN": str(n.token),
        "JOINED": str(int(n.joined)),
        "HOST": str(n.host),
        "REVOKED_KEYS": ",".join(n.revoked_keys[-100:]),
        "CERTIFIED": str(int(n.certified)),
    },
    _node,
)


@dataclass(frozen=True)
class View:
    """The records of all kinds as one call found them."""

    zones: dict[int, Stored[Zone]]
    servers: dict[int, Stored[Server]]
    tokens: dict[int, Stored[Token]]
    nodes: dict[int, Stored[Node]]

    @property
    def valid(self) -> dict[int, Node]:
        """Every node that can be read, by number."""
        return {number: stored.value for number, stored in self.nodes.items() if stored.value}

    def free(self, pool: Pool) -> int:
        """Return the number of the next node: records that cannot be read keep theirs."""
        return max((number for number in self.nodes if number < most_nodes(pool)), default=-1) + 1

    @property
    def front_ends(self) -> dict[int, Server]:
        """Every server that can be read, by its number."""
        return {number: stored.value for number, stored in self.servers.items() if stored.value}


@dataclass
class Book:
    """The records of all kinds."""

    oned: Oned

    zones: Documents[Zone]
    servers: Documents[Server]
    tokens: Documents[Token]
    nodes: Documents[Node]

    @classmethod
    def of(cls, oned: Oned) -> Book:
        """Return the records of a front-end."""
        return cls(
            oned,
            Documents(oned, ZONES),
            Documents(oned, SERVERS),
            Documents(oned, TOKENS),
            Documents(oned, NODES),
        )

    def view(self) -> View:
        """Read all kinds at once; raise an OnedError. A record whose number has no address is invalid."""
        found = read(self.oned)
        zones, servers, nodes = self.zones.all(found), self.servers.all(found), self.nodes.all(found)
        zone = zones[ZONE].value if ZONE in zones else None
        if zone is not None:
            servers = _numbered(servers, most_servers(zone.pool), zone.pool)
            nodes = _numbered(nodes, most_nodes(zone.pool), zone.pool)
        return View(zones, servers, self.tokens.all(found), nodes)


def _numbered(records: dict[int, Stored[_T]], most: int, pool: Pool) -> dict[int, Stored[_T]]:
    """Return the records, those beyond the pool without their values."""
    return {
        number: stored
        if number < most
        else replace(stored, value=None, problem=f"pool {pool} has no address for number {number}")
        for number, stored in records.items()
    }
