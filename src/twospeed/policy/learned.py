"""The learned score: a weights file and one request's measures in, P(deep) and expected gain out.

A linear part (dense features and hashed words), a part of small symmetric trees and a calibration give two answers: the
probability that the request needs the deep tier, and the expected gain in quality if it gets it. Plain arrays, numpy
only, no state: the same request always gets the same score. `benchmarks/train_router.py` writes the file,
`docs/router-model-card.md` says what it was trained on and how well it does.
"""

from importlib import resources
from math import exp
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from twospeed.policy.features import DENSE, MAX_BYTES, Measures

PACKAGED = "router-v1.npz"
NORM = 20.0  # keeps short texts from getting the loudest words
CLIP = 3.0  # dense features count at most this many standard deviations
MAX_DEPTH = 8  # of trees: a leaf's number fits a byte

_ONES = np.ones(MAX_BYTES, np.float32)  # a product with ones is the cheapest sum of a short array
_COMPLEX_ONES = _ONES.astype(np.complex64)


class Unreadable(ValueError):
    """A weights file that is not for this version of the features."""


class Learned:
    """One loaded weights file.

    Arrays of the file, D = len(DENSE), T trees of depth L, last axis of size 2: (deep, gain).
        mean, scale: float32[D]. dense: float32[D, 2]. bias: float32[2].
        words, code: float32[2**n, 2]; the top n bits of a word's hash are its row.
        feature: int16[T, L], threshold: float32[T, L], leaf: float32[T, 2**L]. Each level of a tree asks one
        question, value > threshold; the answers are the bits of the leaf, first level highest.
        calibration: float32[2], slope and offset of the log odds. gain_line: float32[3], offset and factors of P(deep)
        and of the raw gain. shares: float32[101], quantiles of the score over reference traffic. quality: float32[101],
        part of the gap between the tiers recovered when the k % with the largest gain go deep. advised: float32[1],
        the threshold that treats both tiers alike.
    """

    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        if tuple(str(n) for n in arrays["names"]) != DENSE:
            raise Unreadable("the weights file was trained on other features than this version has")
        mean, scale = arrays["mean"].astype(np.float64), arrays["scale"].astype(np.float64)
        self.low, self.high = (np.float32(mean + sign * CLIP * scale) for sign in (-1.0, 1.0))
        rated = arrays["dense"] / scale[:, None]
        self.dense, self.bias = rated, _pair(arrays["bias"] - mean @ rated)
        bits = max(len(arrays[name]).bit_length() - 1 for name in ("words", "code"))
        self.words, self.code = (_table(arrays[name], bits) for name in ("words", "code"))
        self.shift = np.uint64(64 - bits)
        self.trees = _Trees(arrays["feature"], arrays["threshold"], arrays["leaf"])
        self.slope, self.offset = (float(v) for v in arrays["calibration"])
        self.gain_line = [float(v) for v in arrays["gain_line"]]
        self.shares, self.quality = arrays["shares"], arrays["quality"]
        self.advised = float(arrays["advised"][0])

    def score(self, measures: Measures) -> tuple[float, float]:
        """Return P(deep) in 0..1 and the expected gain in -1..1."""
        return self.combine(measures.dense, self.weigh(measures))

    def weigh(self, measures: Measures) -> complex:
        """Return what the words of a request add to both answers."""
        rows = (measures.hashes >> self.shift).view(np.int64)
        first = measures.text_words
        return _summed(self.words, rows[:first]) + _summed(self.code, rows[first:])

    def combine(self, dense: NDArray[np.float32], words: complex) -> tuple[float, float]:
        """Return both answers from the dense features and from what the words add."""
        within = np.minimum(dense, self.high)
        np.maximum(within, self.low, out=within)
        total = _pair(within.dot(self.dense)) + self.bias + words
        deep = self.slope * (total.real + self.trees.sum(dense)) + self.offset
        chance = 1.0 / (1.0 + exp(-max(-30.0, min(30.0, deep))))
        offset, by_chance, by_gain = self.gain_line
        return chance, max(-1.0, min(1.0, offset + by_chance * chance + by_gain * total.imag))


def _pair(answers: NDArray[np.float64]) -> complex:
    return complex(*answers.tolist())


def _table(weights: NDArray[np.float32], bits: int) -> NDArray[np.complex64]:
    """Return weights of words with 2**bits rows, both answers in one complex number so that one look-up finds both."""
    both = weights.astype(np.float32).view(np.complex64).ravel()
    return both.repeat((1 << bits) // len(both))


def _summed(table: NDArray[np.complex64], rows: NDArray[np.int64]) -> complex:
    """Return the weights of all words together, damped for long texts."""
    count = len(rows)
    return complex(table.take(rows).dot(_COMPLEX_ONES[:count])) * (count + NORM) ** -0.5 if count else 0j


class _Trees:
    """Symmetric trees, as many to a byte as fit: the answers to their questions, packed into bits, are its leaf.

    `leaf`: float32[bytes * 256], for each byte and each way to answer its questions the sum over its trees.
    """

    def __init__(self, feature: NDArray[np.float32], threshold: NDArray[np.float32], leaf: NDArray[np.float32]) -> None:
        trees, depth = feature.shape
        if depth > MAX_DEPTH:
            raise Unreadable(f"trees of {depth} levels; this version reads {MAX_DEPTH}")
        together = 8 // depth
        size = -(-trees // together)
        asked = np.zeros((size, 8), np.intp)
        above = np.full((size, 8), np.inf, np.float32)  # what no tree asks is never answered with yes
        table = np.zeros((size, 256))
        for tree in range(trees):
            at, first = tree // together, tree % together * depth
            asked[at, first : first + depth] = feature[tree]
            above[at, first : first + depth] = threshold[tree]
            table[at] += leaf[tree, np.arange(256) >> (8 - first - depth) & ((1 << depth) - 1)]
        self.feature, self.threshold = asked.ravel(), above.ravel()
        self.leaf, self.first = table.ravel().astype(np.float32), np.arange(size) << 8

    def sum(self, dense: NDArray[np.float32]) -> float:
        """Return what all trees say together."""
        answers = np.packbits(dense.take(self.feature) > self.threshold)
        return float(self.leaf.take(answers + self.first).dot(_ONES[: len(answers)]))


def load(path: Path | None = None) -> Learned:
    """Load a weights file; None: the one that ships with the package.

    Raises: Unreadable when the file is not a weights file of this version; OSError when it cannot be read.
    """
    if path is not None:
        with path.open("rb") as file:
            return _read(file)
    with resources.files("twospeed").joinpath("data", PACKAGED).open("rb") as file:
        return _read(file)


def _read(file: IO[bytes]) -> Learned:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return Learned({name: archive[name] for name in archive.files})
    except (KeyError, ValueError, EOFError) as error:
        raise Unreadable(f"not a weights file of this version: {error}") from error
