"""What both signals need to reach a collector over OTLP/HTTP: who we are, bounded exports, one word per change.

Imported only once there is a collector.
"""

import logging
import os
import socket
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from twospeed import __version__
from twospeed.telemetry import Collector, Signal
from twospeed.telemetry.conventions import SCHEMA_URL

log = logging.getLogger("twospeed.telemetry")
# The exporter would write a line for each batch that fails; Reached writes one when that begins and one when it ends.
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL + 1)


def resource() -> Resource:
    """Say who reports: this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word."""
    own = Resource(
        {
            "service.name": "twospeed",
            "service.version": __version__,
            "service.instance.id": str(uuid.uuid4()),
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        },
        SCHEMA_URL,
    )
    return Resource.create().merge(own).merge(OTELResourceDetector().detect())


def span_exporter(to: Collector) -> OTLPSpanExporter:
    """Return an exporter of spans; an export takes at most `to.timeout`, retries included."""
    return OTLPSpanExporter(endpoint=to.url, headers=dict(to.headers), timeout=to.timeout)


def metric_exporter(to: Collector) -> OTLPMetricExporter:
    """Return an exporter of metrics; an export takes at most `to.timeout`, retries included."""
    return OTLPMetricExporter(endpoint=to.url, headers=dict(to.headers), timeout=to.timeout)


class Reached:
    """Notes whether a collector takes what it is sent, and says so when that changes."""

    def __init__(self, signal: Signal, url: str, say: Callable[[str], object] = log.warning) -> None:
        self._what = f"{signal} collector {urlsplit(url).netloc.rpartition('@')[2]}"
        self._say = say
        self._good = True

    def __call__(self, good: bool) -> None:
        """Take the outcome of one export."""
        if good != self._good:
            self._good = good
            self._say(f"{self._what} {'takes exports again' if good else 'does not take exports; they are dropped'}")
