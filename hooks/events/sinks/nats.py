"""Events to NATS JetStream: one message each, stored by the stream before it counts as delivered.

The message id is the event's, so that JetStream itself drops what is sent twice within its window
(https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive#message-deduplication).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from hooks.events import cloudevent
from hooks.events.delivery import Rejected, Unavailable
from hooks.events.sinks.broker import CONNECT, TIMEOUT, Address, route
from hooks.events.stored import Event

PORTS = {"nats": (4222, False), "tls": (4222, True)}
_FAILURES = (nats.errors.Error, nats.js.errors.Error, asyncio.TimeoutError, OSError, EOFError)
_CLOSING = 0.02  # seconds in which transports end
_Result = TypeVar("_Result")


@dataclass
class NatsSink:
    """A subject below which a JetStream stream listens: `onext` sends to `onext.vm.12.state`."""

    name: str
    address: Address
    subject: str
    source: str
    private: bool = False
    authorities: Path | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _client: Client | None = None
    _problems: list[Exception] = field(default_factory=list)

    def send(self, event: Event, epoch: int) -> None:
        """Publish one event and wait for the acknowledgement of its stream."""
        body = cloudevent.structured(event, self.source, epoch)
        headers = {"Nats-Msg-Id": event.id, "content-type": cloudevent.STRUCTURED}
        subject = ".".join([self.subject, *route(event)])
        try:
            self._run(self._publish(subject, body, headers))
        except nats.errors.MaxPayloadError:
            raise Rejected(f"sink {self.name}: the event has {len(body)} bytes: too many for NATS") from None
        except nats.js.errors.NoStreamResponseError:
            self.close()
            raise Unavailable(
                f"sink {self.name}: no JetStream stream has the subject {self.subject}.>"
            ) from None
        except _FAILURES as error:
            self.close()
            raise Unavailable(f"sink {self.name}: {self.address.redacted(self._cause(error))}") from None

    def close(self) -> None:
        """End the connection; the next event makes a new one."""
        client, loop = self._client, self._loop
        self._client = self._loop = None
        if loop is None:
            return
        if client is not None:
            with contextlib.suppress(*_FAILURES, RuntimeError):  # it is given up anyway
                loop.run_until_complete(asyncio.wait_for(client.close(), 5.0))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(_CLOSING))
        loop.close()

    def _cause(self, error: Exception) -> Exception:
        """Return the reason that the library reports apart from the exception that it raises."""
        return self._problems[-1] if self._problems else error

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(asyncio.wait_for(work, TIMEOUT))

    async def _publish(self, subject: str, body: bytes, headers: dict[str, Any]) -> None:
        client = await self._connected()
        await client.jetstream(timeout=CONNECT).publish(subject, body, headers=headers)

    async def _connected(self) -> Client:
        if self._client is not None and self._client.is_connected:
            return self._client
        self.address.require_allowed(private=self.private)
        self._problems.clear()
        scheme = "tls" if self.address.encrypted else "nats"
        host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
        options: dict[str, Any] = {"user": self.address.user, "password": self.address.password}
        options = options if self.address.user else {}
        if (context := self.address.tls(self.authorities)) is not None:
            options["tls"] = context
        client = self._client = Client()  # known also where the connection fails: its socket has to be closed
        await client.connect(
            f"{scheme}://{host}:{self.address.port}",
            error_cb=self._note,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=int(CONNECT),
            **options,
        )
        return client

    async def _note(self, error: Exception) -> None:
        self._problems[:] = [error]
