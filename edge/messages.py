"""Requests that this node signs, and answers that the front-end's worker signed for just that request.

The HTTPS endpoint between them can read both, and can neither change nor replay one.
"""

import base64
import hashlib
import json
import os
import time
from typing import Any, Dict

from edge import ed25519
from edge.errors import Refused, WrongServer

REQUEST, ANSWER = b"onext-edge request 1\0", b"onext-edge answer 1\0"  # what is signed begins with it
LARGEST = 2 << 20  # bytes of an answer


class Asked:
    """A request as it is sent, and what its answer must refer to."""

    def __init__(self, secret: bytes, action: str, values: Dict[str, Any]) -> None:
        body = dict(values, action=action, time=int(time.time()), nonce=os.urandom(16).hex())
        data = json.dumps(body, sort_keys=True).encode()
        self.digest = hashlib.sha256(data).hexdigest()
        envelope = {
            "body": base64.b64encode(data).decode(),
            "key": ed25519.public(secret).hex(),
            "signature": ed25519.sign(secret, REQUEST + data).hex(),
        }
        self.data = json.dumps(envelope).encode()


def opened(asked: Asked, key: str, data: bytes) -> Dict[str, Any]:
    """Return the content of an answer to a request; raise WrongServer or Refused."""
    try:
        envelope = json.loads(data.decode())
        body = base64.b64decode(envelope["body"])
        valid = ed25519.verify(bytes.fromhex(key), ANSWER + body, bytes.fromhex(envelope["signature"]))
        answer = json.loads(body.decode()) if valid else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or answer.get("to") != asked.digest:
        raise WrongServer(
            "the answer is not signed by the front-end that made the token: nothing was changed"
        )
    if answer.get("result") != "ok":
        raise Refused(printable(answer.get("message")))
    return answer


def printable(text: object) -> str:
    """Return a text of the other side on one line, for a person."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:500])
