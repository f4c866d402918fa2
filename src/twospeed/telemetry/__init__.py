"""Telemetry: everyone is told of a finished request from its one record."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from twospeed.types import Settings
from twospeed.units import Fraction, PositiveCount, PositiveDuration

TOGETHER = (
    16  # records that a sink works off at once: for all but the first its code and data are in the processor's caches
)

Endpoint = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class Log(Settings):
    """`telemetry.log`: the request log on standard error, one line per finished request."""

    format: Literal["text", "json", "off"] = "text"
    """text for people, json for machines, off for none. Prompts and answers are in neither."""


class Traces(Settings):
    """`telemetry.traces`: one trace per request, for an OpenTelemetry collector. Prompts and answers are not in it.

    With the defaults 1% of requests are sampled; those with a fault or a fallback, and those whose caller sampled
    them, go out always. A collector that is down costs at most 2,048 records of memory, and no request any time.
    """

    endpoint: Endpoint | None = None
    """Address of the collector for OTLP over HTTP, for example http://127.0.0.1:4318; /v1/traces is added. Left out:
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT where set, else no traces."""
    headers: dict[HeaderName, str] = {}
    """Headers of each export; secrets as env:NAME or file:PATH."""
    ratio: Fraction = 0.01
    """Share of the requests to sample that are not exported anyway."""
    queue: PositiveCount = 2_048
    """Finished requests that may wait for the collector; more are dropped and counted."""
    timeout: PositiveDuration = 5.0
    """How long one export may take, retries included."""


class Push(Settings):
    """`telemetry.metrics`: the instruments of /metrics, and those of the GenAI conventions, sent to a collector.

    Scraping /metrics on the admin listener needs none of this.
    """

    endpoint: Endpoint | None = None
    """Address of the collector for OTLP over HTTP, for example http://127.0.0.1:4318; /v1/metrics is added. Left out:
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT where set, else nothing is sent."""
    headers: dict[HeaderName, str] = {}
    """Headers of each export; secrets as env:NAME or file:PATH."""
    interval: PositiveDuration = 30.0
    """Time between two exports."""
    timeout: PositiveDuration = 5.0
    """How long one export may take, retries included."""


class Telemetry(Settings):
    """`telemetry`: who is told of requests."""

    log: Log = Log()
    """The request log."""
    traces: Traces = Traces()
    """Traces over OTLP."""
    metrics: Push = Push()
    """Metrics over OTLP."""


class Collector(NamedTuple):
    """Where one signal goes. `url`: whole, signal path included. `headers`: with secrets, never shown."""

    url: str
    headers: Mapping[str, str]
    timeout: float


Signal = Literal["traces", "metrics"]


def collector(
    signal: Signal, settings: Traces | Push, headers: Mapping[str, str], env: Mapping[str, str]
) -> Collector | None:
    """Find where a signal goes, None for nowhere. What is written wins over the variables every OpenTelemetry SDK reads.

    Args:
        headers: With references replaced.

    >>> collector("traces", Traces(), {}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}).url
    'http://c:4318/v1/traces'
    """
    path = f"/v1/{signal}"
    own, variable = settings.endpoint, f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    if own:
        url = own if own.endswith(path) else own.rstrip("/") + path
    elif env.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
        return None
    else:
        base = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        url = env.get(variable) or (base.rstrip("/") + path if base else "")
    return Collector(url, headers, settings.timeout) if url else None
