"""The decision on a scoped token, in a process of its own: verify, state facts, evaluate, compose."""

from __future__ import annotations

import resource
import signal
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Connection
from typing import Any

from biscuit_auth import (
    Biscuit,
    BiscuitBlockError,
    BiscuitBuildError,
    BiscuitValidationError,
    BlockBuilder,
    DataLogError,
    KeyPair,
    PrivateKey,
    UnverifiedBiscuit,
)

from gateway.questions import Answer, Question
from onext.biscuit import keys, policy, tokens
from onext.biscuit.errors import BiscuitError

LONGEST, MOST_BLOCKS = 16 << 10, 30  # as the driver's, less the block that is added
EXPIRES = timedelta(seconds=60)
_CPU = 2.0  # seconds of one decision
_MEMORY = 1 << 30  # bytes
_FACTS = "operation({operation}); resource({kind}, {id}); check if time($now), $now <= {expires}"


def public_of(private: str) -> str:
    """Return the public half of a private key in hexadecimal digits; raise ValueError unless ed25519."""
    public = str(keys.public_of(keys.parse_private(private)))
    if not public.startswith("ed25519/"):
        raise ValueError("an ed25519 key is expected")
    return public.removeprefix("ed25519/")


def trusts(secret: str, public: str) -> bool:
    """Return whether a secret is a token with a block that names this key; nothing of it is believed."""
    if len(secret) > LONGEST or len(secret) < 100:
        return False
    try:
        token = UnverifiedBiscuit.from_base64(tokens.normal(secret))
        count = token.block_count()
        return count <= MOST_BLOCKS and any(public in token.block_source(one) for one in range(count))
    except (BiscuitValidationError, BiscuitBlockError):
        return False


def decide(question: Question, private: PrivateKey) -> Answer:
    """Return the token with a block that vouches for the first fact; refuse unless every fact passes."""
    try:
        token = tokens.verified(tokens.normal(question.token), _stored(question.stored))
    except (BiscuitError, ValueError):
        return Answer(refused="OpenNebula does not know this token of this user", unknown=True)
    composed = ""
    for operation, kind, number in question.facts:
        try:
            vouched = _vouched(token, private, operation, kind, number)
            policy.check(vouched, question.user)
        except BiscuitError as error:
            return Answer(refused=_explained(token, f"{operation} on {kind} {number}: {error}"))
        composed = composed or vouched.to_base64()
    return Answer(token=composed)


def _stored(text: str) -> list[Any]:
    if not text:
        raise ValueError("no key")
    return [keys.parse_stored(one) for one in text.split(keys.SEPARATOR)]


def _vouched(token: Biscuit, private: PrivateKey, operation: str, kind: str, number: int) -> Biscuit:
    values = {
        "operation": operation, "kind": kind, "id": number, "expires": datetime.now(timezone.utc) + EXPIRES,
    }  # fmt: skip
    try:
        block = token.third_party_request().create_block(private, BlockBuilder(_FACTS, values))
        return token.append_third_party(KeyPair.from_private_key(private).public_key, block)
    except (BiscuitBlockError, BiscuitBuildError, BiscuitValidationError, DataLogError):
        raise BiscuitError("the gateway can vouch for no sealed token") from None


def _explained(token: Biscuit, reason: str) -> str:
    """Return why a call is refused, and whether the token has a check that nothing can fulfil."""
    for number in range(token.block_count()):
        for line in token.block_source(number).splitlines():
            if line.startswith("check") and "operation(" in line and "trusting" not in line:
                return "a check on operation() without `trusting` this gateway can never be fulfilled"
    return reason[:300]


def serve(pipe: Connection[Any, Any], key: str) -> None:
    """Answer questions until the pipe ends; a decision that computes for too long ends this process."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    private = keys.parse_private(key)
    while True:
        try:
            question = pipe.recv()
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_PROF, _CPU)
        answer = decide(question, private)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(answer)
