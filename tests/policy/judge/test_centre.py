"""Calls against the concurrent stable ones."""

import numpy as np
import pytest

from twospeed.policy.judge.centre import centre

SESSIONS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
CANDIDATE = np.array([False] * 6 + [True] * 2)
VALUES = np.array([1.0, 1.2, 0.8, 1.0, 1.1, 0.9, 1.7, 1.7])


@pytest.mark.parametrize("load", [0.0, 3.0])
def test_what_both_arms_share_cancels(load):
    """An hour in which everything is slow looks like any other."""
    found = centre(VALUES + load, CANDIDATE, SESSIONS, 0.2)
    assert found.residuals[CANDIDATE] == pytest.approx([0.7, 0.7])


def test_a_stable_session_is_compared_with_the_others():
    """Its own calls are not part of what it is measured by, as with a candidate."""
    found = centre(VALUES, CANDIDATE, SESSIONS, 0.2)
    assert found.residuals[0] == pytest.approx(1.0 - (0.8 + 1.0 + 1.1 + 0.9) / 4)


def test_one_wild_call_counts_as_a_slow_one():
    """A call that hangs for an hour does not speak louder than one that is far too slow."""
    found = centre(np.append(VALUES, 50.0), np.append(CANDIDATE, True), np.append(SESSIONS, 4), 0.2)
    assert found.residuals[-1] == pytest.approx(2.0, abs=0.01)


def test_unknown_durations_are_left_out():
    """A failed request has no duration."""
    found = centre(np.append(VALUES, np.nan), np.append(CANDIDATE, True), np.append(SESSIONS, 4), 0.2)
    assert found.known.tolist() == [True] * 8 + [False]


@pytest.mark.parametrize("kept", [4, 2])
def test_too_few_stable_calls_say_nothing(kept):
    """Without a few calls of two stable sessions there is nothing to compare with."""
    chosen = np.r_[:kept, 6, 7]
    assert centre(VALUES[chosen], CANDIDATE[chosen], SESSIONS[chosen], 0.2) is None
    one = np.where(CANDIDATE, SESSIONS, 0)
    assert centre(VALUES, CANDIDATE, one, 0.2) is None
