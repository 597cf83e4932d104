"""Check a join token, in a process of its own: its holder may add blocks that compute for minutes.

Standard input: {"token": …, "key": hex, "name": …, "node_key": …}; standard output: {"id": 7} or
{"refused": "…"}. Run as a file, it imports nothing of onext.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Mapping
from datetime import timedelta

LARGEST = 16_384  # characters of a token
MAX_CPU = 2  # seconds
MOST_BLOCKS = 16
_EXPIRED = re.compile(r"check if time\(\$(\w+)\), \$\1 <=? ([-:.\w]+)")
_CHECK = re.compile(r"check (?:if|all) .*")


class Refused(Exception):
    """The token allows no join; the message is the reason."""


def check(given: Mapping[str, str]) -> int:
    """Return the number of the token's record; raise Refused."""
    from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit, BiscuitValidationError, PublicKey

    text = given["token"]
    if len(text) > LARGEST:
        raise Refused(f"the token is longer than {LARGEST} characters")
    try:
        token = Biscuit.from_base64(
            text.replace("+", "-").replace("/", "_"), PublicKey(f"ed25519/{given['key']}")
        )
        if token.block_count() > MOST_BLOCKS:
            raise Refused(f"the token has more than {MOST_BLOCKS} blocks")
        number, cluster = _stated(token, "edge_token"), _stated(token, "edge_cluster")
        builder = AuthorizerBuilder(
            "name({name}); node_key({node_key}); cluster({cluster});"
            "allow if edge_token({id}); reject if time($a), time($b), $a != $b;",
            {"name": given["name"], "node_key": given["node_key"], "cluster": cluster, "id": number},
        )
        _limits(builder)
        builder.set_time()  # type: ignore[attr-defined]  # biscuit-python 0.4's stub omits it
        builder.build(token).authorize()
    except BiscuitValidationError:
        raise Refused("the token is not signed by this zone, or was altered") from None
    except AuthorizationError as error:
        raise Refused(_reason(str(error))) from None
    return number


def _stated(token: object, name: str) -> int:
    """Return the one number that the authority block states, asked of the library and not read from text."""
    from biscuit_auth import AuthorizerBuilder, Rule

    builder = AuthorizerBuilder("allow if true")
    _limits(builder)
    rule = Rule(f'found($id) <- {name}($id), $id.type() == "integer"')
    found = builder.build(token).query(rule)  # type: ignore[arg-type]
    if len(found) != 1:
        raise Refused("the token is not a join token")
    return int(found[0].terms[0])


def _limits(builder: object) -> None:
    limits = builder.limits()  # type: ignore[attr-defined]
    limits.max_time = timedelta(seconds=MAX_CPU)
    builder.set_limits(limits)  # type: ignore[attr-defined]


def _reason(message: str) -> str:
    if expired := _EXPIRED.search(message):
        return f"the token expired at {expired[2]}"
    failed = _CHECK.search(message)
    return f"a restriction of the token is not met: {ascii(failed[0] if failed else message)[1:-1][:160]}"


def main() -> None:
    """Read one request, write one answer."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU, MAX_CPU))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: dict[str, object] = {"id": check(json.load(sys.stdin))}
    except Refused as error:
        answer = {"refused": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
