"""Delivery to real brokers: NATS JetStream, RabbitMQ, Mosquitto."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from hooks.events.changes import difference
from hooks.events.delivery import Rejected, Sink, Unavailable, deliver
from hooks.events.facts import Facts, Object
from hooks.events.outbox import Outbox
from hooks.events.sinks import broker as addresses
from hooks.events.sinks.configured import Misconfigured, build
from hooks.events.stored import Event
from onext.settings.events import EventSink
from tests.fixtures_tls import certify
from tests.hooks.events.brokers import MAKERS, Broker, free_port
from tests.hooks.events.kills import settings, through_broker, through_http
from tests.hooks.events.receivers import READERS
from tests.hooks.events.replica import Replica
from tests.waiting import until

# The libraries leave a socket open where a connection fails; the next collection of garbage closes it.
_LEFT_OPEN = "ignore::pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.process, pytest.mark.filterwarnings(_LEFT_OPEN)]
EVENTS, KILLS = 2000, 10
Start = Callable[[str], Broker]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return a function that starts a broker of a kind, once for the whole module."""
    running: dict[str, Broker] = {}

    def started(kind: str) -> Broker:
        if kind not in running:
            running[kind] = MAKERS[kind](tmp_path_factory.mktemp(kind))
            running[kind].start()
        return running[kind]

    yield started
    for broker in running.values():
        broker.kill()


@pytest.fixture(autouse=True)
def nothing_left_for_others() -> Iterator[None]:
    """Collect garbage within the test that made it."""
    yield
    gc.collect()


def event(number: int = 1, size: int = 10) -> Event:
    """Return an event about VM 12."""
    facts: Facts = {"name": "n" * size}
    return Event(
        number, f"id{number}", "io.opennebula.onext.vm.state", Object("vm", 12), 1.0, False, facts,
        MappingProxyType({}),
    )  # fmt: skip


def sink(folder: Path, kind: str, url: str, **more: object) -> Sink:
    """Return a sink for an address."""
    return build(EventSink(**{**settings(folder, kind, url), **more}), "/zone/0")


@pytest.mark.parametrize("kind", ["nats", "mqtt", "amqp"])
def test_a_worker_killed_at_random_points_leaves_the_receiver_with_the_whole_cloud(
    start: Start, tmp_path: Path, kind: str
) -> None:
    """A portal behind a broker would show VMs that are gone, or miss some, after a crash of the front-end."""
    through_broker(start(kind), tmp_path, EVENTS, KILLS, seed=time.time_ns())


def test_a_worker_killed_at_random_points_and_a_receiver_that_refuses(tmp_path: Path) -> None:
    """A portal that was in maintenance during a crash of the front-end would differ from the cloud."""
    through_http(tmp_path, EVENTS, KILLS, seed=time.time_ns())


@pytest.mark.parametrize(("kind", "reason"), [("nats", "no JetStream stream"), ("amqp", "")])
def test_events_that_nothing_would_keep_are_not_delivered(
    start: Start, tmp_path: Path, kind: str, reason: str
) -> None:
    """Events sent before the receiver has its stream or queue would be lost without a trace."""
    broker = start(kind)
    target = "elsewhere" if kind == "nats" else "amq.topic"
    made = sink(tmp_path, kind, broker.url, target=target)
    with pytest.raises(Unavailable, match=reason or "no queue of exchange amq.topic"):
        made.send(event(), 1)
    made.close()


@pytest.mark.parametrize("kind", ["nats", "mqtt", "amqp"])
def test_a_wrong_password_is_reported_without_it(start: Start, tmp_path: Path, kind: str) -> None:
    """The administrator must learn the reason, and the log must not hold the password."""
    url = start(kind).url.replace("secret@", "hunter2@").replace("guest@", "hunter2@")
    made = sink(tmp_path, kind, url)

    def reported() -> bool:  # a broker that ends the connection may do so before its reason was read
        with pytest.raises(Unavailable) as caught:
            made.send(event(), 1)
        assert "hunter2" not in str(caught.value)
        return any(word in str(caught.value) for word in ("uthori", "uthenti", "LOGIN"))

    until(reported, "the reason of the refusal")
    made.close()


@pytest.mark.parametrize("kind", ["nats", "mqtt", "amqp"])
def test_a_broker_that_is_down_is_tried_again(tmp_path: Path, kind: str) -> None:
    """A broker that restarts must get what it missed."""
    scheme = {"nats": "nats", "mqtt": "mqtt", "amqp": "amqp"}[kind]
    outbox = Outbox(tmp_path / "events.db")
    outbox.append(difference({}, {Object("vm", 1): {"state": "ACTIVE"}}), {"sink": lambda _: True}, 1.0)
    made = sink(tmp_path, kind, f"{scheme}://u:p@127.0.0.1:{free_port()}")
    assert deliver(outbox, made, 1, 100.0).problem
    state = outbox.sink("sink")
    assert (state.lag, state.failures, state.next) == (1, 1, 105.0)
    outbox.close()


