"""A percentile that follows what comes."""

from math import log2

from hypothesis import given
from hypothesis import strategies as st

from twospeed.policy.percentile import Percentile


@given(st.integers(0, 1 << 21), st.sampled_from([4, 8]))
def test_buckets_are_equal_parts_of_a_doubling(value: int, steps: int):
    """A value alone is told as the upper edge of its bucket: so many equal factors to each doubling, up to a million."""
    percentile = Percentile(steps)
    percentile.add(value)
    bucket = min(20 * steps - 1, int(steps * log2(max(1, value))))
    assert percentile.p95() == 2 ** ((bucket + 1) / steps)


def test_nothing_is_known_at_first():
    """Before the first value there is no answer."""
    assert Percentile(8).p95() is None


def test_one_in_ten_counts_and_one_in_fifty_does_not():
    """What more than one value in twenty exceeds is not the 95th percentile."""
    often, seldom = Percentile(8), Percentile(8)
    for number in range(500):
        often.add(1_000 if number % 10 == 0 else 10)
        seldom.add(1_000 if number % 50 == 0 else 10)
    assert 1_000 <= often.p95() <= 1_100
    assert 10 <= seldom.p95() <= 11


def test_a_new_habit_shows_within_some_hundred_values():
    """What was so long ago fades."""
    percentile = Percentile(8)
    for value in [1_000] * 2_000 + [10] * 5_000:
        percentile.add(value)
    assert percentile.p95() <= 11


@given(st.lists(st.floats(0.0, 1e9), min_size=1, max_size=100))
def test_it_is_never_below_the_true_one_by_more_than_a_bucket(values: list[float]):
    """Rounding goes up, within the range that is told apart."""
    percentile = Percentile(8)
    for value in values:
        percentile.add(value)
    inside = sorted(min(2.0**20, max(1.0, value)) for value in values)
    rank = min(len(inside) - 1, int(len(inside) * 0.95))
    assert inside[rank] * 0.999 <= percentile.p95() <= inside[-1] * 1.1
