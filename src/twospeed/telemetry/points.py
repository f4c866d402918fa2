"""A snapshot as OpenTelemetry data points: the same numbers, under the names and attributes of the conventions.

Imported only once metrics have somewhere to go. Source: OpenTelemetry metrics data model; GenAI metrics, version SEMCONV.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from twospeed import __version__
from twospeed.telemetry.conventions import SCHEMA_URL, SCOPE, Place
from twospeed.telemetry.instruments import (
    BY_NAME,
    OPERATION_DURATION,
    OPERATION_FIRST_CHUNK,
    TOKEN_USAGE,
    Instrument,
)
from twospeed.telemetry.snapshot import Distribution, Point, Snapshot

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_ATTRIBUTES = {  # labels that conventions have a name for; all others are ours
    "operation": "gen_ai.operation.name",
    "model": "gen_ai.request.model",
    "error": "error.type",
    "kind": "error.type",
    "code": "http.response.status_code",
    "type": "gen_ai.token.type",
}
_RENAMED = {  # not released: the names of the same histograms in the repository the GenAI conventions moved to
    OPERATION_DURATION.name: "gen_ai.client.inference.duration",
    OPERATION_FIRST_CHUNK.name: "gen_ai.client.inference.time_to_first_chunk",
}
_COUNTERS = {
    "input": "gen_ai.client.inference.usage.input_tokens",
    "output": "gen_ai.client.inference.usage.output_tokens",
}


class Report:
    """Makes exports of snapshots.

    Args:
        began: When counting began, nanoseconds since the epoch.
        latest: Add the names that are not released yet.
    """

    def __init__(self, resource: Resource, began: int, latest: bool) -> None:
        self._resource = resource
        self._began = began
        self._latest = latest
        self._scope = InstrumentationScope(SCOPE, __version__, SCHEMA_URL)

    def of(self, snapshot: Snapshot, places: Mapping[str, Place], now: int) -> MetricsData:
        """Make one export; `now` in nanoseconds since the epoch."""
        metrics = [metric for name, points in snapshot.items() for metric in self._metrics(name, points, places, now)]
        scope = ScopeMetrics(self._scope, metrics, SCHEMA_URL)
        return MetricsData([ResourceMetrics(self._resource, [scope], SCHEMA_URL)])

    def _metrics(self, name: str, points: Sequence[Point], places: Mapping[str, Place], now: int) -> Iterator[Metric]:
        of = BY_NAME[name]
        told = [(attributes(of, point, places), point) for point in points]
        if of.kind == "histogram":
            spreads = [self._spread(of, known, point.spread, now) for known, point in told if point.spread is not None]
            yield Metric(name, of.help, of.unit, Histogram(spreads, _CUMULATIVE))
            if self._latest:
                yield from self._newer(of, spreads)
            return
        numbers = [self._number(known, point.value, now) for known, point in told]
        yield Metric(
            name, of.help, of.unit, Sum(numbers, _CUMULATIVE, True) if of.kind == "counter" else Gauge(numbers)
        )

    def _newer(self, of: Instrument, spreads: Sequence[HistogramDataPoint]) -> Iterator[Metric]:
        if of.name in _RENAMED:
            yield Metric(_RENAMED[of.name], of.help, of.unit, Histogram(spreads, _CUMULATIVE))
        if of is TOKEN_USAGE:
            for kind, name in _COUNTERS.items():
                sums = [
                    self._sum(spread)
                    for spread in spreads
                    if dict(spread.attributes or {})["gen_ai.token.type"] == kind
                ]
                yield Metric(name, of.help, of.unit, Sum(sums, _CUMULATIVE, True))

    def _number(self, known: dict[str, Any], value: float, now: int) -> NumberDataPoint:
        return NumberDataPoint(known, self._began, now, value)

    def _sum(self, spread: HistogramDataPoint) -> NumberDataPoint:
        known = {key: value for key, value in (spread.attributes or {}).items() if key != "gen_ai.token.type"}
        return NumberDataPoint(known, self._began, spread.time_unix_nano, int(spread.sum))

    def _spread(self, of: Instrument, known: dict[str, Any], spread: Distribution, now: int) -> HistogramDataPoint:
        exemplars = [
            Exemplar({}, shown.value, int(shown.at * 1e9), int(shown.span, 16), int(shown.trace, 16))
            for shown in spread.exemplars.values()
        ]
        unknown: Any = None  # extremes are optional, and nobody keeps them
        count = sum(spread.counts)
        return HistogramDataPoint(
            known, self._began, now, count, spread.sum, spread.counts, of.bounds, unknown, unknown, exemplars
        )


def attributes(of: Instrument, point: Point, places: Mapping[str, Place]) -> dict[str, Any]:
    """Return the attributes of one point; a label that says nothing is left out."""
    known: dict[str, Any] = {}
    for label, value in zip(of.labels, point.labels, strict=True):
        if label == "code" and value.isdigit():
            known[_ATTRIBUTES[label]] = int(value)
        elif value:
            known[_ATTRIBUTES.get(label, f"twospeed.{label}")] = value
        if label == "provider":
            known |= _place(places.get(value, Place(value)), of)
    return known


def _place(place: Place, of: Instrument) -> dict[str, Any]:
    known: dict[str, Any] = {"gen_ai.provider.name": place.system}
    if place.address and of.name.startswith("gen_ai."):
        known |= {"server.address": place.address, "server.port": place.port}
    return known
