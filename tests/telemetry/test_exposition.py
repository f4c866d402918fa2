"""The text a scraper gets, read by a strict parser of its own."""

import pytest
from tests.openmetrics import parse
from tests.telemetry.records import SAMPLED, record

from twospeed.telemetry.exposition import OPEN_METRICS, PROMETHEUS, render
from twospeed.telemetry.instruments import BUILD, CPU, LIMIT, REQUEST_DURATION
from twospeed.telemetry.metrics import Metrics
from twospeed.telemetry.snapshot import Point

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def snapshot():
    """One traced request."""
    metrics = Metrics()
    metrics(record(trace=SAMPLED))
    return metrics.snapshot()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PROMETHEUS),
        ("application/openmetrics-text", OPEN_METRICS),
        (PROMETHEUS_3, OPEN_METRICS),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", PROMETHEUS),
        ("application/openmetrics-text;q=0", PROMETHEUS),
        ("application/openmetrics-text;q=nonsense", PROMETHEUS),
    ],
)
def test_a_scraper_gets_what_it_asks_for(accept, content_type):
    """OpenMetrics only for those who prefer it, and well formed either way."""
    found, body = render(snapshot(), accept)
    assert found == content_type
    assert parse(body.decode(), content_type == OPEN_METRICS)


def test_a_histogram_is_cumulative_and_shows_its_exemplar():
    """The exemplar stands on the bucket its value belongs to, with the id of its trace."""
    families = parse(render(snapshot(), OPEN_METRICS)[1].decode(), open_metrics=True)
    samples = families["twospeed_request_duration_seconds"].samples
    (shown,) = [sample for sample in samples if sample.exemplar]
    assert shown.exemplar[0] == {"trace_id": SAMPLED.id, "span_id": SAMPLED.span}
    assert dict(shown.labels)["le"] == "2.0"
    assert families["twospeed_request_duration_seconds"].unit == "seconds"


def test_plain_text_has_no_exemplars():
    """The older format knows none, and a scraper would refuse them."""
    body = render(snapshot(), "")[1].decode()
    assert "trace_id" not in body
    assert "# UNIT" not in body


def test_totals_and_infos_are_named_as_each_format_wants():
    """OpenMetrics names the family, the text format the sample."""
    points = {CPU.name: [Point((), 1.5)], BUILD.name: [Point(("1", "3.11", "x"), 1)]}
    modern = parse(render(points, OPEN_METRICS)[1].decode(), open_metrics=True)
    plain = parse(render(points, "")[1].decode(), open_metrics=False)
    assert modern.keys() == {"twospeed_cpu_time_seconds", "twospeed_build"}
    assert modern["twospeed_build"].kind == "info"
    assert plain.keys() == {"twospeed_cpu_time_seconds_total", "twospeed_build_info"}
    assert plain["twospeed_build_info"].kind == "gauge"


def test_odd_names_cannot_break_a_line():
    """A pool named with quotes, backslashes and line breaks is told as it is."""
    odd = 'a"b\\c\nd'
    text = render({LIMIT.name: [Point((odd, "rpm"), 3)]}, OPEN_METRICS)[1].decode()
    (sample,) = parse(text, open_metrics=True)["twospeed_limit"].samples
    assert dict(sample.labels)["pool"] == odd


def test_an_instrument_without_values_is_left_out():
    """No family without samples, and nothing at all is still a whole exposition."""
    assert render({}, OPEN_METRICS)[1] == b"# EOF\n"
    assert REQUEST_DURATION.family not in render({LIMIT.name: [Point(("p", "rpm"), 1)]}, "")[1].decode()
