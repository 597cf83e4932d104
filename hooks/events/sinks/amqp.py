"""Events to a broker of AMQP 0.9.1 (RabbitMQ): persistent messages, each confirmed by the broker.

A message that no queue receives is returned (`mandatory`) and counts as not delivered: otherwise events would
be lost as long as the receiver has not declared its queue
(https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed).
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from hooks.events import cloudevent
from hooks.events.delivery import Unavailable
from hooks.events.sinks.broker import CONNECT, TIMEOUT, Address, route
from hooks.events.stored import Event

PORTS = {"amqp": (5672, False), "amqps": (5671, True)}
_FAILURES = (pika.exceptions.AMQPError, AMQPConnectorException, OSError, ValueError)
logging.getLogger("pika").setLevel(logging.CRITICAL)  # every failure is reported once, by the sender


@dataclass
class AmqpSink:
    """An exchange that exists already (`topic` by usual choice); the routing key is `vm.12.state`."""

    name: str
    address: Address
    exchange: str
    source: str
    private: bool = False
    authorities: Path | None = None
    _connection: pika.BlockingConnection | None = None
    _channel: BlockingChannel | None = None

    def send(self, event: Event, epoch: int) -> None:
        """Publish one event; return when the broker has written it to a queue."""
        properties = pika.BasicProperties(
            content_type=cloudevent.STRUCTURED,
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=event.id,
            timestamp=int(event.time),
            type=event.type,
        )
        body, key = cloudevent.structured(event, self.source, epoch), ".".join(route(event))
        try:
            self._connected().basic_publish(self.exchange, key, body, properties, mandatory=True)
        except pika.exceptions.UnroutableError:
            raise Unavailable(
                f"sink {self.name}: no queue of exchange {self.exchange} receives {key}: bind one to it"
            ) from None
        except _FAILURES as error:
            self.close()
            raise Unavailable(f"sink {self.name}: {self.address.redacted(_cause(error))}") from None

    def close(self) -> None:
        """End the connection; the next event makes a new one."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            with contextlib.suppress(*_FAILURES):  # it is given up anyway
                connection.close()

    def _connected(self) -> BlockingChannel:
        if self._channel is None or not self._channel.is_open:
            self.close()
            self.address.require_allowed(private=self.private)
            self._connection = pika.BlockingConnection(self._parameters())
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self._channel

    def _parameters(self) -> pika.ConnectionParameters:
        context = self.address.tls(self.authorities)
        return pika.ConnectionParameters(
            host=self.address.host,
            port=self.address.port,
            virtual_host=self.address.path or "/",
            credentials=pika.PlainCredentials(self.address.user or "guest", self.address.password or "guest"),
            ssl_options=pika.SSLOptions(context, self.address.host) if context else None,
            heartbeat=int(TIMEOUT),  # a broker that hangs is noticed by it
            blocked_connection_timeout=TIMEOUT,  # one that is short of memory or disk
            socket_timeout=CONNECT,
            stack_timeout=CONNECT + 5,
            connection_attempts=1,
        )


def _cause(error: Exception) -> BaseException:
    """Return the reason within the exceptions that pika wraps around it, several of which have no text."""
    inner = error.args[0] if error.args else None
    while isinstance(inner, BaseException):
        error, inner = inner, inner.args[0] if inner.args else None  # type: ignore[assignment]
    return error if str(error) else type(error)(type(error).__name__)
