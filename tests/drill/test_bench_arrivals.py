"""Arrivals: random as many users are, and never held up by a server that is slow."""

import itertools
from random import Random

from twospeed.drill.bench_arrivals import keep_time, poisson


class Time:
    """A clock that only waiting moves, and a list of what arrived when."""

    def __init__(self, busy: float = 0.0) -> None:
        self.now = 100.0
        self.busy = busy  # seconds that each arrival takes
        self.arrived: list[tuple[float, float]] = []  # due, and when it was told

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def arrive(self, due: float) -> None:
        self.arrived.append((due, self.now))
        self.now += self.busy


def test_the_rate_is_met_on_average():
    """A hundred a second for a minute are six thousand, give or take."""
    count = len(list(poisson(100, 60, Random(1).random)))
    assert 5_700 < count < 6_300


def test_arrivals_are_as_random_as_independent_users_are():
    """The time between two of them varies as much as it is long."""
    at = list(poisson(100, 60, Random(2).random))
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 0.9 < deviation / mean < 1.1


def test_the_same_seed_gives_the_same_arrivals():
    """Two runs can be compared."""
    assert list(poisson(50, 2, Random(3).random)) == list(poisson(50, 2, Random(3).random))


def test_each_arrival_is_told_when_it_is_due():
    """Not earlier, not later, counted from the start."""
    time = Time()
    keep_time([0.5, 2.0, 2.25], 100.0, lambda: time.now, time.wait, time.arrive)
    assert time.arrived == [(100.5, 100.5), (102.0, 102.0), (102.25, 102.25)]


def test_who_is_late_is_told_at_once_and_still_counts_from_when_it_was_due():
    """A stall delays no later arrival's due instant, so that nothing of it is hidden."""
    time = Time(busy=1.0)
    keep_time([0.0, 0.1, 0.2], 100.0, lambda: time.now, time.wait, time.arrive)
    assert [due for due, _ in time.arrived] == [100.0, 100.1, 100.2]
    assert [told for _, told in time.arrived] == [100.0, 101.0, 102.0]


def test_nothing_comes_after_the_end_was_called():
    """Whoever stops a test waits for no further arrival."""
    arrived: list[float] = []
    keep_time([1.0, 2.0], 0.0, lambda: 0.0, lambda seconds: seconds > 1.5, arrived.append)
    assert arrived == [1.0]
