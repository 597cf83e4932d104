"""Events by HTTP: CloudEvents in structured or binary mode, signed as Standard Webhooks."""

from __future__ import annotations

import email.utils
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from hooks.events import cloudevent, signature
from hooks.events.delivery import Gone, Rejected, Unavailable
from hooks.events.stored import Event
from onext import bounds
from onext.http import Answer, BadStatus, Http, HttpError

TIMEOUT = 20.0  # seconds for one request, by Standard Webhooks 15 to 30
LARGEST = 20_000  # bytes of a payload, by Standard Webhooks
_ANY_EPOCH = 10**9  # as long as any
_ASK = "onext-snapshot"  # with `wanted`, in the answer to an event
_NEVER = (400, 413, 415, 422)  # the receiver can never accept this event


@dataclass
class HttpSink:
    """One address; `url` may hold a secret and is never shown."""

    name: str
    url: str
    source: str
    http: Http
    keys: Sequence[signature.Key] = ()
    binary: bool = False
    batch: int = 1  # events of one request at most
    asks: bool = False  # whether the last answer asked for a snapshot

    def send(self, event: Event, epoch: int) -> None:
        """POST one event; 2xx accepts it, 410 ends the sink, 429 and 503 may ask for a pause."""
        headers, body = self._request(event, epoch)
        if len(body) > LARGEST:
            raise Rejected(f"the event has {len(body)} bytes, more than {LARGEST}")
        self._post(headers, body, event.id)

    def together(self, events: Sequence[Event]) -> int:
        """Return how many events fit into one request: at most `batch`, and LARGEST bytes."""
        size = 2
        for count, event in enumerate(events[: self.batch]):
            size += len(cloudevent.structured(event, self.source, _ANY_EPOCH)) + 1
            if size > LARGEST:
                return count
        return min(self.batch, len(events))

    def send_together(self, events: Sequence[Event], epoch: int) -> None:
        """POST several events in batched mode; a refusal is of all of them."""
        body = cloudevent.batched([cloudevent.structured(one, self.source, epoch) for one in events])
        self._post({"content-type": cloudevent.BATCHED}, body, f"{events[0].id}.{events[-1].id}")

    def _post(self, headers: dict[str, str], body: bytes, identity: str) -> None:
        signed = signature.headers(self.keys, identity, int(time.time()), body) if self.keys else {}
        try:
            answer = self.http.post(self.url, body, timeout=TIMEOUT, headers={**headers, **signed})
        except BadStatus as error:
            self._refused(error.answer)
        except HttpError as error:
            raise Unavailable(f"sink {self.name}: {self._redacted(str(error))}") from None
        else:
            self.asks = answer.headers.get(_ASK, "").strip().lower() == "wanted"

    def close(self) -> None:
        """End the connections that are kept."""
        self.http.close()

    def _request(self, event: Event, epoch: int) -> tuple[dict[str, str], bytes]:
        if self.binary:
            return cloudevent.binary(event, self.source, epoch)
        return {"content-type": cloudevent.STRUCTURED}, cloudevent.structured(event, self.source, epoch)

    def _redacted(self, message: str) -> str:
        """Return a message without the address, whose path may be as secret as its query."""
        parts = urllib.parse.urlsplit(self.url)
        for secret in filter(lambda part: len(part or "") > 1, (parts.path, parts.query, parts.password)):
            message = message.replace(str(secret), "/***")
        return message

    def _refused(self, answer: Answer) -> None:
        reason = f"sink {self.name}: HTTP {answer.status}"
        if answer.status == 410:
            raise Gone(f"{reason}: the receiver wants no more events; `onext events resume {self.name}`")
        if answer.status in _NEVER:
            raise Rejected(reason)
        raise Unavailable(reason, _retry_after(answer.headers.get("retry-after", "")))


def _retry_after(text: str) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110, 10.2.3)."""
    seconds = bounds.number(text, 0, 1e9)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text[:64]).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
