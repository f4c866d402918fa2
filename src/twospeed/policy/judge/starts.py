"""Starts: evidence counted from the beginning and from every later epoch, in one e-value.

A regression that begins in the ninth hour drowns in eight good ones. So each epoch starts an e-process of its own; their
weighted mean is an e-process again, because the weights are fixed beforehand and sum to at most 1. An e-value above
1/alpha at any time has a chance of at most alpha when nothing is wrong (Ville's inequality).
"""

import math
from functools import lru_cache

import numpy as np

from twospeed.policy.judge.observation import Floats

PLANNED = 24  # epochs of the longest bake
FIRST, LATER, BEYOND = 0.74, 0.2, 0.06  # weights: from the beginning, the planned epochs, all others


@lru_cache(maxsize=64)
def weights(epochs: int) -> Floats:
    """Return log weights of the starts, float[epochs].

    >>> float(np.exp(weights(10_000)).sum()) <= 1.0
    True
    """
    places = np.arange(1, epochs)
    later = BEYOND / (places * (places + 1)) + np.where(places < PLANNED, LATER / (PLANNED - 1), 0.0)
    found: Floats = np.log(np.concatenate([[FIRST], later]))
    return found


def mixed(log_values: Floats) -> float:
    """Return the log of the weighted mean over starts. Args: log_values: float[epochs]."""
    return log_sum(log_values + weights(len(log_values)))


def log_sum(log_values: Floats) -> float:
    """Return log(sum(exp(x))) without overflow; minus infinity for nothing."""
    if not log_values.size:
        return -math.inf
    top = float(log_values.max())
    return top + math.log(float(np.exp(log_values - top).sum())) if top > -math.inf else top
