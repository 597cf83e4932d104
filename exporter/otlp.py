"""A page of metrics as OTLP: what `exporter.push` sends to sites whose Prometheus cannot scrape.

Format: opentelemetry-proto, ExportMetricsServiceRequest. A gauge is a Gauge, a counter a cumulative,
monotonic Sum; a series that ended is a point with the flag "no recorded value": receivers take it as stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK,
    Metric,
    NumberDataPoint,
)

POINTS = 5_000  # of one request: about 1 MB
_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*(?:\\.[^"\\]*)*)",?')
_ESCAPE = re.compile(rb"\\(.)")
_MEANT = {b"n": b"\n"}


@dataclass
class Page:
    """What a page holds: values by series (`name{labels}`), and the type and HELP of each metric."""

    values: dict[bytes, float] = field(default_factory=dict)
    types: dict[bytes, bytes] = field(default_factory=dict)
    helps: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, text: bytes) -> Page:
        """Read a page of the text format as this exporter writes it; other lines are left out."""
        page = cls()
        for line in text.split(b"\n"):
            if line.startswith(b"# "):
                kind, _, rest = line[2:].partition(b" ")
                name, _, what = rest.partition(b" ")
                {b"TYPE": page.types, b"HELP": page.helps}.get(kind, {})[name] = what
                continue
            series, _, value = line.rpartition(b" ")
            if series:
                page.values[series] = float(value)
        return page


def requests(
    page: Page, ended: Iterable[bytes], resource: Mapping[str, str], start: int, now: int
) -> Iterator[bytes]:
    """Yield the serialised requests for a page and for series that ended; times in nanoseconds since 1970.

    `start` is when counters began, `resource` the attributes of this exporter.
    """
    points: list[tuple[bytes, float | None]] = [*page.values.items(), *((series, None) for series in ended)]
    for begin in range(0, len(points), POINTS):
        request = ExportMetricsServiceRequest()
        all_of_one = request.resource_metrics.add()
        for key, value in resource.items():
            all_of_one.resource.attributes.add(key=key).value.string_value = value
        scope = all_of_one.scope_metrics.add()
        scope.scope.name = "onext"
        metrics: dict[bytes, Metric] = {}
        for series, amount in points[begin : begin + POINTS]:
            name = _NAME.match(series)
            if name is None:
                continue
            metric = metrics.get(name[0])
            if metric is None:
                metric = metrics[name[0]] = scope.metrics.add()
                _describe(metric, name[0], page)
            _point(metric, series, name.end(), amount, start, now)
        yield request.SerializeToString()


def _describe(metric: Metric, name: bytes, page: Page) -> None:
    metric.name = _text(name)
    metric.description = _text(page.helps.get(name, b""))
    if page.types.get(name) == b"counter" or (name.endswith(b"_total") and name not in page.types):
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.is_monotonic = True
    else:
        metric.gauge.SetInParent()


def _point(metric: Metric, series: bytes, at: int, value: float | None, start: int, now: int) -> None:
    points = metric.sum.data_points if metric.HasField("sum") else metric.gauge.data_points
    point: NumberDataPoint = points.add(time_unix_nano=now)
    if metric.HasField("sum"):
        point.start_time_unix_nano = start
    if value is None:
        point.flags = DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
    else:
        point.as_double = value
    at += 1  # the brace
    while label := _LABEL.match(series, at):
        raw = label[2]
        text = _ESCAPE.sub(lambda found: _MEANT.get(found[1], found[1]), raw) if b"\\" in raw else raw
        point.attributes.add(key=_text(label[1])).value.string_value = _text(text)
        at = label.end()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
