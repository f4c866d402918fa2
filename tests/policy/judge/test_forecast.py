"""What to expect before anything has been seen."""

from twospeed.policy.criteria import Criterion
from twospeed.policy.judge.forecast import Traffic, forecast

GUARD = [Criterion(metric="latency_p99"), Criterion(metric="error_rate")]


def test_tails_are_told_apart():
    """A metric with a quantile has a row for its tail, which takes far longer."""
    rows = forecast(GUARD, 0.01, 0.05, Traffic())
    assert [row.metric for row in rows] == ["latency_p99", "latency_p99", "error_rate"]
    whole, tail, _ = rows
    assert "only the tail" in tail.finds
    assert tail.requests[1] > 2 * whole.requests[1]


def test_more_certainty_takes_more_requests():
    """Half of the regressions are found sooner than nine in ten."""
    for row in forecast(GUARD, 0.01, 0.05, Traffic()):
        assert list(row.requests) == sorted(row.requests)


def test_hours_follow_from_the_rate():
    """At ten times the traffic the same takes a tenth of the time."""
    row = forecast(GUARD, 0.01, 0.05, Traffic())[0]
    assert row.hours(0.05)[0] == 10 * row.hours(0.5)[0]


def test_wider_sessions_take_longer():
    """The more sessions differ, the more of them are needed."""
    narrow, wide = (forecast(GUARD, 0.01, 0.05, Traffic(between=spread))[0] for spread in (0.3, 0.8))
    assert wide.requests[0] > 2 * narrow.requests[0]
