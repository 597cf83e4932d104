"""Pushed metrics, decoded with OpenTelemetry's own classes, and receivers that misbehave."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporter import otlp
from exporter.collection import Collection
from exporter.otlp import Page
from exporter.push import Pusher
from onext.oned.stream import Source
from onext.settings.exporter import Exporter, Power, Push
from tests.exporter.answers import recorded, samples, serve
from tests.misbehaving import MISBEHAVIOURS, servers

pytestmark = pytest.mark.process
RESOURCE = {"service.name": "onext-exporter", "service.instance.id": "fe"}
TEXT = b"""\
# HELP a_gauge What it is.
# TYPE a_gauge gauge
a_gauge{name="x\\"y\\\\z\\n",id="7"} 1.5
a_gauge{name="other",id="8"} -2
# HELP c_total Counted.
# TYPE c_total counter
c_total 3
"""


class Receiver:
    """Keeps what it is sent, and answers with `statuses`, then 200."""

    def __init__(self) -> None:
        self.bodies: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.url = ""

    def points(self, request: int = -1) -> dict[tuple[str, str], tuple[float, int]]:
        """Return value and flags of a request's points, by metric and sorted labels."""
        found = {}
        for metric in self.bodies[request].resource_metrics[0].scope_metrics[0].metrics:
            for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points:
                labels = ",".join(sorted(f"{one.key}={one.value.string_value}" for one in point.attributes))
                found[metric.name, labels] = (point.as_double, point.flags)
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            kept.bodies.append(ExportMetricsServiceRequest.FromString(body))
            kept.headers.append(dict(self.headers))
            self.send_response(kept.statuses.pop(0) if kept.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/v1/metrics"
        yield kept
        server.shutdown()
        thread.join()


def pusher(receiver: Receiver, pages: list[bytes], **settings: object) -> Pusher:
    """Return a pusher of these pages, one after the other."""
    given = Push.model_validate({"url": receiver.url, **settings})
    return Pusher(given, lambda: pages.pop(0), RESOURCE, lambda: 1_800_000_000.0)


def test_types_labels_and_times(receiver: Receiver) -> None:
    """A counter that arrives as a gauge has no rate; a label that is cut joins nothing."""
    assert pusher(receiver, [TEXT]).push()
    (request,) = receiver.bodies
    attributes = {a.key: a.value.string_value for a in request.resource_metrics[0].resource.attributes}
    assert attributes == RESOURCE
    metrics = {m.name: m for m in request.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics["a_gauge"].description == "What it is."
    assert metrics["c_total"].sum.is_monotonic
    assert metrics["c_total"].sum.aggregation_temporality == 2  # cumulative
    assert metrics["c_total"].sum.data_points[0].start_time_unix_nano == 1_800_000_000_000_000_000
    assert metrics["a_gauge"].gauge.data_points[0].time_unix_nano == 1_800_000_000_000_000_000
    assert receiver.points() == {
        ("a_gauge", 'id=7,name=x"y\\z\n'): (1.5, 0),
        ("a_gauge", "id=8,name=other"): (-2.0, 0),
        ("c_total", ""): (3.0, 0),
    }


def test_a_whole_scrape(receiver: Receiver, recordings: Path, tmp_path: Path) -> None:
    """What is pushed is what would be scraped, sample by sample, in requests of a bounded size."""
    with serve(recorded(recordings)) as oned:
        settings = Exporter(power=Power(sources=[]))
        made = Collection(Source(oned.endpoint, "u:p"), settings, tmp_path, version="1", server="fe")
        text = made().text
    assert pusher(receiver, [text]).push()
    pushed = [point for number in range(len(receiver.bodies)) for point in receiver.points(number).items()]
    assert sorted(value for _, (value, _) in pushed) == sorted(samples(text.decode()).values())


def test_large_pages_are_several_requests(receiver: Receiver) -> None:
    """150,000 points in one message are more than receivers take."""
    page = b"".join(b'm{id="%d"} 1\n' % number for number in range(otlp.POINTS * 2 + 1))
    assert pusher(receiver, [page]).push()
    assert [len(receiver.points(number)) for number in range(3)] == [otlp.POINTS, otlp.POINTS, 1]


def test_the_end_of_a_series_is_told_until_it_is_heard(receiver: Receiver) -> None:
    """A VM that was deleted would keep its last value in every panel for five minutes, or for ever."""
    made = pusher(
        receiver, [b'm{id="1"} 1\nm{id="2"} 1\n', b'm{id="1"} 1\n', b'm{id="1"} 1\n', b'm{id="1"} 1\n']
    )
    assert made.push()
    receiver.statuses = [503]
    assert not made.push()
    assert made.push()
    assert receiver.points() == {("m", "id=1"): (1.0, 0), ("m", "id=2"): (0.0, 1)}
    assert made.push()
    assert receiver.points() == {("m", "id=1"): (1.0, 0)}


@pytest.mark.parametrize(("status", "pause"), [(400, 60), (401, 60), (413, 60), (429, 120), (503, 120)])
def test_nothing_is_sent_twice(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int, pause: float
) -> None:
    """400 will be 400 again; and a queue of old pages would grow while the receiver is away."""
    made = pusher(receiver, [b"m 1\n", b"m 2\n", b"m 3\n"])
    receiver.statuses = [status, status]
    with caplog.at_level(logging.INFO):
        assert not made.push()
        assert made.pause == pause
        assert not made.push()
        assert len(caplog.records) == 1
        assert made.push()
    assert [receiver.points(number)["m", ""][0] for number in range(3)] == [1, 2, 3]
    assert "accepted again" in caplog.text
    assert made.pause == 60


def test_pauses_grow_and_end_growing(receiver: Receiver) -> None:
    """A receiver that is away for a week must be found again within a quarter of an hour."""
    receiver.statuses = [503] * 20
    made = pusher(receiver, [b"m 1\n"] * 20)
    pauses = [(made.push(), made.pause)[1] for _ in range(20)]
    assert pauses[:5] == [120, 240, 480, 960, 960]
    assert pauses[-1] == 960


@pytest.mark.parametrize("way", MISBEHAVIOURS)
def test_B6_a_receiver_that_misbehaves_ends_nothing(caplog: pytest.LogCaptureFixture, way: str) -> None:
    """The thread must go on, and the reason must be in the log once."""
    behave, _ = MISBEHAVIOURS[way]
    with servers() as start:
        settings = Push(url=start(behave), timeout=0.7)
        made = Pusher(settings, lambda: b"m 1\n", RESOURCE)
        assert not made.push()
        assert not made.push()
    assert len({record.message for record in caplog.records}) == len(caplog.records)
    assert caplog.records


def test_headers_from_a_file(receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A token is not in onext.yaml, is read again when it was renewed, and is never logged."""
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer first\nX-Scope-OrgID: 7\n\n")
    made = pusher(receiver, [b"m 1\n"] * 4, headers_file=str(file))
    assert made.push()
    file.write_text("Authorization: Bearer second\n")
    assert made.push()
    assert [one["Authorization"] for one in receiver.headers] == ["Bearer first", "Bearer second"]
    file.write_text("hush\n")
    assert not made.push()
    file.unlink()
    assert not made.push()
    assert "hush" not in caplog.text
    assert str(file) in caplog.text


def test_a_page_that_cannot_be_collected(receiver: Receiver) -> None:
    """An error of ours must not end the thread that pushes."""
    made = pusher(receiver, [])
    assert not made.push()
    assert Page.of(b"\n# x\n# TYPE a\nword\n").values == {}
