"""JSON, one object to a line, over two file descriptors: how the driver talks to an endpoint's helper."""

import json
import os
import select
import time
from typing import Any, Dict, List, Optional

from .errors import TunnelError

Message = Dict[str, Any]
_LONGEST = 65536


class Closed(TunnelError):
    """The other side is gone."""


class JsonLines:
    """One side of the conversation."""

    def __init__(self, inward: int, outward: int) -> None:
        self.inward, self._outward = inward, outward
        self._waiting: List[bytes] = []
        self._rest = b""
        self._closed = False

    def send(self, message: Message) -> None:
        """Write one message; raise Closed when the reader is gone."""
        data = json.dumps(message).encode() + b"\n"
        if self._closed:
            raise Closed("the conversation is over")
        try:
            while data:
                data = data[os.write(self._outward, data) :]
        except OSError as error:
            raise Closed(f"the conversation ended: {error}") from error

    def receive(self, seconds: float) -> Optional[Message]:
        """Return the next message, None when none arrives in time; raise Closed at the end of the stream."""
        end = time.monotonic() + seconds
        while not self._waiting:
            left = end - time.monotonic()
            if not select.select([self.inward], [], [], max(left, 0))[0]:
                return None
            self._read()
        return _parse(self._waiting.pop(0))

    def has_message(self, seconds: float) -> bool:
        """Wait for at most so long; return whether there is anything to receive."""
        return bool(self._waiting or select.select([self.inward], [], [], seconds)[0])

    def _read(self) -> None:
        try:
            data = os.read(self.inward, _LONGEST)
        except OSError as error:
            raise Closed(f"the conversation ended: {error}") from error
        if not data:
            raise Closed("the conversation ended")
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST:
            raise Closed("a line without an end")
        self._waiting += [line for line in lines if line.strip()]

    def close(self) -> None:
        """Close both descriptors; a second call does nothing."""
        if not self._closed:
            self._closed = True
            for descriptor in {self.inward, self._outward}:
                os.close(descriptor)


def _parse(line: bytes) -> Message:
    try:
        message = json.loads(line.decode("utf-8", "replace"))
    except ValueError:
        raise Closed(f"not a message of this protocol: {line[:200]!r}") from None
    if not isinstance(message, dict):
        raise Closed(f"not a message of this protocol: {line[:200]!r}")
    return message
