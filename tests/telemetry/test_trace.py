"""Traces on their way to a collector: complete when it is well, bounded and never in the way when it is not."""

import socket
from types import MappingProxyType

import pytest
from tests.telemetry.collector import Receiver, plain
from tests.telemetry.records import DEEP, FAST, SAMPLED, TRACE, attempt, record

from twospeed.errors import Kind
from twospeed.telemetry import Collector
from twospeed.telemetry.conventions import SCHEMA_URL, Place
from twospeed.telemetry.trace import BATCH, Traces
from twospeed.types import Record

PLACES = {"near": Place("near", "127.0.0.1", 8000)}
QUEUE = 100
SOON = 0.01


def traced(number: int = 0, **fields) -> Record:
    """A sampled request with a number to know it by."""
    tried = [attempt(FAST, span=f"{number + 1:016x}")]
    return record(**{"id": f"req_{number}", "trace": SAMPLED, "attempts": tried} | fields)


def to(receiver: Receiver, timeout: float = 10.0, **headers: str) -> Collector:
    """Where that receiver is."""
    return Collector(f"{receiver.url}/v1/traces", headers, timeout)


def ids(receiver: Receiver) -> list[str]:
    """Requests whose spans came."""
    return [plain(span.attributes)["twospeed.request.id"] for span in receiver.spans() if span.kind == 2]


def test_a_trace_arrives_whole():
    """A collector gets request and attempts, who sent them, and the headers it asks for."""
    with Receiver() as receiver:
        traces = Traces(to(receiver, authorization="Bearer t0p"), PLACES, QUEUE, SOON)
        attempts = [attempt(FAST, kind=Kind.RESET, span="a" * 16), attempt(DEEP, 100.5, span="b" * 16)]
        traces(traced(attempts=attempts))
        receiver.wait_for(1)
        traces.close(10)
    assert receiver.requests[0][1]["authorization"] == "Bearer t0p"
    assert receiver.resource()["service.name"] == "twospeed"
    (scope,) = receiver.scopes()
    assert (scope.scope.name, scope.schema_url) == ("twospeed", SCHEMA_URL)
    request, first, second = scope.spans
    assert request.trace_id.hex() == SAMPLED.id
    assert request.parent_span_id.hex() == SAMPLED.parent
    assert [span.parent_span_id.hex() for span in (first, second)] == [SAMPLED.span] * 2
    assert [span.span_id.hex() for span in (first, second)] == ["a" * 16, "b" * 16]
    assert (request.kind, first.kind) == (2, 3)
    assert (first.status.code, second.status.code) == (2, 0)
    assert plain(second.attributes)["twospeed.fallback.reason"] == "reset"
    assert (traces.exported, traces.dropped) == (1, 0)


def test_what_is_not_sampled_stays_here():
    """Only what is sampled, failed or fell back is sent."""
    with Receiver() as receiver:
        traces = Traces(to(receiver), PLACES, QUEUE, SOON)
        traces(traced(1, trace=TRACE))
        traces(traced(2, trace=None))
        traces(traced(3, trace=TRACE, fault=Kind.TRUNCATED))
        traces(traced(4))
        traces.close(10)
    assert ids(receiver) == ["req_3", "req_4"]


def test_what_waits_is_sent_before_the_end():
    """Closing sends the rest, more than one batch of it, in order."""
    with Receiver() as receiver:
        traces = Traces(to(receiver), PLACES, 1_000, every=60)
        for number in range(2 * BATCH + 5):
            traces(traced(number))
        traces.close(10)
    assert ids(receiver) == [f"req_{number}" for number in range(2 * BATCH + 5)]
    assert len(receiver.requests) == 3


def test_a_collector_that_hangs_holds_nobody_up():
    """While it answers nothing every request goes on, and only so many are kept; the others are counted."""
    with Receiver() as receiver:
        receiver.open.clear()
        traces = Traces(to(receiver), PLACES, QUEUE, SOON)
        traces(traced())
        receiver.wait_for(1)  # it has the first one, and does not answer
        for number in range(10 * QUEUE):
            traces(traced(number))
        assert receiver.answered == 0
        assert traces.waiting == QUEUE
        assert traces.dropped == 9 * QUEUE
        receiver.open.set()
        traces.close(10)
    assert traces.exported == 1 + QUEUE


@pytest.mark.parametrize("status", [503, 429, 500, 404])
def test_a_collector_that_refuses_loses_its_batch_and_no_more(status, caplog):
    """What it refuses is dropped and counted; that it is ill and that it is well again is told once each."""
    with Receiver(status, 200) as receiver:
        traces = Traces(to(receiver, timeout=0.2), PLACES, QUEUE, SOON)
        traces(traced(1))
        receiver.wait_for(1)
        traces(traced(2))
        receiver.wait_for(2)
        traces.close(10)
    assert ids(receiver) == ["req_1", "req_2"]
    assert (traces.exported, traces.dropped) == (1, 1)
    told = [line.getMessage() for line in caplog.records]
    assert ["does not take" in line for line in told] == [True, False]


def test_a_collector_that_is_not_there_costs_a_bound():
    """Nothing listens: the queue stays bounded and closing does not hang."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    traces = Traces(Collector(f"http://127.0.0.1:{port}/v1/traces", {}, 0.2), PLACES, QUEUE, SOON)
    for number in range(1_000):
        traces(traced(number))
        assert traces.waiting <= QUEUE
    traces.close(10)
    assert traces.exported == 0
    assert traces.dropped == 1_000


def test_places_of_a_new_configuration_hold_at_once():
    """After a reload spans name the new address of a provider."""
    with Receiver() as receiver:
        traces = Traces(to(receiver), MappingProxyType({}), QUEUE, SOON)
        traces.places = {"near": Place("groq", "api.groq.com", 443)}
        traces(traced())
        traces.close(10)
    (span,) = [span for span in receiver.spans() if span.kind == 3]
    assert plain(span.attributes)["server.address"] == "api.groq.com"
