"""Pairs of answers to one request."""

import json
import math
import random

import pytest

from twospeed.policy.judge.paired import Paired, PairedRate


def refused_at(slower, seed, pairs=300):
    """The pair at which a candidate is refused, None when it is not."""
    rng, paired = random.Random(seed), Paired(1.25, 2.0, 0.01)
    for number in range(1, pairs + 1):
        paired.observe(math.log(slower) + rng.gauss(0, 0.7))
        if paired.worse:
            return number
    return None


@pytest.mark.parametrize(("slower", "pairs"), [(2.0, 110), (4.0, 25)])
def test_a_slow_version_is_refused_within_few_pairs(slower, pairs):
    """Twice as slow within 110 pairs, four times within 25, in nearly every case."""
    found = sorted(refused_at(slower, seed) or 999 for seed in range(60))
    assert found[56] <= pairs


@pytest.mark.parametrize("slower", [0.5, 1.0, 1.1])
def test_a_good_version_is_not_refused(slower):
    """As fast, faster, or slower within the tolerance."""
    assert [seed for seed in range(100) if refused_at(slower, seed)] == []


def test_a_few_wild_pairs_refuse_nobody():
    """Two answers that hung for an hour are two pairs."""
    paired = Paired(1.25, 2.0, 0.01)
    for log_ratio in (8.0, 8.0, *[0.0] * 20):
        paired.observe(log_ratio)
    assert not paired.worse


def test_failures_of_the_candidate_alone_refuse_it():
    """Twenty requests that only the candidate failed, two that only the stable version failed."""
    rate = PairedRate(0.01)
    for pair in [(False, True)] * 20 + [(True, False)] * 2 + [(True, True), (False, False)] * 50:
        rate.observe(*pair)
    assert rate.worse


def test_failures_on_both_sides_are_nobodys_fault():
    """Each failing now and then alone is no evidence, nor is failing together."""
    rate = PairedRate(0.01)
    for pair in [(False, True), (True, False), (True, True)] * 200:
        rate.observe(*pair)
    assert not rate.worse
    assert rate.alone == [200, 200]


def test_both_survive_as_plain_text():
    """Written as JSON and read again they go on where they were."""
    paired, again = Paired(1.25, 2.0, 0.01), Paired(1.25, 2.0, 0.01)
    for _ in range(5):
        paired.observe(1.0)
    again.load(json.loads(json.dumps(paired.to_plain())))
    assert again.to_plain() == paired.to_plain()
    assert again.ratio == paired.ratio
    rate, other = PairedRate(0.01), PairedRate(0.01)
    rate.observe(False, True)
    other.load(json.loads(json.dumps(rate.to_plain())))
    assert other.to_plain() == rate.to_plain()
