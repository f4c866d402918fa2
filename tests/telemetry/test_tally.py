"""Counting the requests of one tier at one backend."""

from tests.telemetry.records import SAMPLED, attempt, record

from twospeed.errors import Kind
from twospeed.telemetry.instruments import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS, OUTPUT_RATE_BOUNDS, TOKEN_TYPES
from twospeed.telemetry.snapshot import empty
from twospeed.telemetry.tally import Tally, observe
from twospeed.types import Usage


def bucket(bounds, counts):
    """The bounds between which the only value lies."""
    place = counts.index(1)
    assert sum(counts) == 1
    return (bounds[place - 1] if place else 0.0, bounds[place] if place < len(bounds) else float("inf"))


def tally(**fields) -> Tally:
    """Count one request."""
    counted = Tally(())
    counted.add(record(**fields), traced=False)
    return counted


def test_a_value_on_a_bound_belongs_below_it():
    """Buckets are closed at their upper end, as scrapers expect."""
    spread = empty((1.0, 2.0))
    assert [observe(spread, (1.0, 2.0), value) for value in (0.5, 1.0, 1.5, 2.0, 9.0)] == [0, 0, 1, 1, 2]
    assert (spread.counts, spread.sum) == ([2, 2, 1], 14.0)


def test_a_streamed_request_is_counted_in_all_its_times():
    """Duration, first token and output rate land in the buckets of their values."""
    counted = tally(committed_at=100.25, ended_at=101.0)
    assert counted.codes == {200: 1}
    assert bucket(DURATION_BOUNDS, counted.duration.counts) == (0.5, 1.0)
    assert bucket(FIRST_TOKEN_BOUNDS, counted.first_token.counts) == (0.2, 0.4)
    assert bucket(OUTPUT_RATE_BOUNDS, counted.rate.counts) == (10.0, 20.0)
    assert [getattr(counted.tokens, kind) for kind in TOKEN_TYPES] == [1_000, 11, 600, 4, 0]


def test_a_plain_answer_has_no_first_token():
    """What comes in one piece says nothing about first tokens or rates."""
    counted = tally(stream=False)
    assert not any(counted.first_token.counts)
    assert not any(counted.rate.counts)


def test_no_rate_is_made_of_a_guess():
    """Estimated tokens, a single token or no time at all give no rate."""
    assert not any(tally(usage=Usage(10, 11, estimated=True)).rate.counts)
    assert not any(tally(usage=Usage(10, 1)).rate.counts)
    assert not any(tally(ended_at=100.2).rate.counts)
    assert not any(tally(usage=None).rate.counts)


def test_a_client_that_left_counts_as_499():
    """A request that was never answered still has a code."""
    counted = tally(status=0, fault=Kind.CLIENT_GONE, committed_at=None, usage=None)
    assert counted.codes == {499: 1}
    assert counted.faults == {Kind.CLIENT_GONE: 1}


def test_a_fault_after_the_first_byte_keeps_its_status():
    """The client saw 200, and then an error in the stream: both are told."""
    counted = tally(fault=Kind.TRUNCATED)
    assert (counted.codes, counted.faults) == ({200: 1}, {Kind.TRUNCATED: 1})


def test_attempts_are_counted_by_outcome():
    """A good attempt has no kind."""
    counted = Tally(())
    counted.attempted(attempt())
    counted.attempted(attempt(kind=Kind.RESET))
    counted.attempted(attempt(kind=Kind.RESET))
    assert counted.outcomes == {None: 1, Kind.RESET: 2}


def test_a_traced_request_stands_for_its_bucket():
    """Exemplars carry the trace and our span; requests without a kept trace leave none."""
    counted = Tally(())
    counted.add(record(trace=SAMPLED), traced=True)
    counted.add(record(trace=SAMPLED), traced=False)
    (duration,) = counted.duration.exemplars.values()
    (first,) = counted.first_token.exemplars.values()
    assert (duration.trace, duration.span) == (SAMPLED.id, SAMPLED.span)
    assert round(duration.value, 6) == 1.2
    assert round(duration.at - 1_700_000_000, 6) == 1.2
    assert round(first.value, 6) == 0.2
