"""Snapshots as OpenTelemetry data points."""

import pytest
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum
from opentelemetry.sdk.resources import Resource
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from tests.telemetry.records import FAST, SAMPLED, attempt, record

from twospeed.errors import Kind
from twospeed.telemetry.conventions import SCHEMA_URL, Place
from twospeed.telemetry.instruments import BUILD, FAULTS, IN_FLIGHT, REQUESTS
from twospeed.telemetry.metrics import Metrics, Reading
from twospeed.telemetry.points import Report
from twospeed.types import Usage

PLACES = {"near": Place("groq", "api.groq.com", 443)}


def metrics(*records, latest: bool = False):
    """What is exported after some requests, by name."""
    counted = Metrics(operations=True)
    counted.watch(lambda: [Reading(IN_FLIGHT, (), 7), Reading(BUILD, ("1", "3.11", "x"), 1)])
    for finished in records:
        counted(finished)
    (resource,) = Report(Resource({}), 1, latest).of(counted.snapshot(), PLACES, 2).resource_metrics
    (scope,) = resource.scope_metrics
    assert scope.schema_url == SCHEMA_URL
    found = {metric.name: metric for metric in scope.metrics}
    assert len(found) == len(scope.metrics)
    return found


def test_kinds_become_their_like():
    """Counters are cumulative sums, histograms histograms, all else gauges."""
    found = metrics(record())
    assert isinstance(found[REQUESTS.name].data, Sum)
    assert isinstance(found["twospeed.request.duration"].data, Histogram)
    assert isinstance(found[IN_FLIGHT.name].data, Gauge)
    assert found[IN_FLIGHT.name].data.data_points[0].value == 7
    assert found[BUILD.name].data.data_points[0].attributes["twospeed.version"] == "1"


def test_every_genai_metric_follows_its_convention():
    """Required attributes are there, units are right, and an error type only where there was an error."""
    failed = attempt(FAST, kind=Kind.RESET, first_token_at=None)
    found = metrics(record(), record(attempts=[failed], fault=Kind.RESET, usage=None, committed_at=None))
    duration = found[gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION]
    first = found[gen_ai_metrics.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK]
    tokens = found[gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE]
    assert (duration.unit, first.unit, tokens.unit) == ("s", "s", "{token}")
    required = {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "server.address",
        "server.port",
    }
    for metric in (duration, first, tokens):
        for point in metric.data.data_points:
            assert required <= point.attributes.keys()
            assert point.attributes["server.port"] == 443
    assert sorted(point.attributes.get("error.type", "") for point in duration.data.data_points) == ["", "reset"]
    assert {point.attributes["gen_ai.token.type"] for point in tokens.data.data_points} == {"input", "output"}


def test_faults_and_codes_go_by_their_common_names():
    """A status is a number, a fault an error type; the operator's name of a provider stays beside the common one."""
    found = metrics(record(fault=Kind.TRUNCATED))
    (request,) = found[REQUESTS.name].data.data_points
    (fault,) = found[FAULTS.name].data.data_points
    assert request.attributes["http.response.status_code"] == 200
    assert fault.attributes["error.type"] == "truncated"
    assert (fault.attributes["twospeed.provider"], fault.attributes["gen_ai.provider.name"]) == ("near", "groq")


@pytest.mark.parametrize("latest", [False, True])
def test_newer_names_come_only_on_demand_and_beside_the_pinned_ones(latest):
    """Who opts in gets both, with the same numbers."""
    found = metrics(record(usage=Usage(1_000, 11)), latest=latest)
    newer = {name for name in found if name.startswith("gen_ai.client.inference.")}
    assert {gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION, gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE} <= found.keys()
    if not latest:
        assert newer == set()
        return
    assert found["gen_ai.client.inference.duration"].data.data_points[0].count == 1
    assert found["gen_ai.client.inference.time_to_first_chunk"].data.data_points[0].count == 1
    (read,) = found["gen_ai.client.inference.usage.input_tokens"].data.data_points
    (written,) = found["gen_ai.client.inference.usage.output_tokens"].data.data_points
    assert (read.value, written.value) == (1_000, 11)
    assert "gen_ai.token.type" not in read.attributes


def test_exemplars_lead_to_their_trace():
    """A traced request stands for its bucket, in the numbers OpenTelemetry wants."""
    (point,) = metrics(record(trace=SAMPLED))["twospeed.request.duration"].data.data_points
    (exemplar,) = point.exemplars
    assert f"{exemplar.trace_id:032x}" == SAMPLED.id
    assert exemplar.time_unix_nano == pytest.approx(1_700_000_001_200_000_000, rel=1e-12)
