"""Metrics on their way to a collector."""

from tests.telemetry.collector import Receiver, plain
from tests.telemetry.records import SAMPLED, record

from twospeed.telemetry import Collector
from twospeed.telemetry.conventions import Place
from twospeed.telemetry.metrics import Metrics
from twospeed.telemetry.push import Pusher

PLACES = {"near": Place("groq", "api.groq.com", 443)}


def to(receiver: Receiver, timeout: float = 10.0) -> Collector:
    """Where that receiver is."""
    return Collector(f"{receiver.url}/v1/metrics", {}, timeout)


def snapshot(requests: int = 1):
    """What was counted after some requests."""
    metrics = Metrics(operations=True)
    for _ in range(requests):
        metrics(record(trace=SAMPLED))
    return metrics.snapshot()


def test_the_same_numbers_arrive_over_otlp():
    """Counters, histograms and the instruments of the GenAI conventions, under their names."""
    with Receiver() as receiver:
        pusher = Pusher(to(receiver), PLACES)
        pusher.offer(snapshot(3))
        pusher.close(10)
    metrics = receiver.metrics()
    assert receiver.resource()["service.name"] == "twospeed"
    (requests,) = metrics["twospeed.requests"].sum.data_points
    assert requests.as_double == 3 or requests.as_int == 3
    assert metrics["twospeed.requests"].sum.is_monotonic
    assert metrics["twospeed.requests"].sum.aggregation_temporality == 2
    (duration,) = metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert duration.count == 3
    assert plain(duration.attributes)["gen_ai.provider.name"] == "groq"
    assert plain(duration.attributes)["server.address"] == "api.groq.com"
    (whole,) = metrics["twospeed.request.duration"].histogram.data_points
    assert [exemplar.trace_id.hex() for exemplar in whole.exemplars] == [SAMPLED.id]
    assert (pusher.exported, pusher.dropped) == (1, 0)


def test_a_collector_that_hangs_holds_nobody_up():
    """While it answers nothing snapshots are offered and replaced; the youngest is sent when it wakes up."""
    with Receiver() as receiver:
        receiver.open.clear()
        pusher = Pusher(to(receiver), PLACES)
        pusher.offer(snapshot(1))
        receiver.wait_for(1)
        for requests in range(2, 6):
            pusher.offer(snapshot(requests))
        assert receiver.answered == 0
        assert pusher.dropped == 3
        receiver.open.set()
        pusher.close(10)
    (requests,) = receiver.metrics()["twospeed.requests"].sum.data_points
    assert len(receiver.requests) == 2
    assert max(requests.as_int, requests.as_double) == 5


def test_a_collector_that_refuses_loses_one_report():
    """It is counted as dropped; the next one says it all again."""
    with Receiver(503, 200) as receiver:
        pusher = Pusher(to(receiver, timeout=0.2), PLACES)
        pusher.offer(snapshot(1))
        receiver.wait_for(1)
        pusher.offer(snapshot(2))
        pusher.close(10)
    assert (pusher.exported, pusher.dropped) == (1, 1)
