"""Rate: does something bad happen more often? A likelihood ratio in which errors of one session come together.

Bad calls of a session follow a beta-binomial law: the first tells much, the next of the same session less, the more so
the more they cluster (`rho`) in stable sessions. Null: expected of the stable version at the same time, plus the slack.
"""

import math
from typing import NamedTuple

import numpy as np

from twospeed.policy.judge.location import WITNESS
from twospeed.policy.judge.observation import Floats, Ints
from twospeed.policy.judge.sums import Since, per_start

STEPS = ((1.8, 0.6), (8.0, 0.25), (30.0, 0.15))  # units beyond the null, with their weight
BELIEF = 20.0  # other calls' worth of belief that one is a hit too, before any is seen
LONGEST = 400  # calls: longer sessions are scaled down
LOWEST, HIGHEST = 0.0005, 0.95
GRID = np.concatenate([np.arange(1, 60) * 0.0005, 0.03 * 1.1 ** np.arange(37)])  # nulls that tables are made for


class Rated(NamedTuple):
    """Per start, float[epochs]: `log_e`, `rate` and `expected` per call. `calls` and `sessions` from the first on."""

    log_e: Floats
    rate: Floats
    expected: Floats
    calls: float
    sessions: float


def clustering(calls: Floats, hits: Floats) -> float:
    """Estimate the correlation of two calls of one session, on the large side. Arrays: one entry per stable session.

    Of the other calls in sessions with a hit, how many are hits too, beyond the usual rate?
    """
    rate = (float(hits.sum()) + 0.5) / (float(calls.sum()) + 1.0)
    others, both = float((hits * (calls - 1)).sum()), float((hits * (hits - 1)).sum())
    upper = (both + 1.0 + 1.64 * math.sqrt(both)) / (others + BELIEF)
    return min(max((upper - rate) / (1 - rate), 0.002), 0.5)


def evidence(rows: Since, epochs: int, rho: float, slack: float, unit: float, floor: float) -> Rated:
    """Weigh the candidate's sessions.

    Args:
        rows: Calls, hits, and hits expected of the stable version at the same time, sums float[3, rows].
        slack: Accepted difference.
        unit: Size of a regression, in which those looked for are measured.
        floor: The null is at least this.
    """
    calls, hits, expected = rows.sums
    null = np.clip(np.maximum(expected / calls + slack, floor), LOWEST, HIGHEST)
    above = np.searchsorted(GRID, null)  # rounded up, to the candidate's favour
    used = np.bincount(above, minlength=len(GRID)) > 0
    nulls, grid = GRID[used], (used.cumsum() - 1)[above]
    scaling = np.minimum(1.0, LONGEST / calls)
    bad = np.floor(hits * scaling + 1e-9).astype(np.int64)
    good = np.floor(calls * scaling + 1e-9).astype(np.int64) - bad
    size = (1 - rho) / rho
    counts = np.arange(int(max(bad.max(initial=0), good.max(initial=0))))
    below = _likelihood(nulls, size, counts, bad, good, grid)
    parts = []
    for step, share in STEPS:
        found = np.minimum(nulls + step * unit, (nulls + 1.0) / 2)
        gain = np.minimum(_likelihood(found, size, counts, bad, good, grid) - below, WITNESS)
        parts.append(per_start(gain, rows, epochs) + math.log(share))
    total = np.maximum(per_start(calls, rows, epochs), 1.0)
    rate, usual = per_start(hits, rows, epochs) / total, per_start(expected, rows, epochs) / total
    first = rows.after < 0
    return Rated(np.logaddexp.reduce(parts), rate, usual, float(calls[first].sum()), float(first.sum()))


def _likelihood(rate: Floats, size: float, counts: Ints, bad: Ints, good: Ints, places: Ints) -> Floats:
    """Return the log likelihood up to what does not depend on the rate; tables instead of gamma functions."""
    table_bad = _rising(rate * size, counts)
    table_good = _rising((1 - rate) * size, counts)
    likelihood: Floats = table_bad[places, bad] + table_good[places, good]
    return likelihood


def _rising(first: Floats, counts: Ints) -> Floats:
    """Return log of first (first+1) ... (first+k-1), float[starts, k]."""
    steps = np.log(first[:, None] + counts[None, :])
    return np.concatenate([np.zeros((len(first), 1)), steps.cumsum(axis=1)], axis=1)
