"""Scoped tokens: biscuits that may do only what they name, because this gateway vouches for each call.

Such a token has `check if operation("vm:info"), resource("vm", 12) trusting ed25519/<gateway's key>`. For a
call the gateway states its operation and one object of it in a third-party block, and decides as OpenNebula's
driver would, once for every object; all must pass. Then the token with such a block, which expires in a
minute, is sent to oned and nowhere else: oned takes it for a password with all rights of the user.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import anyio.to_thread

from gateway.credentials import Credential
from gateway.limits import Buckets
from gateway.questions import Answer, Facts, Question
from gateway.refusals import Forbidden, Refusal, Unauthorised, Unavailable
from gateway.rpc.table import Call
from gateway.short_cache import ShortCache
from onext import log

SECONDS = 20.0  # for which a composed token is used again for the same call
PATIENCE = 10.0  # seconds for one decision
SPENT_PER_SECOND, SPENT_BURST = 0.2, 6.0  # seconds of decisions of one user
_MOST = 1024
_log = log.get("gateway")


@dataclass(frozen=True)
class Scopes:
    """Composes tokens; `keys` are the stored public keys of biscuit users, by name."""

    key: str  # the gateway's private key, as `onext biscuit keygen` writes it
    public: str  # its public half, 64 hexadecimal digits
    keys: Callable[[], Mapping[str, str]]
    _composed: ShortCache[Credential]
    _judge: Judge
    _spent: Buckets = field(default_factory=lambda: Buckets(SPENT_PER_SECOND, SPENT_BURST))

    @classmethod
    def of(cls, key: str, keys: Callable[[], Mapping[str, str]]) -> Scopes:
        """Return what composes with a private key; raise ValueError for another text, ImportError."""
        from gateway import vouching  # needs biscuit-python, which not every Python has

        return cls(key, vouching.public_of(key), keys, ShortCache(SECONDS, _MOST), Judge(key))

    def scoped(self, credential: Credential) -> bool:
        """Return whether a credential is a token that trusts this gateway."""
        from gateway import vouching

        return vouching.trusts(credential.secret, self.public)

    async def compose(self, credential: Credential, calls: Sequence[Call]) -> Credential:
        """Return the credential for calls, all of which must be permitted; raise Forbidden, Unauthorised."""
        if any(not call.scoped for call in calls):
            raise Forbidden("no scoped token reaches this call")
        facts = tuple((call.operation, one.kind, one.id) for call in calls for one in call.resources)
        stored = self.keys().get(credential.user, "")
        words = hashlib.sha256(repr((facts, stored)).encode()).digest()
        return await self._composed.get(
            (credential.digest, words), lambda: self._ask(credential, stored, facts)
        )

    async def _ask(self, credential: Credential, stored: str, facts: Facts) -> Credential:
        question = Question(credential.user, credential.secret, stored, facts)
        self._spent.demand(credential.user)
        seconds: list[float] = []
        unknown = False
        try:
            answer = await anyio.to_thread.run_sync(lambda: self._judge.ask(question, seconds.append))
            unknown = answer.unknown  # any client can name this user
        finally:
            if not unknown:
                self._spent.charge(credential.user, sum(seconds))
        if answer.refused:
            raise (Unauthorised if answer.unknown else Forbidden)(answer.refused)
        return Credential(credential.user, answer.token)


class Judge:
    """A process that decides: a token that computes for too long ends that process, not the gateway."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None

    def ask(self, question: Question, spent: Callable[[float], None]) -> Answer:
        """Return the decision, and tell how many seconds it took; raise a Refusal where there is none."""
        with self._lock:
            pipe, began = self._running(), time.monotonic()
            try:
                pipe.send(question)
                if pipe.poll(PATIENCE):
                    answer = pipe.recv()
                    assert isinstance(answer, Answer)
                    return answer
                reason: Refusal = Unavailable("the token was not decided on in time")
            except (EOFError, OSError):
                reason = Forbidden("evaluating the token's checks takes too long")
            finally:
                spent(time.monotonic() - began)
            self.close()
            _log.warning("a token of user %.40r: %s", question.user, reason)
            raise reason

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join(5)
        self._process = self._pipe = None

    def _running(self) -> Connection[Any, Any]:
        if self._process is not None and self._process.is_alive() and self._pipe is not None:
            return self._pipe
        self.close()
        from gateway import vouching

        context = get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=vouching.serve, args=(theirs, self._key), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        return ours
