"""Does the split of sessions fit the share?"""

import random

import pytest

from twospeed.policy.judge.ratio import log_e, mismatch


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_a_fair_split_is_never_called_wrong(share):
    """Looked at after every one of ten thousand sessions."""
    rng = random.Random(7)
    candidate = 0
    for sessions in range(1, 10_001):
        candidate += rng.random() < share
        assert not mismatch(sessions - candidate, candidate, share)


def test_a_skewed_hash_is_noticed():
    """Eight in a hundred instead of five, and 45 instead of 50."""
    assert mismatch(2_760, 240, 0.05)
    assert mismatch(1_650, 1_350, 0.5)


def test_a_share_of_all_cannot_be_wrong():
    """At 100% there is nothing to split."""
    assert log_e(0, 50, 1.0) == 0.0
