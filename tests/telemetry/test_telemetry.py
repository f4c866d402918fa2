"""Where telemetry goes."""

import pytest

from twospeed.telemetry import Collector, Push, Traces, collector

COMMON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://common:4318"}


@pytest.mark.parametrize(
    ("written", "env", "url"),
    [
        (None, {}, None),
        ("http://c:4318", {}, "http://c:4318/v1/traces"),
        ("http://c:4318/", {}, "http://c:4318/v1/traces"),
        ("http://c/base/v1/traces", {}, "http://c/base/v1/traces"),
        (None, COMMON, "http://common:4318/v1/traces"),
        ("http://c:4318", COMMON, "http://c:4318/v1/traces"),
        (None, COMMON | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://own/x"}, "http://own/x"),
        (None, COMMON | {"OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_traces_go_where_the_file_or_the_environment_says(written, env, url):
    """The file wins; a common endpoint gets the path of the signal, an own one is taken as it is."""
    found = collector("traces", Traces(endpoint=written), {"a": "b"}, env)
    assert found == (Collector(url, {"a": "b"}, 5.0) if url else None)


def test_metrics_go_their_own_way():
    """Each signal has an endpoint of its own."""
    found = collector("metrics", Push(endpoint="http://c:4318", timeout="2s"), {}, {})
    assert found == Collector("http://c:4318/v1/metrics", {}, 2.0)
    assert collector("metrics", Push(), {}, {}) is None
