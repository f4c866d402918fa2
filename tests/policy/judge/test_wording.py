"""What operators read."""

import math

from twospeed.policy.judge.weigh import Part, Reading
from twospeed.policy.judge.wording import failure, passed, unmeasured


def reading(metric, log_e=0.0, part=("location", "", 0), estimate=1.0, usual=1.0, calls=500.0):
    kind, language, since = part
    worst = Part(kind, language, log_e, since, estimate, usual)
    return Reading(metric, log_e, worst, estimate, usual, calls, 0.42, clear=False, stable=calls > 0)


def test_a_failure_names_metric_language_and_hour():
    """Who is woken at night reads one line."""
    worst = reading("error_rate", math.log(500), ("rate", "rust", 3), 0.06, 0.002)
    text = failure([reading("latency"), worst], 3600.0)
    assert text == (
        "error_rate in rust: 6.00% against 0.20%, since about 3h into the step (e-value 500, 500 candidate requests)"
    )


def test_a_tail_is_described_as_such():
    """A ratio of 1.0 is no explanation for a tail."""
    assert "the slowest calls are slower" in failure([reading("latency_p99", 5.0, ("far", "", 0))], 3600.0)


def test_a_pass_says_what_it_does_not_rest_on():
    """What was not measured is named."""
    blind = reading("stall_rate", calls=0.0)
    text = passed([reading("latency", estimate=1.03), blind], 7200.0, (900, 45))
    assert "after 2.0 h and 45 candidate sessions: latency 1.03 times the stable version" in text
    assert text.endswith("not measured: stall_rate")


def test_what_is_missing_comes_with_its_power():
    """An operator sees how far a verdict is away."""
    assert unmeasured(reading("latency", estimate=1.1)) == "latency 1.10 times the stable version, power 42%"
