"""Join tokens: one word with the servers, the key of their answers, and a biscuit."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime, timezone

from biscuit_auth import BiscuitBuilder, PrivateKey

from hooks.edge import secrets
from hooks.edge.records import Server, Token, Zone
from hooks.edge.secrets import Secrets

PREFIX = "onext-edge"  # as in edge/word.py


def word(kept: Secrets, zone: Zone, servers: Iterable[Server], number: int, token: Token) -> str:
    """Return the word for the record `number`."""
    body = {"servers": [[s.endpoint, s.digest] for s in servers], "key": zone.answer_key}
    encoded = base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")
    return f"{PREFIX}:{encoded}:{_biscuit(kept, number, token)}"


def _biscuit(kept: Secrets, number: int, token: Token) -> str:
    private = PrivateKey(f"ed25519-private/{kept.read(secrets.TOKEN).decode()}")
    built = BiscuitBuilder(
        "edge_token({id}); edge_cluster({cluster}); edge_names({names}); edge_uses({uses});"
        "check if time($time), $time <= {expires}",
        {
            "id": number,
            "cluster": token.cluster,
            "names": token.pattern,
            "uses": token.uses,
            "expires": datetime.fromtimestamp(token.expires, timezone.utc),
        },
    )
    return built.build(private).to_base64()
