"""The spans of a request, held against the conventions they claim to follow."""

import json

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, openai_attributes, session_attributes
from opentelemetry.semconv._incubating.attributes import http_attributes as http_incubating
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode
from tests.telemetry.records import DEEP, FAST, SAMPLED, TRACE, attempt, record

from twospeed.errors import Kind
from twospeed.telemetry.conventions import SCHEMA_URL, Place
from twospeed.telemetry.spans import Spans
from twospeed.types import Attempt, Trace, Usage

PLACES = {"near": Place("near", "127.0.0.1", 8000), "far": Place("openai", "api.openai.com", 443)}
KNOWN = {
    value
    for module in (
        *(gen_ai_attributes, openai_attributes, session_attributes, http_incubating, http_attributes),
        *(error_attributes, server_attributes, url_attributes, user_agent_attributes),
    )
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}


def traced(**fields):
    """A request with a trace, and every attempt with a span."""
    finished = record(**{"trace": SAMPLED} | fields)
    for number, tried in enumerate(finished.attempts, 1):
        tried.span = f"{number:016x}"
    return finished


def spans(**fields):
    """Its spans, the one of the request first."""
    return list(Spans(Resource({}), PLACES).of(traced(**fields)))


FALLBACK = {
    "attempts": [
        attempt(FAST, kind=Kind.FIRST_TOKEN_TIMEOUT, detail="no content in 800 ms", first_token_at=None, status=None),
        attempt(DEEP, 100.9, request_id="up-1", reused=True, named=("chatcmpl-1", "heavy/one-2026")),
    ],
    "committed_at": 101.1,
}
SHAPES = {
    "plain": {"stream": False},
    "stream": {},
    "fallback": FALLBACK,
    "refused": {
        "attempts": [attempt(kind=Kind.PROVIDER_REFUSED, status=400)],
        "status": 400,
        "fault": Kind.PROVIDER_REFUSED,
    },
    "cut": {"fault": Kind.TRUNCATED, "attempts": [attempt(kind=Kind.TRUNCATED)]},
    "gone": {"fault": Kind.CLIENT_GONE, "status": 0, "attempts": [attempt(kind=Kind.CLIENT_GONE)]},
    "nowhere": {"fault": Kind.MODEL_NOT_FOUND, "status": 404, "attempts": [], "committed_at": None, "usage": None},
    "limited": {"notes": ["limited:near/spark:rpm"], "attempts": [attempt(DEEP)]},
    "anonymous": {"session": "", "client": "", "caller": "", "score": None, "reasons": ()},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_rules_of_the_conventions_hold(shape):
    """Kinds, names, required attributes and types, on every span of every kind of request."""
    request, *attempts = spans(**SHAPES[shape])
    fields = record(**SHAPES[shape])
    assert request.kind is SpanKind.SERVER
    assert request.name == "POST /v1/chat/completions"
    assert {"http.request.method", "url.path", "url.scheme", "http.route"} <= request.attributes.keys()
    assert ("http.response.status_code" in request.attributes) == bool(fields.status)
    assert len(attempts) == len(fields.attempts)
    for span in attempts:
        known = span.attributes
        assert span.kind is SpanKind.CLIENT
        assert span.name == f"{known['gen_ai.operation.name']} {known['gen_ai.request.model']}"
        assert {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"} <= known.keys()
        assert ("server.address" in known) == ("server.port" in known)
        assert known.get("gen_ai.request.stream", True) is True
        assert ("gen_ai.request.stream" in known) == fields.stream
        assert isinstance(known.get("gen_ai.response.finish_reasons", ()), tuple)
        assert ("gen_ai.conversation.id" in known) == bool(fields.session)
    for span in (request, *attempts):
        assert (span.status.status_code is StatusCode.ERROR) == ("error.type" in span.attributes)
        assert span.instrumentation_scope.schema_url == SCHEMA_URL
        assert span.start_time <= span.end_time
        unknown = {key for key in span.attributes if not key.startswith("twospeed.")} - KNOWN
        assert unknown == set()


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_that_was_said_is_in_a_trace(shape):
    """No prompt, no answer, no attribute that could hold one."""
    told = json.loads(json.dumps([json.loads(span.to_json()) for span in spans(**SHAPES[shape])]))
    keys = {key for span in told for key in span["attributes"]}
    content = ("messages", "instructions", "prompt", "completion", "tool.definitions", "arguments")
    assert not [key for key in keys if key.endswith(content)]


def test_one_trace_tells_where_why_and_after_what():
    """Tier, rule, reason and score on the request; backend, region and the fallback on the attempts."""
    request, first, second = spans(**FALLBACK)
    said = request.attributes
    assert said["twospeed.tier"] == "fast"
    assert (said["twospeed.rule"], said["twospeed.reason"]) == ("score", "score:low,tools:2")
    assert said["twospeed.score"] == 0.25
    assert said["twospeed.session"] == said["session.id"] == "5e55104a5e55104a"
    assert said["twospeed.config.version"] == "c0ffee"
    assert first.attributes["twospeed.attempt"] == 1
    assert "twospeed.fallback.from" not in first.attributes
    assert second.attributes["twospeed.attempt"] == 2
    assert second.attributes["twospeed.fallback.from"] == "near/spark@eu"
    assert second.attributes["twospeed.fallback.reason"] == "first_token_timeout"
    assert second.attributes["twospeed.region"] == "us"


def test_a_saved_request_is_no_error():
    """The attempt that failed is an error, the request it was saved from is not."""
    request, first, second = spans(**FALLBACK)
    assert request.status.status_code is StatusCode.UNSET
    assert (first.attributes["error.type"], first.status.description) == ("first_token_timeout", "no content in 800 ms")
    assert second.status.status_code is StatusCode.UNSET


def test_the_answer_belongs_to_the_attempt_that_gave_it():
    """Usage and finish reasons stand on the last attempt only."""
    _, first, second = spans(**FALLBACK)
    assert not [key for key in first.attributes if key.startswith("gen_ai.usage")]
    assert second.attributes["gen_ai.usage.input_tokens"] == 1_000
    assert second.attributes["gen_ai.usage.output_tokens"] == 11
    assert second.attributes["gen_ai.usage.cache_read.input_tokens"] == 600
    assert second.attributes["gen_ai.usage.reasoning.output_tokens"] == 4
    assert second.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert second.attributes["gen_ai.response.id"] == "chatcmpl-1"
    assert second.attributes["gen_ai.response.model"] == "heavy/one-2026"
    assert "gen_ai.response.id" not in first.attributes
    assert round(second.attributes["gen_ai.response.time_to_first_chunk"], 6) == 0.2


def test_a_provider_is_told_by_its_own_address():
    """The server is the one behind us, and the provider has its name of the conventions."""
    _, first, second = spans(**FALLBACK)
    assert second.attributes["gen_ai.provider.name"] == "openai"
    assert (second.attributes["server.address"], second.attributes["server.port"]) == ("api.openai.com", 443)
    assert second.attributes["openai.api.type"] == "chat_completions"
    assert "openai.api.type" not in first.attributes


def test_a_failed_last_attempt_tells_no_answer():
    """What was refused before its first content has no usage."""
    failed = attempt(kind=Kind.PROVIDER_ERROR, first_token_at=None, status=500)
    _, span = spans(attempts=[failed], committed_at=None, usage=None, finish="", status=502, fault=Kind.PROVIDER_ERROR)
    assert not [key for key in span.attributes if key.startswith(("gen_ai.usage", "gen_ai.response"))]


def test_another_try_at_the_same_backend_is_no_fallback():
    """It says what it comes after, not from where."""
    again = [attempt(kind=Kind.CONNECT_FAILED), attempt(FAST, 100.3)]
    _, _, second = spans(attempts=again)
    assert second.attributes["twospeed.again.reason"] == "connect_failed"
    assert "twospeed.fallback.from" not in second.attributes


def test_who_leaves_makes_no_error():
    """A client that goes away is told as a fault of its own, not as an error of ours or the provider's."""
    request, span = spans(**SHAPES["gone"])
    assert request.attributes["twospeed.fault"] == "client_gone"
    assert {request.status.status_code, span.status.status_code} == {StatusCode.UNSET}


def test_spans_stand_under_their_parents():
    """Caller, request, attempt: one trace, each under the one before; the caller's span is remote."""
    request, span = spans()
    assert f"{request.context.trace_id:032x}" == SAMPLED.id
    assert (f"{request.parent.span_id:016x}", request.parent.is_remote) == (SAMPLED.parent, True)
    assert span.parent == request.context
    assert span.context.trace_id == request.context.trace_id
    (alone, *_) = spans(trace=TRACE)
    assert alone.parent is None


def test_the_callers_state_stays_with_its_trace():
    """A tracestate is told on every span of the trace."""
    state = Trace(SAMPLED.id, SAMPLED.span, SAMPLED.parent, True, "a=1,b=2")
    assert {span.context.trace_state.to_header() for span in spans(trace=state)} == {"a=1,b=2"}


def test_times_are_those_of_the_wall_clock():
    """Instants of the runtime's clock become time since the epoch."""
    request, span = spans()
    assert request.start_time == 1_700_000_000_000_000_000
    assert round((request.end_time - request.start_time) / 1e9, 6) == 1.2
    assert round((span.end_time - request.start_time) / 1e9, 6) == 1.0


def test_guessed_tokens_say_so():
    """An estimate is marked as one."""
    _, span = spans(usage=Usage(10, 5, estimated=True))
    assert span.attributes["twospeed.usage.estimated"] is True


def test_an_attempt_without_an_end_ends_with_its_request():
    """Nothing is exported that would look as if it still ran."""
    request, span = spans(attempts=[Attempt(FAST, 100.1)])
    assert span.end_time == request.end_time


def test_no_trace_no_spans():
    """A request that is only passed on, or not traced at all, makes none."""
    assert spans(trace=None) == []
    assert spans(trace=Trace(SAMPLED.id, "", SAMPLED.parent, True)) == []


def test_a_copy_has_a_trace_of_its_own():
    """One client span, no server span that could count as a request, linked to the span of the request it was made of."""
    origin = Trace("c" * 32, "d" * 16, sampled=True)
    (span,) = spans(arm="shadow", rollout="r", linked=origin, attempts=[attempt(DEEP)])
    assert span.kind is SpanKind.CLIENT
    assert span.parent is None
    assert f"{span.context.trace_id:032x}" == SAMPLED.id
    (link,) = span.links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (origin.id, origin.span)
    assert span.attributes["twospeed.shadow"] is True
    assert span.attributes["twospeed.arm"] == "shadow"
    assert span.attributes["twospeed.rollout"] == "r"
    (alone,) = spans(arm="shadow", rollout="r", attempts=[attempt(DEEP)])
    assert not alone.links
