"""The sink that a configuration describes. Packages of brokers are imported only for sinks that use them."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from hooks.events import signature
from hooks.events.delivery import Sink
from hooks.events.sinks.broker import Address, InvalidAddress
from hooks.events.sinks.file import FileSink
from hooks.events.sinks.http import HttpSink
from hooks.events.sinks.stdout import StdoutSink
from onext.http import Http, is_public
from onext.settings.events import EventSink

_LARGEST_FILE = 4096


class Misconfigured(Exception):
    """A sink cannot be used as it is configured; the message names sink and key."""


def build(sink: EventSink, source: str) -> Sink:
    """Return the sink of a configuration; raise Misconfigured."""
    match sink.kind:
        case "file":
            if sink.path is None:
                raise Misconfigured(f"sink {sink.name}: `path` is missing")
            return FileSink(sink.name, sink.path, source)
        case "stdout":
            return StdoutSink(sink.name, source)
        case "http":
            return _http(sink, _address(sink), source)
        case _:
            try:
                return _broker(sink, _address(sink), source)
            except InvalidAddress as error:
                raise Misconfigured(f"sink {sink.name}: {error}") from error
            except ImportError as error:
                raise Misconfigured(
                    f"sink {sink.name}: the Python package of {sink.kind} is missing"
                ) from error


def _broker(sink: EventSink, url: str, source: str) -> Sink:
    if sink.kind == "nats":
        from hooks.events.sinks import nats

        _require_words(sink, ".")
        address = Address.parse(url, nats.PORTS)
        made: Sink = nats.NatsSink(sink.name, address, sink.target, source, sink.private, sink.ca_file)
    elif sink.kind == "amqp":
        from hooks.events.sinks import amqp

        address = Address.parse(url, amqp.PORTS)
        made = amqp.AmqpSink(sink.name, address, sink.target, source, sink.private, sink.ca_file)
    else:
        from hooks.events.sinks import mqtt

        _require_words(sink, "/")
        address = Address.parse(url, mqtt.PORTS)
        made = mqtt.MqttSink(sink.name, address, sink.target, source, sink.private, sink.ca_file)
    _require_allowed(sink, address.host)
    return made


def _require_words(sink: EventSink, separator: str) -> None:
    """Refuse a target with an empty word, which no broker accepts."""
    if not all(sink.target.split(separator)):
        raise Misconfigured(f"sink {sink.name}: `target` has an empty word between two {separator!r}")


def _http(sink: EventSink, url: str, source: str) -> HttpSink:
    host = urllib.parse.urlsplit(url).hostname
    if not host or not url.startswith(("http://", "https://")):
        raise Misconfigured(f"sink {sink.name}: `url_file` holds no http address")
    _require_allowed(sink, host)
    try:
        keys = [signature.Key.parse(_line(sink, path)) for path in sink.key_files]
    except signature.InvalidKey as error:
        raise Misconfigured(f"sink {sink.name}: `key_files`: {error}") from error
    if sink.binary and sink.batch > 1:
        raise Misconfigured(f"sink {sink.name}: `binary` and `batch` exclude each other")
    http = Http(connections=1, public=not sink.private, trust=sink.ca_file)
    return HttpSink(sink.name, url, source, http, keys, sink.binary, sink.batch)


def _address(sink: EventSink) -> str:
    if sink.url_file is None:
        raise Misconfigured(f"sink {sink.name}: `url_file` is missing")
    return _line(sink, sink.url_file)


def _line(sink: EventSink, path: Path) -> str:
    try:
        with path.open("rb") as source_file:
            return source_file.read(_LARGEST_FILE).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"sink {sink.name}: {path} cannot be read: {error}") from error


def _require_allowed(sink: EventSink, host: str) -> None:
    """Refuse a private address at once; a name is checked whenever it is connected."""
    try:
        private = not is_public(host)
    except ValueError:  # a name
        private = host == "localhost"
    if private and not sink.private:
        raise Misconfigured(f"sink {sink.name}: a private address; set `private: true` to allow it")
