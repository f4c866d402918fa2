"""Sums of a load test: quantiles near enough, and nothing counted twice."""

from random import Random

import pytest

from twospeed.drill.bench_tally import Outcome, Spread, Tally


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_quantiles_are_within_two_percent(share: float):
    """However far apart the values are."""
    chance = Random(1)
    values = sorted(chance.lognormvariate(-5, 2) for _ in range(5_000))
    spread = Spread()
    for value in values:
        spread.add(value)
    exact = values[round(share * len(values)) - 1]
    assert spread.quantile(share) == pytest.approx(exact, rel=0.02)


def test_no_quantile_is_beyond_the_largest():
    """A single value is every quantile."""
    spread = Spread()
    spread.add(0.3)
    assert spread.quantile(0.001) == pytest.approx(0.3, rel=0.02)
    assert spread.quantile(1.0) <= spread.largest == 0.3


def test_nothing_is_a_duration_too():
    """Events that came together have no time between them."""
    spread = Spread()
    spread.add(0.0, times=9)
    spread.add(1.0)
    assert spread.quantile(0.9) == 0.0
    assert spread.quantile(0.95) == pytest.approx(1.0, rel=0.02)


def test_an_empty_spread_says_nothing():
    """Zero, and no items."""
    assert (Spread().quantile(0.5), list(Spread().items())) == (0.0, [])


def test_merged_spreads_hold_what_both_held():
    """Counts, quantiles and the largest."""
    one, other = Spread(), Spread()
    one.add(0.1, times=3)
    other.add(0.2)
    one.merge(other)
    assert (one.count, one.largest) == (4, 0.2)
    assert sum(times for _, times in one.items()) == 4


def test_outcomes_are_summed_up():
    """Good and bad apart, streams and plain answers apart, by tier and backend."""
    tally = Tally()
    tally.due = 5
    tally.add(Outcome(stream=False, total=0.1, tier="fast", backend="a/m@r"))
    tally.add(Outcome(stream=True, total=0.2, first_token=0.05, events=7, tier="deep", backend="b/m@r"))
    tally.add(Outcome(stream=True, total=0.3, first_token=0.06, events=2, error="truncated", truncated=True))
    tally.add(Outcome(stream=False, total=9.0, error="429 rate_limited"))
    assert (tally.ok, tally.failed, tally.pending, tally.truncated, tally.events) == (2, 2, 1, 1, 9)
    assert tally.errors == {"truncated": 1, "429 rate_limited": 1}
    assert (tally.tiers, tally.backends) == ({"fast": 1, "deep": 1}, {"a/m@r": 1, "b/m@r": 1})
    assert (tally.plain.count, tally.streamed.count, tally.first_token.count) == (1, 1, 2)


def test_times_of_failures_are_not_mixed_with_those_of_answers():
    """A quick refusal makes no server look quick."""
    tally = Tally()
    tally.add(Outcome(stream=False, total=0.001, error="503 overloaded"))
    assert tally.plain.count == tally.recent.count == 0