@pytest.mark.parametrize("kind", ["nats", "mqtt"])
def test_an_event_that_the_broker_can_never_take_is_a_dead_letter(tmp_path: Path, kind: str) -> None:
    """One event that is too large would block all that follow it."""
    extra = {"nats": "max_payload: 4096", "mqtt": "max_packet_size 4096"}[kind]
    broker = MAKERS[kind](tmp_path, extra)
    broker.start()
    reader = READERS[kind](broker)
    try:
        reader.prepare()
        made = sink(tmp_path, kind, broker.url)
        made.send(event(1), 1)
        with pytest.raises(Rejected, match="too many"):
            made.send(event(2, 8000), 1)
        made.send(event(3), 1)
        made.close()
    finally:
        reader.close()
        broker.kill()


@pytest.mark.parametrize("kind", ["nats", "mqtt", "amqp"])
def test_a_broker_that_hangs_is_given_up(
    start: Start, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker whose disk hangs must not hold its sender for ever."""
    module = importlib.import_module(f"hooks.events.sinks.{kind}")
    monkeypatch.setattr(module, "TIMEOUT", 2.0)
    monkeypatch.setattr(module, "CONNECT", 2.0)
    broker = start(kind)
    made = sink(tmp_path, kind, broker.url, target="amq.topic" if kind == "amqp" else "elsewhere")
    if kind == "mqtt":
        made.send(event(), 1)
    assert broker.process is not None
    os.killpg(broker.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            made.send(event(2), 1)
    finally:
        os.killpg(broker.process.pid, signal.SIGCONT)
    made.close()


@pytest.mark.parametrize("kind", ["nats", "mqtt"])
def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path, kind: str) -> None:
    """Whoever redirects the traffic could otherwise read all events, and the password of the sink."""
    certify(tmp_path)
    key, chain = tmp_path / "key.pem", tmp_path / "cert.pem"
    extra, scheme = {
        "nats": (f'tls {{ cert_file: "{chain}", key_file: "{key}" }}', "tls"),
        "mqtt": (f"certfile {chain}\nkeyfile {key}", "mqtts"),
    }[kind]
    broker = MAKERS[kind](tmp_path, extra, scheme)
    broker.start()
    try:
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            sink(tmp_path, kind, broker.url).send(event(), 1)
        trusting = sink(tmp_path, kind, broker.url, ca_file=str(chain))
        if kind == "nats":
            with pytest.raises(Unavailable, match="no JetStream stream"):
                trusting.send(event(), 1)
        else:
            trusting.send(event(), 1)
        trusting.close()
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("kind", "url", "reason"),
    [
        ("nats", "http://example.org", "begins with nats://"),
        ("amqp", "amqp:///vhost", "no host name"),
        ("mqtt", "mqtt://host:99999999", "begins with"),
        ("mqtt", "mqtt://10.0.0.1", "private address"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(tmp_path: Path, kind: str, url: str, reason: str) -> None:
    """The administrator must find the line that is wrong."""
    with pytest.raises(Misconfigured, match=reason):
        sink(tmp_path, kind, url, private=False)


def test_a_name_that_leads_into_the_private_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever controls a name could have the front-end talk to services that only it reaches."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.1", 1883))])
    with pytest.raises(Unavailable, match="private address"):
        sink(tmp_path, "mqtt", "mqtt://broker.example.org", private=False).send(event(), 1)


def test_a_route_never_holds_a_wildcard() -> None:
    """An event must reach the subscribers of its own object only."""
    assert list(addresses.route(event())) == ["vm", "12", "state"]
    begin = Event(1, "i", "io.opennebula.onext.snapshot.begin", Object("zone", 0), 1.0, False, {}, {})
    assert list(addresses.route(begin)) == ["zone", "0", "snapshot-begin"]


def test_a_leader_that_was_cut_off_is_ignored() -> None:
    """Two front-ends that both believe that they lead would make the receiver's state jump back and forth."""
    replica = Replica()
    new = '{"epoch": "2", "sequence": "1", "id": "a", "type": "x.vm.state", "subject": "vm/1", "data": {"n": 1}}'
    replica.take(new.encode())
    replica.take(new.replace('"2"', '"1"').replace('"a"', '"b"').replace('{"n": 1}', '{"n": 0}').encode())
    assert replica.objects == {"vm/1": {"n": 1}}
