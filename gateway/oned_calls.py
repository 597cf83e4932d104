"""Calls to oned with a caller's credential, in threads, a few at once: oned has 15 connections for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import anyio
import anyio.to_thread

from gateway.credentials import Credential
from gateway.refusals import Forbidden, Missing, Refusal, Unauthorised, Unavailable
from onext import log
from onext.oned import stream
from onext.oned.errors import (
    Malformed,
    NotFound,
    OnedError,
    TimedOut,
    Unauthenticated,
    Unreachable,
)
from onext.oned.errors import Unauthorised as NotPermitted

T = TypeVar("T")
_log = log.get("gateway")


class OnedCalls:
    """oned at one endpoint."""

    def __init__(self, endpoint: str, connections: int, timeout: float) -> None:
        self.endpoint, self.timeout = endpoint, timeout
        self._most = connections
        self._limiter: anyio.CapacityLimiter | None = None

    def source(self, credential: Credential) -> stream.Source:
        """Return oned as seen with a credential."""
        return stream.Source(
            self.endpoint, credential.session, read_timeout=self.timeout, deadline=2 * self.timeout
        )

    async def single(self, credential: Credential, method: str, *arguments: str | int) -> bytes:
        """Return the one object that a call answers, in plain form; raise a Refusal."""
        return await self._run(lambda: stream.single(self.source(credential), method, *arguments))

    async def pool(
        self,
        credential: Credential,
        method: str,
        arguments: tuple[str | int, ...],
        tag: str,
        read: Callable[[Iterator[bytes]], T],
    ) -> T:
        """Return what `read` makes of the elements of a pool; raise a Refusal."""
        return await self._run(
            lambda: read(stream.pool(self.source(credential), method, *arguments, tag=tag))
        )

    async def run(self, work: Callable[[], T]) -> T:
        """Run a call to oned in a thread when one may be made; errors are the caller's."""
        return await anyio.to_thread.run_sync(work, limiter=self.limiter)

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """How many calls may be made at once; made inside the event loop."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._most)
        return self._limiter

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self.run(work)
        except OnedError as error:
            raise refusal(error) from error


def refusal(error: OnedError) -> Refusal:
    """Return what a client is told of a failed call; addresses and details stay in the log."""
    match error:
        case Unauthenticated():
            return Unauthorised("OpenNebula does not accept this user and password or token")
        case NotPermitted():
            return Forbidden("OpenNebula does not permit this user to do that")
        case NotFound():
            return Missing("not found")
        case TimedOut() | Unreachable():
            _log.warning("oned: %s", error)
            return Unavailable("OpenNebula does not answer; try again", retry=5)
        case Malformed():
            _log.warning("oned: %s", error)
            return Unavailable("OpenNebula's answer cannot be read")
        case _:
            return Forbidden("OpenNebula refused")
