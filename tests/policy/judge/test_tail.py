"""The slowest share of calls."""

import numpy as np
import pytest

from twospeed.policy.judge.tail import Tail, beyond


def test_the_quantile_is_that_of_the_stable_calls():
    """One call in a hundred lies beyond the 99% quantile."""
    tail = Tail()
    tail.learn(np.random.default_rng(1).normal(size=20_000))
    assert tail.quantile(0.99) == pytest.approx(2.33, abs=0.1)


def test_few_calls_have_no_tail():
    """A quantile of 1% is not read from a hundred calls."""
    tail = Tail()
    tail.learn(np.zeros(100))
    assert tail.quantile(0.99) is None
    assert tail.quantile(0.5) == 0.0


def test_the_tolerance_is_forgiven():
    """Up to 1.25 times the slowest is not beyond."""
    assert beyond(np.array([1.0, 1.2, 1.3]), 1.0, 1.25).tolist() == [0.0, 0.0, 1.0]


def test_it_adds_up_and_survives():
    """Two halves are one whole, and plain data is all there is."""
    halves = [Tail(), Tail()]
    for half in halves:
        half.learn(np.linspace(-1, 1, 500))
    whole = Tail.from_plain(halves[0].to_plain())
    whole.merge(halves[1])
    assert whole.quantile(0.5) == halves[0].quantile(0.5)
    assert whole.quantile(0.985) is not None
