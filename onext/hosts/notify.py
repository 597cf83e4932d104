"""What people are told: syslog (RFC 5424), webhooks, our own log. Never blocking, never a secret."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from onext import log
from onext.hosts.actions.actuator import Event
from onext.http import Http, HttpError
from onext.settings.notifications import Syslog, Webhook

FACILITY_LOCAL0, WARNING, NOTICE = 16, 4, 5
TIMEOUT = 5.0
PAUSES = (1.0, 5.0)  # seconds before it is tried again
TOO_WIDE = 0o037
_log = log.get("power")
MOST_WAITING = 200  # events; what comes while so many wait is dropped, and counted in the log


class Channels(Protocol):
    """The part of a part's settings that names whom to notify."""

    @property
    def syslog(self) -> Syslog | None:
        """The central log."""

    @property
    def webhooks(self) -> Sequence[Webhook]:
        """The addresses."""


class Undelivered(Exception):
    """A webhook did not take it; the message holds no part of its address that is secret."""


class VmEvent(Event):
    """Something of a VM: `host` is its id."""

    @property
    def alarming(self) -> bool:
        """Whether a person has to look."""
        return True


class Sender:
    """One thread that sends events one after the other; a daemon, so that the process may end at any time."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[Channels, str, Event]] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def put(self, settings: Channels, cluster: str, event: Event) -> None:
        """Take an event for sending, or drop it where too many wait for an address that does not answer."""
        try:
            self._waiting.put_nowait((settings, cluster, event))
        except queue.Full:
            self._dropped += 1
            if self._dropped == 1:
                _log.warning("%d events wait for a slow address: more are not sent", MOST_WAITING)
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            settings, cluster, event = self._waiting.get()
            try:
                send(settings, cluster, event)
            except Exception:  # noqa: BLE001 - the outermost edge of the thread: the next event is sent
                _log.exception("event %s of host %d was not sent", event.what, event.host)
            if self._dropped and self._waiting.empty():
                _log.warning("%d events were not sent", self._dropped)
                self._dropped = 0


_sender = Sender()


def teller(settings: Channels, cluster: str) -> Callable[[Event], None]:
    """Return the notifier for all receivers in the settings."""

    def tell(event: Event) -> None:
        write = _log.warning if event.alarming else _log.info
        write("%s %d (%s): %s: %s", _subject(event), event.host, event.name, event.what, event.reason)
        if settings.syslog or settings.webhooks:
            _sender.put(settings, cluster, event)

    return tell


def _subject(event: Event) -> str:
    return "vm" if isinstance(event, VmEvent) else "host"


def send(settings: Channels, cluster: str, event: Event) -> None:
    """Send an event; what cannot be delivered is logged."""
    if settings.syslog:
        try:
            _syslog(settings.syslog, syslog_line(cluster, event, dt.datetime.now(dt.timezone.utc)))
        except OSError as error:
            _log.warning("syslog %s: %s", settings.syslog.host, error)
    for hook in settings.webhooks:
        try:
            _post(hook, body(hook.kind, cluster, event))
        except (Undelivered, OSError) as error:
            _log.warning("webhook of %s: %s", hook.url_file, error)
        except ValueError:  # not UTF-8, or no address: the reason would show a part of the secret
            _log.warning("webhook of %s: the file holds no address", hook.url_file)


def syslog_line(cluster: str, event: Event, when: dt.datetime) -> bytes:
    """Return a message of RFC 5424, its names escaped as structured data wants it."""
    severity = WARNING if event.alarming else NOTICE
    values = {_subject(event): str(event.host), "name": event.name, "cluster": cluster, "what": event.what}
    data = " ".join(f'{key}="{_parameter(value)}"' for key, value in values.items())
    stamp = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    priority = FACILITY_LOCAL0 * 8 + severity
    head = f"<{priority}>1 {stamp} {socket.gethostname()} onext-power {os.getpid()} {event.what}"
    return f"{head} [onext@32473 {data}] \ufeff{log.escape(event.reason)}".encode()


def _parameter(text: str) -> str:
    return log.escape(text).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _syslog(target: Syslog, line: bytes) -> None:
    if target.transport == "udp":
        family, kind, protocol, _, address = socket.getaddrinfo(
            target.host, target.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as sender:
            sender.sendto(line, address)
        return
    with socket.create_connection((target.host, target.port), timeout=TIMEOUT) as stream:
        stream.sendall(b"%d %s" % (len(line), line))  # octet counting, RFC 6587


def body(kind: str, cluster: str, event: Event) -> bytes:
    """Return the JSON for a webhook; in Slack's form names cannot become links or mentions."""
    if kind == "slack":
        text = f"{event.what}: {_subject(event)} {event.name} ({event.host}) of {cluster}: {event.reason}"
        for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(raw, safe)
        return json.dumps({"text": log.escape(text), "mrkdwn": False}).encode()
    said = {
        _subject(event): event.host,
        "name": event.name,
        "cluster": cluster,
        "what": event.what,
        "reason": event.reason,
    }
    return json.dumps(said).encode()


def _post(hook: Webhook, data: bytes) -> None:
    url = address(hook.url_file)
    if _forbidden(urlsplit(url).hostname or ""):
        raise Undelivered("link-local and unspecified addresses are refused")
    http = Http(connections=1)
    try:
        for pause in (*PAUSES, None):
            try:
                http.post(url, data, timeout=TIMEOUT, headers={"Content-Type": "application/json"})
            except HttpError as error:
                if pause is None:
                    raise Undelivered(_redacted(str(error), url)) from None
                time.sleep(pause)
            else:
                return
    finally:
        http.close()


def _forbidden(host: str) -> bool:
    """Return whether a host is an address at which clouds serve a machine's credentials, or none at all.

    Private and loopback addresses are allowed: chat servers and relays are there, and only root or oneadmin
    can write the file. Redirects are never followed.
    """
    try:
        address_ = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address_, "ipv4_mapped", None) or address_
    return bool(mapped.is_link_local or mapped.is_unspecified or mapped.is_multicast)


def _redacted(message: str, url: str) -> str:
    """Return a message without the parts of an address that are its secret: path and query."""
    parts = urlsplit(url)
    for secret in filter(lambda part: len(part) > 1, (parts.path, parts.query)):
        message = message.replace(secret, "/***")
    return message


def address(file: Path) -> str:
    """Return the address that a file holds: it is a secret, so others must not read it."""
    if file.stat().st_mode & TOO_WIDE:
        raise PermissionError(f"{file} is too wide: chmod 0640")
    return file.read_text(encoding="utf-8").strip()
