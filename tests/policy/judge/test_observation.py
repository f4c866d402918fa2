"""What the judge is told."""

import math

from twospeed.policy.judge.observation import Observation, hits_of, logarithm


def test_what_is_not_known_is_neither_good_nor_bad():
    """A request of which nothing is said counts in no rate."""
    assert all(math.isnan(hit) for hit in hits_of(Observation(0.0, "s", "stable")))


def test_each_kind_of_trouble_is_a_hit_of_its_own():
    """A failure, an invalid tool call, a refusal and a stall."""
    bad = Observation(0.0, "s", "stable", ok=False, tool_call_valid=False, refusal=True, stall=True)
    good = Observation(0.0, "s", "stable", ok=True, tool_call_valid=True, refusal=False, stall=False)
    assert hits_of(bad) == (1.0, 1.0, 1.0, 1.0)
    assert hits_of(good) == (0.0, 0.0, 0.0, 0.0)


def test_durations_that_are_none_are_unknown():
    """Zero, less than zero and infinity tell nothing."""
    assert all(math.isnan(logarithm(value)) for value in (None, 0.0, -1.0, math.inf, math.nan))
