"""Receivers that read a broker until nothing is left, each into a replica of the cloud."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

import nats
import paho.mqtt.client as paho
import pika
from nats.js.api import StreamConfig
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.hooks.events.brokers import Broker
from tests.hooks.events.replica import Replica
from tests.waiting import until


class Reader(Protocol):
    """A receiver behind a broker."""

    def prepare(self) -> None:
        """Declare what keeps events: a stream, a queue, a session."""

    def drain(self, replica: Replica) -> int:
        """Apply whatever waits; return how many events there were."""

    def close(self) -> None:
        """End the connection."""


@dataclass
class NatsReader:
    """A stream of all subjects below `onext`, read from its beginning."""

    broker: Broker
    read: int = 0

    def prepare(self) -> None:
        """Make the stream."""
        asyncio.run(self._prepare())

    async def _prepare(self) -> None:
        client = await nats.connect(self.broker.url)
        await client.jetstream().add_stream(StreamConfig(name="onext", subjects=["onext.>"]))
        await client.close()

    def drain(self, replica: Replica) -> int:
        """Read what the stream has."""
        return asyncio.run(self._drain(replica))

    async def _drain(self, replica: Replica) -> int:
        client, before = await nats.connect(self.broker.url), self.read
        try:
            stream = client.jetstream()
            last = (await stream.stream_info("onext")).state.last_seq
            while self.read < last:
                message = await stream.get_msg("onext", self.read + 1)
                replica.take(message.data or b"")
                self.read += 1
        finally:
            await client.close()
        return self.read - before

    def close(self) -> None:
        """Do nothing: each reading has a connection of its own."""


@dataclass
class AmqpReader:
    """A durable queue behind the exchange `onext`."""

    broker: Broker

    def prepare(self) -> None:
        """Declare exchange and queue."""
        with pika.BlockingConnection(pika.URLParameters(self.broker.url)) as connection:
            channel = connection.channel()
            channel.exchange_declare("onext", "topic", durable=True)
            channel.queue_declare("portal", durable=True)
            channel.queue_bind("portal", "onext", "#")

    def drain(self, replica: Replica) -> int:
        """Read what the queue has."""
        found = 0
        with pika.BlockingConnection(pika.URLParameters(self.broker.url)) as connection:
            channel = connection.channel()
            while (got := channel.basic_get("portal", auto_ack=True))[0] is not None:
                replica.take(got[2])
                found += 1
        return found

    def close(self) -> None:
        """Do nothing: each reading has a connection of its own."""


@dataclass
class MqttReader:
    """A subscriber whose session outlives its connection."""

    broker: Broker
    waiting: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    client: paho.Client | None = None

    def prepare(self) -> None:
        """Subscribe, and stay connected."""
        client = paho.Client(CallbackAPIVersion.VERSION2, "portal", protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set("onext", "secret")
        client.reconnect_delay_set(1, 1)
        client.on_message = self._take
        subscribed = threading.Event()

        def connected(client: paho.Client, *_: Any) -> None:
            client.subscribe("onext/#", qos=1)

        client.on_connect = connected
        client.on_subscribe = lambda *_: subscribed.set()
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        lasting.SessionExpiryInterval = 86_400
        client.connect("127.0.0.1", self.broker.port, clean_start=False, properties=lasting)
        client.loop_start()
        until(subscribed.is_set, "the subscription")
        self.client = client

    def _take(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        with self.lock:
            self.waiting.append(bytes(message.payload))

    def drain(self, replica: Replica) -> int:
        """Apply what arrived."""
        with self.lock:
            found, self.waiting = self.waiting, []
        for body in found:
            replica.take(body)
        return len(found)

    def close(self) -> None:
        """Disconnect."""
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()


READERS: dict[str, type[NatsReader | AmqpReader | MqttReader]] = {
    "nats": NatsReader,
    "amqp": AmqpReader,
    "mqtt": MqttReader,
}
