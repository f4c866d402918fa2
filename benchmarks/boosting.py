"""Boosted symmetric trees: every level of a tree asks one question, so that all trees are walked in a few array steps.

Splits that would tell the two client formats of one item apart are made unattractive (`PAIR_AVERSION`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 32
SHRINK = 8.0  # added to the weight of each leaf
LEAF_SHRINK = 20.0  # the same, where only leaves are fitted
LEAST = 2.0  # curvature that each side of a split must hold
ROWS, COLUMNS = 0.7, 0.15  # shares drawn for each tree
PAIR_AVERSION = 6.0

Floats = NDArray[np.float64]


class Forest(NamedTuple):
    """`feature`: int[T, L], `threshold`: float[T, L], `leaf`: float[T, 2**L]; the first level is the highest bit."""

    base: float
    feature: NDArray[np.int64]
    threshold: Floats
    leaf: Floats

    def score(self, rows: Floats) -> Floats:
        """Return the raw score (log odds) of each row."""
        return self.base + self.leaf[np.arange(len(self.leaf)), self.reached(rows)].sum(axis=1)

    def reached(self, rows: Floats) -> NDArray[np.int64]:
        """Return the number of the leaf that each row reaches in each tree: int[N, T]."""
        bits = rows[:, self.feature] > self.threshold
        return bits @ (1 << np.arange(self.feature.shape[1])[::-1])


def boost(
    rows: Floats,
    target: Floats,
    weight: Floats,
    pairs: NDArray[np.int64],
    trees: int,
    depth: int,
    rate: float,
    seed: int,
) -> Forest:
    """Fit trees to targets in 0..1 by log loss.

    Args:
        rows: float[N, D].
        target: float[N], soft targets allowed.
        weight: float[N].
        pairs: int[P, 2], rows of one item in two client formats.
        rate: Step of each tree.
    """
    roll = np.random.RandomState(seed)
    edges = [_edges(rows[:, j]) for j in range(rows.shape[1])]
    bins = np.stack([np.searchsorted(e, rows[:, j], side="left") for j, e in enumerate(edges)], axis=1)
    worth = _worth(bins, edges, pairs)
    base = float(np.log((weight * target).sum() / (weight * (1 - target)).sum()))
    forest = Forest(
        base, np.zeros((trees, depth), np.int64), np.full((trees, depth), np.inf), np.zeros((trees, 2**depth))
    )
    total = np.full(len(rows), base)
    for t in range(trees):
        chance = 1 / (1 + np.exp(-total))
        pull, bend = weight * (target - chance), weight * chance * (1 - chance)
        drawn = np.flatnonzero(roll.rand(len(rows)) < ROWS)
        columns = np.flatnonzero(roll.rand(rows.shape[1]) < COLUMNS)
        leaf = np.zeros(len(drawn), np.int64)
        for level in range(depth):
            column, at = _split(
                bins[np.ix_(drawn, columns)], leaf, 1 << level, pull[drawn], bend[drawn], worth[columns]
            )
            if column < 0:
                leaf *= 2
                continue
            forest.feature[t, level], forest.threshold[t, level] = columns[column], edges[columns[column]][at]
            leaf = leaf * 2 + (bins[drawn, columns[column]] > at)
        size = 2**depth
        forest.leaf[t] = rate * np.bincount(leaf, pull[drawn], size) / (np.bincount(leaf, bend[drawn], size) + SHRINK)
        total = total + Forest(
            0.0, forest.feature[t : t + 1], forest.threshold[t : t + 1], forest.leaf[t : t + 1]
        ).score(rows)
    return forest


def leaves(forest: Forest, rows: Floats, target: Floats, weight: Floats, rate: float) -> Forest:
    """Return a forest with the same questions that says something else: fitted to a target by squared loss."""
    base = float((weight * target).sum() / weight.sum())
    reached, total, size = forest.reached(rows), np.full(len(rows), base), forest.leaf.shape[1]
    leaf = np.zeros_like(forest.leaf)
    for t in range(len(leaf)):
        pull, bend = (np.bincount(reached[:, t], v, size) for v in (weight * (target - total), weight))
        leaf[t] = rate * pull / (bend + LEAF_SHRINK)
        total += leaf[t][reached[:, t]]
    return Forest(base, forest.feature, forest.threshold, leaf)


def _edges(column: Floats) -> Floats:
    values = np.unique(column)
    if len(values) > BINS:
        values = np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)))
    return ((values[1:] + values[:-1]) / 2)[: BINS - 1]


def _worth(bins: NDArray[np.int64], edges: list[Floats], pairs: NDArray[np.int64]) -> Floats:
    """Return, for each feature and bin, what a gain there counts: less the more pairs it would separate."""
    low, high = (f(bins[pairs[:, 0]], bins[pairs[:, 1]]) for f in (np.minimum, np.maximum))
    worth = np.zeros((bins.shape[1], BINS))
    for j, edge in enumerate(edges):
        apart = np.cumsum(np.bincount(low[:, j], minlength=BINS)) - np.cumsum(np.bincount(high[:, j], minlength=BINS))
        worth[j, : len(edge)] = np.clip(1 - PAIR_AVERSION * apart / len(pairs), 0, 1)[: len(edge)]
    return worth


def _split(
    bins: NDArray[np.int64], leaf: NDArray[np.int64], leaves: int, pull: Floats, bend: Floats, worth: Floats
) -> tuple[int, int]:
    """Return column and bin of the best question for all leaves at once, (-1, -1) when none helps."""
    columns = bins.shape[1]
    key = ((leaf[:, None] * columns + np.arange(columns)) * BINS + bins).ravel()
    shape, size = (leaves, columns, BINS), leaves * columns * BINS
    left, left_bend = (
        np.bincount(key, np.repeat(v, columns), size).reshape(shape).cumsum(axis=2) for v in (pull, bend)
    )
    whole, whole_bend = left[:, :, -1:], left_bend[:, :, -1:]
    right, right_bend = whole - left, whole_bend - left_bend
    gain = left**2 / (left_bend + SHRINK) + right**2 / (right_bend + SHRINK) - whole**2 / (whole_bend + SHRINK)
    gain = np.where((left_bend > LEAST) & (right_bend > LEAST), gain, 0.0).sum(axis=0) * worth
    best = int(gain.argmax())
    return divmod(best, BINS) if gain.ravel()[best] > 1e-9 else (-1, -1)
