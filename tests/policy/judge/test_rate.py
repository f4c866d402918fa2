"""Does something bad happen more often?"""

import math

import numpy as np
import pytest

from twospeed.policy.judge.location import WITNESS
from twospeed.policy.judge.rate import clustering, evidence
from twospeed.policy.judge.sums import Since


def weighed(hits, calls=20.0, usual=0.005, rho=0.005, slack=0.01):
    """The evidence of sessions with so many hits each."""
    count = len(hits)
    sums = np.stack([np.full(count, calls), np.array(hits, float), np.full(count, usual * calls)])
    rows = Since(sums, np.full(count, -1), np.zeros(count, np.int64))
    return evidence(rows, 1, rho, slack, slack, 0.0)


def test_nine_times_the_errors_are_found():
    """Forty errors in nine hundred requests, where five were usual."""
    found = weighed([1] * 40 + [0] * 5)
    assert found.log_e[0] > math.log(1000)
    assert found.rate[0] == pytest.approx(40 / 900)


@pytest.mark.parametrize("errors", [0, 5, 13])
def test_what_is_accepted_is_no_evidence(errors):
    """Up to one point more than usual the evidence shrinks."""
    assert weighed([1] * errors + [0] * (45 - errors)).log_e[0] < 0.5


def test_one_session_in_which_everything_fails_decides_nothing():
    """A poisoned prompt fails twenty times and is one witness."""
    assert weighed([20.0] + [0.0] * 20).log_e[0] < WITNESS


def test_two_very_long_sessions_are_two_witnesses():
    """An agent that loops ten thousand times does not break the arithmetic."""
    assert weighed([10_000.0, 10_000.0], calls=10_000.0).log_e[0] <= 2 * WITNESS


def test_an_incident_of_both_versions_is_expected():
    """Errors that the stable version has at the same time are not held against the candidate."""
    assert weighed([6] * 40, usual=0.3).log_e[0] < 0


def test_clustering_is_told_apart_from_bad_luck():
    """The same number of errors, spread out or in a few sessions."""
    calls = np.full(500, 20.0)
    spread_out = np.zeros(500)
    spread_out[:50] = 1
    together = np.zeros(500)
    together[:5] = 10
    assert clustering(calls, spread_out) < 0.02 < 0.3 < clustering(calls, together)


def test_nothing_known_is_moderate_clustering():
    """Before the stable version has failed once, errors of one session are half trusted."""
    assert 0.02 < clustering(np.full(50, 20.0), np.zeros(50)) < 0.2
