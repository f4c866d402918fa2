"""Tail: which calls are slower than the slowest share of stable calls, the tolerance already forgiven.

Residuals of stable calls are counted in narrow bins; the quantile of a guard (0.99 of latency_p99) is read from them.
Source of the meaning: a P99 above 1.25 times that of the stable version is the same as more than 1% of calls beyond
1.25 times the stable P99.
"""

import math

import numpy as np

from twospeed.policy.judge.observation import Floats

STEP, REACH = 0.05, 8.0  # bins in log units, and how far they go to both sides
EXPECTED = 8.0  # stable calls beyond the quantile that must have been seen before it is used


class Tail:
    """A histogram of residuals."""

    def __init__(self) -> None:
        self._bins = np.zeros(round(2 * REACH / STEP) + 1)

    def learn(self, residuals: Floats) -> None:
        """Count stable residuals."""
        places = np.rint((np.clip(residuals, -REACH, REACH) + REACH) / STEP).astype(np.int64)
        np.add.at(self._bins, places, 1.0)

    def quantile(self, share: float) -> float | None:
        """Return the residual below which that share of stable calls lies, None while too few have been seen."""
        total = self._bins.sum()
        if total * (1 - share) < EXPECTED:
            return None
        place = int(np.searchsorted(self._bins.cumsum(), share * total))
        return place * STEP - REACH

    def merge(self, other: "Tail") -> None:
        """Add what another has counted."""
        self._bins = self._bins + other._bins

    def to_plain(self) -> list[list[float]]:
        """Return the bins that hold something, as [place, count]."""
        return [[int(place), float(self._bins[place])] for place in np.flatnonzero(self._bins)]

    @classmethod
    def from_plain(cls, plain: list[list[float]]) -> "Tail":
        """Build from what `to_plain` returned."""
        tail = cls()
        for place, count in plain:
            tail._bins[int(place)] = count
        return tail


def beyond(residuals: Floats, quantile: float, tolerance: float) -> Floats:
    """Return 1 for each call beyond `tolerance` times the quantile, else 0.

    >>> beyond(np.array([0.5, 1.5]), 1.0, 1.25).tolist()
    [0.0, 1.0]
    """
    return (residuals > quantile + math.log(tolerance)).astype(np.float64)
