"""The join token: one word with where to go, whom to trust there, and the biscuit that allows a join.

    onext-edge:<base64 of {"servers": [["HOST:PORT", "SHA-256 of its certificate"], …], "key": "…"}>:<biscuit>

The biscuit is last, so that `onext biscuit attenuate` narrows the word like any token.
"""

import base64
import json
import re
from typing import List, NamedTuple, Tuple

from edge import narrowing
from edge.errors import InvalidToken

PREFIX = "onext-edge"
LONGEST = 16384  # characters
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_MOST = 32  # servers


IN_TUNNEL = ""  # in the place of a hash: WireGuard knows who answers


class Server(NamedTuple):
    """A front-end's endpoint: its name and port, and the SHA-256 of its certificate in hex, or IN_TUNNEL."""

    host: str
    port: int
    digest: str


class Word(NamedTuple):
    """A join token; `key` is the Ed25519 key that signs the front-end's answers, in hex."""

    servers: Tuple[Server, ...]
    key: str
    biscuit: str


def read(text: str) -> Word:
    """Return the parts of a token, which a mail may have broken into lines; raise InvalidToken."""
    parts = _one_word(text).split(":")
    if len(text) > LONGEST or len(parts) != 3 or parts[0] != PREFIX:
        raise InvalidToken(f"not a join token: `onext edge token` prints one word, {PREFIX}:…")
    try:
        body = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode("ascii"))
        return Word(servers(body["servers"]), checked(_HASH, body["key"]), parts[2])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidToken("the join token is cut or altered: copy the whole word") from None


def narrowed(text: str, name: str) -> str:
    """Return a token that lets a host of this name join, and no other; raise InvalidToken."""
    biscuit = narrowing.bind(read(text).biscuit, "name", name)
    return ":".join([*_one_word(text).split(":")[:2], biscuit])


def _one_word(text: str) -> str:
    return "".join(text.split())


def servers(listed: object) -> Tuple[Server, ...]:
    """Return the servers of a list of [HOST:PORT, hash]; raise ValueError."""
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST:
        raise ValueError("no list of servers")
    found: List[Server] = []
    for where, digest in listed:
        host, port = split(where)
        found.append(Server(host, port, checked(_HASH, digest)))
    return tuple(found)


def split(where: str) -> Tuple[str, int]:
    """Return the host and port of HOST:PORT, an IPv6 address in brackets; raise ValueError."""
    host, _, port = str(where).rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}\Z", host) or not re.match(r"[0-9]{1,5}\Z", port):
        raise ValueError("not HOST:PORT")
    if not all(0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise ValueError("not a name that can be looked up")
    if not 0 < int(port) < 65536:
        raise ValueError("not a port")
    return host, int(port)


def checked(form: "re.Pattern[str]", value: object) -> str:
    """Return a text that has a form; raise ValueError."""
    if not isinstance(value, str) or not form.match(value):
        raise ValueError("not of the expected form")
    return value
