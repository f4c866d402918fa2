"""Snapshots of several workers."""

import msgspec
from tests.telemetry.records import DEEP, SAMPLED, attempt, record

from twospeed.telemetry.instruments import (
    BUILD,
    IN_FLIGHT,
    LIMIT_LEFT,
    LIMIT_USED,
    REQUEST_DURATION,
    REQUESTS,
    STORE_UP,
    WORKERS,
)
from twospeed.telemetry.metrics import Metrics, Reading
from twospeed.telemetry.snapshot import Distribution, Exemplar, Point, Snapshot, counted, merge, together


def worker(requests: int, *readings: Reading, **fields) -> Snapshot:
    """What a worker says after some requests."""
    metrics = Metrics()
    for _ in range(requests):
        metrics(record(**fields))
    metrics.watch(lambda: readings)
    return metrics.snapshot()


def test_counts_of_workers_add_up():
    """The sum is what one process would have counted."""
    merged = merge([worker(2), worker(3), worker(1, tier="deep", attempts=[attempt(DEEP)])])
    assert {point.labels[0]: point.value for point in merged[REQUESTS.name]} == {"fast": 5, "deep": 1}
    fast = next(point for point in merged[REQUEST_DURATION.name] if point.labels[0] == "fast")
    assert sum(fast.spread.counts) == 5
    assert round(fast.spread.sum, 6) == 6.0


def test_shared_levels_are_not_added_up():
    """Workers that share one limit each tell the same level; requests in flight belong to one worker each."""
    pool = ("near/spark", "rpm")
    one = [Reading(LIMIT_USED, pool, 7), Reading(LIMIT_LEFT, pool, 3), Reading(IN_FLIGHT, (), 2)]
    two = [Reading(LIMIT_USED, pool, 8), Reading(LIMIT_LEFT, pool, 2), Reading(IN_FLIGHT, (), 5)]
    merged = merge(
        [worker(0, *one, Reading(STORE_UP, ("redis",), 1)), worker(0, *two, Reading(STORE_UP, ("redis",), 0))]
    )
    told = {name: points[0].value for name, points in merged.items()}
    assert told == {LIMIT_USED.name: 8, LIMIT_LEFT.name: 2, IN_FLIGHT.name: 7, STORE_UP.name: 0}


def test_the_latest_exemplar_stays():
    """Of two workers' exemplars for a bucket the younger one is shown."""
    old, new = Exemplar("a", "b", 1.0, 10.0), Exemplar("c", "d", 1.0, 20.0)
    for pair in ((old, new), (new, old)):
        one, other = (Distribution([1], 1.0, {0: exemplar}) for exemplar in pair)
        assert together(one, other).exemplars == {0: new}


def test_a_snapshot_travels_as_bytes():
    """What a worker sends is what the supervisor reads."""
    snapshot = worker(1, trace=SAMPLED)
    for codec in (msgspec.json, msgspec.msgpack):
        assert codec.decode(codec.encode(snapshot), type=Snapshot) == snapshot


def test_merging_one_changes_nothing():
    """A single worker's numbers are told as they are."""
    snapshot = worker(2)
    assert merge([snapshot]) == snapshot


def test_counts_outlive_their_process():
    """Of a worker that has ended, counters and histograms are kept; gauges and infos say how things stood, and go."""
    spread = Distribution([1] * (len(REQUEST_DURATION.bounds) + 1))
    snapshot = {
        REQUESTS.name: [Point(("fast", "one", "m", "eu", "200"), 3)],
        REQUEST_DURATION.name: [Point(("fast", "one", "m", "eu"), spread=spread)],
        WORKERS.name: [Point((), 1)],
        BUILD.name: [Point(("1", "3", "x"), 1)],
    }
    assert counted(snapshot).keys() == {REQUESTS.name, REQUEST_DURATION.name}
