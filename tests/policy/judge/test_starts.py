"""Evidence from many starts."""

import math

import numpy as np
import pytest

from twospeed.policy.judge.starts import log_sum, mixed, weights


@pytest.mark.parametrize("epochs", [1, 2, 24, 25, 500])
def test_the_weights_never_exceed_one(epochs):
    """However long a step lasts, the chance of a false alarm stays what it is."""
    assert np.exp(weights(epochs)).sum() <= 1.0


def test_late_evidence_is_not_drowned_by_a_good_beginning():
    """Eight good hours do not hide a ninth that is clearly bad."""
    assert mixed(np.array([-30.0] * 8 + [12.0])) > math.log(100)


def test_sums_of_logarithms_do_not_overflow():
    """Overwhelming evidence is a number, and none is minus infinity."""
    assert log_sum(np.array([1000.0, 1000.0])) == pytest.approx(1000 + math.log(2))
    assert log_sum(np.array([])) == -math.inf
    assert log_sum(np.array([-math.inf])) == -math.inf
