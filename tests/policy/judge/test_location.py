"""Is the candidate slower as a whole?"""

import math

import numpy as np
import pytest

from twospeed.policy.judge.location import WITNESS, Spread, evidence, spread
from twospeed.policy.judge.sums import Since

ACCEPTED, SOUGHT = math.log(1.25), math.log(2.0)
SPREAD = Spread(between=0.25, within=0.3)


def sessions(means, calls=20.0):
    """Sessions of one epoch with these mean residuals."""
    count = len(means)
    sums = np.stack([np.full(count, calls), np.array(means) * calls, np.zeros(count)])
    return Since(sums, np.full(count, -1), np.zeros(count, np.int64))


def weighed(means, calls=20.0, stable=19.0):
    return evidence(sessions(means, calls), 1, stable, SPREAD, ACCEPTED, SOUGHT)


def test_twice_as_slow_is_found():
    """Forty sessions of a candidate twice as slow are evidence enough."""
    found = weighed([SOUGHT] * 40)
    assert found.log_e[0] > math.log(1000)
    assert math.exp(found.shift[0]) == pytest.approx(2.0)


@pytest.mark.parametrize("shift", [0.0, math.log(1.1), ACCEPTED])
def test_what_is_accepted_is_never_found(shift):
    """Any number of sessions at the tolerance is no evidence."""
    assert weighed([shift] * 2_000).log_e[0] < 0


def test_two_sessions_alone_decide_nothing():
    """However slow one session is, it is one witness."""
    assert weighed([5.0, 5.0], calls=1e6).log_e[0] < 2 * WITNESS < math.log(1000)


def test_more_calls_of_one_session_are_hardly_more_evidence():
    """A thousand calls of ten sessions say little more than two hundred."""
    few, many = (weighed([SOUGHT] * 10, calls).information[0] for calls in (20.0, 100.0))
    assert many < few * 1.1


def test_at_half_share_half_of_the_information_is_left():
    """The stable version is then measured no better than the candidate."""
    assert weighed([0.0] * 10, stable=1.0).information[0] == pytest.approx(
        weighed([0.0] * 10, stable=1e9).information[0] / 2
    )


def test_the_spread_is_learned_from_sessions():
    """Differences between sessions and between calls of one session are told apart."""
    rng = np.random.default_rng(1)
    calls = np.full(400, 20.0)
    values = rng.normal(0, 0.5, (400, 1)) + rng.normal(0, 0.6, (400, 20))
    found = spread(calls, values.sum(axis=1), (values**2).sum(axis=1))
    assert found.between == pytest.approx(0.25, rel=0.25)
    assert found.within == pytest.approx(0.36, rel=0.1)


def test_sessions_of_one_call_are_enough():
    """Where no client sends a session id every request is a session, and is judged."""
    values = np.random.default_rng(1).normal(0, 0.7, 500)
    found = spread(np.ones(500), values, values**2)
    assert found.between + found.within == pytest.approx(0.49, rel=0.15)
