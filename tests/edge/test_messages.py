"""Requests and answers of the node program: each is signed, and an answer is for its request only."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from edge import ed25519, messages
from edge.errors import Refused, WrongServer

SECRET, FRONT_END = ed25519.generate(), ed25519.generate()
KEY = ed25519.public(FRONT_END).hex()


def answered(
    asked: messages.Asked, values: object = None, secret: bytes = FRONT_END, **changes: object
) -> bytes:
    """Return an answer as the front-end signs it, with parts of the envelope changed."""
    body = json.dumps({"to": asked.digest, "result": "ok"} if values is None else values).encode()
    envelope: dict[str, Any] = {
        "body": base64.b64encode(body).decode(),
        "signature": ed25519.sign(secret, messages.ANSWER + body).hex(),
    }
    return json.dumps({**envelope, **changes}).encode()


def test_a_request_is_signed_and_no_two_are_alike() -> None:
    """An answer to an earlier request would count for a later one."""
    one, other = (messages.Asked(SECRET, "sync", {"session": "s"}) for _ in range(2))
    assert one.digest != other.digest
    envelope = json.loads(one.data)
    body = base64.b64decode(envelope["body"])
    assert hashlib.sha256(body).hexdigest() == one.digest
    assert ed25519.verify(
        bytes.fromhex(envelope["key"]), messages.REQUEST + body, bytes.fromhex(envelope["signature"])
    )
    values = json.loads(body)
    assert (values["action"], values["session"], len(values["nonce"])) == ("sync", "s", 32)


def test_only_the_front_ends_answer_to_this_request_counts() -> None:
    """Whoever answers instead is root on the node."""
    asked = messages.Asked(SECRET, "sync", {})
    assert messages.opened(asked, KEY, answered(asked))["result"] == "ok"
    fine = {"to": asked.digest, "result": "ok"}
    for data in (
        answered(asked, secret=SECRET), answered(asked, {**fine, "to": "x"}), answered(asked, {"result": "ok"}),
        answered(asked, [fine]), answered(asked, signature="00" * 64), answered(asked, body="e30="), answered(asked, body=7),
        b"", b"[]", b"{}", b"\xff",
    ):  # fmt: skip
        with pytest.raises(WrongServer, match="nothing was changed"):
            messages.opened(asked, KEY, data)
    with pytest.raises(WrongServer):
        messages.opened(asked, "x", answered(asked))


def test_a_reason_is_printed_on_one_line_of_some_length() -> None:
    """A reason with control characters would rewrite an installer's terminal."""
    asked = messages.Asked(SECRET, "join", {})
    for result in ("refused", None, "OK"):
        values = {"to": asked.digest, "result": result, "message": "no\x1b[2J\n" + "x" * 600}
        with pytest.raises(Refused) as found:
            messages.opened(asked, KEY, answered(asked, values))
        assert str(found.value) == "no?[2J?" + "x" * 493
