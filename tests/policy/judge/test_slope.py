"""How prompt size is taken out."""

import numpy as np

from twospeed.policy.judge.slope import Slope


def taught(seed=0, blocks=20):
    slope, rng = Slope(), np.random.default_rng(seed)
    for _ in range(blocks):
        prompts = rng.normal(8.0, 1.0, 50)
        load = rng.normal()  # of the moment, must not be mistaken for prompt size
        slope.learn(prompts, slope.features(prompts), load + 0.5 * prompts + rng.normal(0, 0.3, 50))
    return slope


def test_larger_prompts_are_expected_to_take_longer():
    """What the stable version shows is expected of every call of that size."""
    slope = taught()
    small, large = slope.expected(slope.features(np.array([7.0, 9.0])))
    assert 0.85 < large - small < 1.15


def test_an_unknown_prompt_is_an_average_one():
    """Without a prompt size nothing is taken out."""
    slope = taught()
    assert slope.expected(slope.features(np.array([np.nan]))).tolist() == [0.0]


def test_nothing_is_taken_out_before_anything_is_known():
    """The first block is compared as it is."""
    slope = Slope()
    assert slope.expected(slope.features(np.array([5.0, 11.0]))).tolist() == [0.0, 0.0]


def test_it_adds_up_and_survives():
    """Two halves are one whole, and plain data is all there is."""
    slope = Slope.from_plain(taught(1).to_plain())
    slope.merge(taught(2))
    small, large = slope.expected(slope.features(np.array([7.0, 9.0])))
    assert 0.85 < large - small < 1.15
