"""Events to a broker of MQTT 5, with quality of service 1: the broker acknowledges each message.

MQTT keeps messages only for receivers that have a session: a receiver connects once with a session expiry
before it relies on what it gets while it is away (MQTT 5, 3.1.2.11.2). `replay` sends again what it missed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hooks.events import cloudevent
from hooks.events.delivery import Rejected, Unavailable
from hooks.events.sinks.broker import CONNECT, TIMEOUT, Address, route
from hooks.events.stored import Event

PORTS = {"mqtt": (1883, False), "mqtts": (8883, True)}
_OVERHEAD = 1024  # bytes of a packet besides topic and payload, at most
_NEVER = frozenset((0x95, 0x99))  # packet too large, payload format invalid (MQTT 5, 2.4)


@dataclass
class _Connection:
    """A client with its thread, and what the broker answered."""

    client: paho.Client
    settled: threading.Event = field(default_factory=threading.Event)
    refused: str = ""
    largest: int = 1 << 28
    acknowledgements: dict[int, ReasonCode] = field(default_factory=dict)


@dataclass
class MqttSink:
    """A topic below which events are published: `onext` sends to `onext/vm/12/state`."""

    name: str
    address: Address
    topic: str
    source: str
    private: bool = False
    authorities: Path | None = None
    _connection: _Connection | None = None

    def send(self, event: Event, epoch: int) -> None:
        """Publish one event and wait for its acknowledgement."""
        body, topic = cloudevent.structured(event, self.source, epoch), "/".join([self.topic, *route(event)])
        try:
            connection = self._connected()
            if len(body) + len(topic) + _OVERHEAD > connection.largest:
                raise Rejected(f"sink {self.name}: the event has {len(body)} bytes: too many for the broker")
            code = self._published(connection, topic, body)
        except (OSError, ValueError, RuntimeError) as error:
            self.close()
            raise Unavailable(f"sink {self.name}: {self.address.redacted(error)}") from None
        if code.value in _NEVER:
            raise Rejected(f"sink {self.name}: the broker refuses the event: {code}")
        if code.is_failure:
            self.close()
            raise Unavailable(f"sink {self.name}: the broker does not accept the event: {code}")

    def close(self) -> None:
        """End the connection; the next event makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.client.disconnect()
            connection.client.loop_stop()

    def _published(self, connection: _Connection, topic: str, body: bytes) -> ReasonCode:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = cloudevent.STRUCTURED
        properties.PayloadFormatIndicator = 1  # UTF-8
        info = connection.client.publish(topic, body, qos=1, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionError(paho.error_string(info.rc))
        info.wait_for_publish(TIMEOUT)
        if not info.is_published():
            raise ConnectionError(connection.refused or f"no acknowledgement within {TIMEOUT:g} s")
        return connection.acknowledgements.pop(info.mid, ReasonCode(PacketTypes.PUBACK, "Success"))

    def _connected(self) -> _Connection:
        if self._connection is not None and self._connection.client.is_connected():
            return self._connection
        self.close()
        self.address.require_allowed(private=self.private)
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.connect_timeout = CONNECT
        if self.address.user:
            client.username_pw_set(self.address.user, self.address.password)
        context = self.address.tls(self.authorities)
        if context is not None:
            client.tls_set_context(context)
        found = _Connection(client)
        _follow(found)
        client.connect(self.address.host, self.address.port, clean_start=True)
        client.loop_start()
        self._connection = found
        if not found.settled.wait(CONNECT) or found.refused:
            raise ConnectionError(found.refused or f"no answer within {CONNECT:g} s")
        return found


def _follow(connection: _Connection) -> None:
    """Note what the broker answers; a connection that ends is not made again by the library."""

    def connected(_: paho.Client, __: Any, ___: Any, code: ReasonCode, properties: Properties | None) -> None:  # noqa: ANN401 - paho's
        connection.refused = str(code) if code.is_failure else ""
        connection.largest = int(getattr(properties, "MaximumPacketSize", 0) or connection.largest)
        connection.settled.set()

    def published(_: paho.Client, __: Any, mid: int, code: ReasonCode, ___: Properties | None) -> None:  # noqa: ANN401
        connection.acknowledgements[mid] = code

    def disconnected(client: paho.Client, _: Any, __: Any, code: ReasonCode, ___: Any) -> None:  # noqa: ANN401
        connection.refused = connection.refused or str(code)
        connection.settled.set()
        client.disconnect()

    connection.client.on_connect = connected
    connection.client.on_publish = published
    connection.client.on_disconnect = disconnected
