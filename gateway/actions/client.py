"""The gateway's side of the worker's socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from gateway.actions.orders import LARGEST_ANSWER, Frame
from gateway.refusals import Elsewhere, Refusal, TooMany, Unavailable
from onext import unix_service

PATIENCE = 60.0  # seconds: the worker asks oned several times
_MOST = 8  # requests at once
_RETRY = {429: 30.0, 503: 5.0}


@dataclass
class Worker:
    """Hands frames to the worker; `file` is its socket."""

    file: Path
    _waiting: int = field(default=0)

    async def ask(self, frame: Frame, seconds: float = PATIENCE) -> tuple[int, bytes]:
        """Return status (200 or 202) and the encoded result; raise a Refusal."""
        if self._waiting >= _MOST:
            raise TooMany("too many orders at once", retry=5)
        self._waiting += 1
        try:
            status, body = await anyio.to_thread.run_sync(lambda: self._exchange(frame, seconds))
        except (OSError, ValueError):
            raise Unavailable("the worker of this server does not answer", retry=5) from None
        finally:
            self._waiting -= 1
        if status in (200, 202):
            return status, body
        raise _refusal(status, body)

    def _exchange(self, frame: Frame, seconds: float) -> tuple[int, bytes]:
        data = msgspec.json.encode(frame)
        return unix_service.ask(self.file, data, seconds=seconds, largest=LARGEST_ANSWER)


def _refusal(status: int, body: bytes) -> Refusal:
    if status == Elsewhere.status:
        return Elsewhere(body.decode("ascii", "replace"))
    try:
        text = str(msgspec.json.decode(body)["error"])
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        text = "the worker's answer cannot be read"
    found = Refusal(text[:300], _RETRY.get(status, 0.0))
    found.status = status if 400 <= status < 500 or status == Unavailable.status else Unavailable.status
    return found
