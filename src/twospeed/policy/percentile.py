"""A percentile that follows what comes: the 95th of numbers from 1 to about a million, right within one bucket.

Buckets grow by a constant factor, so small and large numbers are told equally well; the counts are halved now and then, so
that a new habit shows within a few hundred values.
"""

from bisect import bisect_right
from functools import cache
from itertools import accumulate

SHARE = 0.05  # of the values lies above
_OCTAVES = 20  # up to a million
_FORGET = 512  # values after which the counts are halved


class Percentile:
    """Counts of values, in `steps` buckets per doubling."""

    __slots__ = ("_counts", "_edges", "_total")

    def __init__(self, steps: int) -> None:
        self._edges = _edges(steps)
        self._counts = [0] * (steps * _OCTAVES)
        self._total = 0

    def add(self, value: float) -> None:
        """Count a value; what is below 1 counts as 1, what is too large as the largest."""
        self._counts[bisect_right(self._edges, value, hi=len(self._edges) - 1)] += 1
        self._total += 1
        if self._total >= _FORGET:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)

    def p95(self) -> float | None:
        """Return the upper edge of the bucket that holds the 95th percentile, None before the first value."""
        above = bisect_right(list(accumulate(reversed(self._counts))), self._total * SHARE)
        return self._edges[-1 - above] if above < len(self._edges) else None


@cache
def _edges(steps: int) -> list[float]:
    """Return the upper edges of the buckets."""
    return [2.0 ** (bucket / steps) for bucket in range(1, steps * _OCTAVES + 1)]
