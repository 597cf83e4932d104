"""Delivery over HTTP to a receiver that refuses, stalls and returns."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hooks.events import signature
from hooks.events.changes import difference
from hooks.events.delivery import RETRIES, deliver, pause
from hooks.events.facts import Facts, Object
from hooks.events.outbox import Outbox
from hooks.events.sinks.http import HttpSink
from onext.http import Http
from tests.hooks.events.receiver import receiver

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def filled(folder: Path, count: int = 3) -> Outbox:
    """Return an outbox with some events for sink `web`."""
    outbox = Outbox(folder / "events.db")
    state: dict[Object, Facts] = {
        Object("vm", n): {"name": "<b>&", "state": "ACTIVE", "cluster": 100} for n in range(count)
    }
    outbox.append(difference({}, state), {"web": lambda _: True}, time.time())
    return outbox


def sink(url: str, *keys: str, binary: bool = False) -> HttpSink:
    """Return the sink `web`."""
    return HttpSink("web", url, "/zone/0", Http(), [signature.Key.parse(key) for key in keys], binary)


@pytest.mark.process
def test_a_receiver_gets_every_event_in_order_as_valid_cloudevents(tmp_path: Path) -> None:
    """Receivers use the field's libraries to read what is sent."""
    from cloudevents.core.bindings.http import HTTPMessage, from_http_event  # the oracle

    outbox = filled(tmp_path)
    with receiver() as got:
        assert deliver(outbox, sink(got.url), 7, time.time()).sent == 3
        documents = got.documents()
        assert [document["sequence"] for document in documents] == [f"{n:020d}" for n in (1, 2, 3)]
        assert {document["epoch"] for document in documents} == {"7"}
        headers, body = got.got[0]
        event = from_http_event(HTTPMessage(headers=headers, body=body))
        assert event.get_type() == "io.opennebula.onext.vm.created"
    assert outbox.sink("web").lag == 0


@pytest.mark.process
def test_signatures_are_accepted_by_the_reference_library(tmp_path: Path) -> None:
    """A receiver that checks signatures would refuse everything otherwise."""
    from standardwebhooks import Webhook  # the oracle

    seed = b"s" * 32
    outbox = filled(tmp_path, 1)
    with receiver() as got:
        deliver(outbox, sink(got.url, SECRET, "whsk_" + base64.b64encode(seed).decode()), 1, time.time())
        headers, body = got.got[0]
    assert Webhook(SECRET).verify(body, headers)
    asymmetric = headers["webhook-signature"].split()[1].removeprefix("v1a,")
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    Ed25519PrivateKey.from_private_bytes(seed).public_key().verify(base64.b64decode(asymmetric), content)


@pytest.mark.process
@pytest.mark.parametrize(
    ("status", "headers", "least", "stopped", "lag"),
    [
        (500, {}, 5.0, False, 3),
        (429, {"Retry-After": "120"}, 120.0, False, 3),
        (503, {"Retry-After": "garbage"}, 5.0, False, 3),
        (301, {"Location": "http://127.0.0.1:1/"}, 5.0, False, 3),
        (410, {}, 0.0, True, 3),
        (400, {}, 0.0, False, 0),
    ],
)
def test_each_refusal_has_its_consequence(
    tmp_path: Path, status: int, headers: dict[str, str], least: float, stopped: bool, lag: int
) -> None:
    """A receiver that asks for a pause gets one; one that is gone is left alone; nothing is lost meanwhile."""
    outbox = filled(tmp_path)
    now = time.time()
    with receiver() as got:
        got.status, got.headers = status, headers
        deliver(outbox, sink(got.url), 1, now)
        state = outbox.sink("web")
        assert bool(state.stopped) is stopped
        assert state.lag == lag
        if least:
            assert state.next - now >= least
        got.status = 204
        deliver(outbox, sink(got.url), 1, now + 1.0)
        assert not got.got or lag == 0
        deliver(outbox, sink(got.url), 1, now + 200.0)
        assert len(got.got) == (0 if stopped or lag == 0 else 3)


@pytest.mark.process
def test_an_unreachable_receiver_is_tried_again(tmp_path: Path) -> None:
    """A receiver that restarts gets what it missed."""
    outbox = filled(tmp_path)
    with receiver() as got:
        url = got.url
    assert deliver(outbox, sink(url), 1, 0.0).problem
    assert outbox.sink("web").failures == 1
    assert outbox.sink("web").lag == 3


def test_pauses_add_up_to_three_days() -> None:
    """A receiver that is down over a weekend must not lose events."""
    assert sum(RETRIES) >= 3 * 86_400
    assert [pause(n, None) for n in range(3)] == [5.0, 300.0, 1800.0]
    assert pause(0, 1e12) == 86_400.0


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_!!", "secret", "whsec_" + base64.b64encode(b"x").decode(), "whsk_AAAA"]
)
def test_invalid_keys_are_refused(text: str) -> None:
    """A short or damaged key would sign nothing of worth."""
    with pytest.raises(signature.InvalidKey):
        signature.Key.parse(text)


@pytest.mark.process
def test_a_receiver_that_asks_for_batches_gets_them(tmp_path: Path) -> None:
    """A snapshot of 10,000 VMs one by one would keep a portal behind for long."""
    from standardwebhooks import Webhook  # the oracle

    outbox = filled(tmp_path, 120)
    made = HttpSink("web", "", "/zone/0", Http(), [signature.Key.parse(SECRET)], batch=50)
    with receiver() as got:
        made.url = got.url
        assert deliver(outbox, made, 7, time.time(), 200).sent == 120
        bodies = [json.loads(body) for _, body in got.got]
    assert [one["sequence"] for body in bodies for one in body] == [f"{n:020d}" for n in range(1, 121)]
    assert len(bodies) < 10
    assert all(len(body) <= 20_000 for _, body in got.got)
    headers, body = got.got[0]
    assert headers["content-type"].startswith("application/cloudevents-batch+json")
    assert Webhook(SECRET).verify(body, headers)
    assert outbox.sink("web").lag == 0


@pytest.mark.process
def test_one_event_that_is_refused_takes_no_other_with_it(tmp_path: Path) -> None:
    """A receiver that cannot read one event would otherwise lose all that were sent with it."""
    outbox = filled(tmp_path, 5)
    made = HttpSink("web", "", "/zone/0", Http(), batch=50)
    with receiver() as got:
        got.refuse = b'"sequence":"00000000000000000003"'
        made.url = got.url
        assert deliver(outbox, made, 7, time.time()).sent == 4
        assert [document["sequence"] for document in got.documents()] == [f"{n:020d}" for n in (1, 2, 4, 5)]
    assert [event.number for event, _ in outbox.dead("web")] == [3]
    assert outbox.sink("web").lag == 0
