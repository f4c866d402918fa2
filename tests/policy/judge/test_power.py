"""What would have been found by now."""

import math

import pytest

from twospeed.policy.criteria import Criterion
from twospeed.policy.judge import power

LINE = math.log(300)
LATENCY, ERRORS = Criterion(metric="latency"), Criterion(metric="error_rate")


def test_more_information_is_more_power():
    """Nothing seen, no power; much seen, certainty."""
    chances = [power.of_location(information, LATENCY, LINE) for information in (0, 30, 100, 1000)]
    assert chances == sorted(chances)
    assert chances[0] == 0.0
    assert chances[-1] > 0.999


def test_clustered_errors_need_more_requests():
    """Errors that come together are fewer witnesses."""
    spread_out, together = (power.of_rate(800, 0.005, rho, 20, ERRORS, LINE) for rho in (0.0, 0.2))
    assert together < spread_out


def test_a_tail_needs_thousands():
    """Three times as many beyond the P99 is not found in five hundred requests."""
    assert power.of_tail(500, 0.01, 3, 0.01, 20, LINE) < 0.3
    assert power.of_tail(5_000, 0.01, 3, 0.01, 20, LINE) > 0.9


def test_a_narrow_interval_below_the_tolerance_is_clear():
    """A good candidate is shown to be good, one at the tolerance never."""
    assert power.log_clear(0.0, 500, math.log(1.25)) > math.log(20)
    assert power.log_clear(math.log(1.25), 500, math.log(1.25)) < 0


def test_what_cannot_be_reached_is_none():
    """A chance that stays below what is wanted is reported as never."""
    assert power.needed(lambda amount: 0.5, 0.9) is None
    assert power.normal(1.645) == pytest.approx(0.95, abs=0.001)
