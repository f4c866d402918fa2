"""Criteria: what may be asked of a metric, and what is refused with a reason."""

import pytest

from twospeed.policy.criteria import Criterion


@pytest.mark.parametrize(
    ("settings", "accepted", "found_at"),
    [
        ({"metric": "latency_p99"}, 1.25, 2.0),
        ({"metric": "latency", "tolerance": 1.1, "target": 1.5}, 1.1, 1.5),
        ({"metric": "latency", "tolerance": 2.0}, 2.0, 3.2),
        ({"metric": "error_rate"}, 0.01, 0.04),
        ({"metric": "stall_rate", "slack": "0.5pp"}, 0.005, 0.02),
    ],
)
def test_what_is_accepted_and_what_is_found(settings, accepted, found_at):
    """Durations are accepted up to a ratio, rates up to a difference in points."""
    criterion = Criterion(**settings)
    assert (criterion.accepted, criterion.found_at) == pytest.approx((accepted, found_at))


def test_the_quantile_is_in_the_name():
    """latency_p99 speaks of the 99th percentile, latency of all."""
    quantiles = [Criterion(metric=metric).quantile for metric in ("latency_p99", "ttft_p95", "latency", "error_rate")]
    assert quantiles == [0.99, 0.95, None, None]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"metric": "review_edit_rate", "tolerance": 1.1}, "'review_edit_rate' needs outcomes reported by callers"),
        ({"metric": "tests_passed"}, "does not take yet"),
        ({"metric": "error_rate", "tolerance": 1.1}, "is a rate: it has a slack"),
        ({"metric": "latency", "slack": "1pp"}, "is a duration: it has a tolerance"),
        ({"metric": "latency", "tolerance": 2.0, "target": 1.5}, "the target 1.5 must be above the tolerance 2"),
        ({"metric": "latency", "tolerance": 1.0}, "greater than 1"),
        ({"metric": "error_rate", "slack": 0.01}, "percentage points"),
        ({"metric": "speed"}, "latency_p99"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(settings, reason):
    """A metric that cannot be judged, or a limit of the wrong kind, never passes silently."""
    with pytest.raises(ValueError, match=reason):
        Criterion(**settings)
