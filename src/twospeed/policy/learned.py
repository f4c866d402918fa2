"""The learned score: a weights file and one request's measures in, P(deep) and expected gain out.

A linear part (dense features and words), a part of small symmetric trees and a calibration give two answers: the
probability that the request needs the deep tier, and the expected gain in quality if it gets it. Plain arrays, numpy
only, no state: the same request always gets the same score. `benchmarks/train_router.py` writes the file,
`docs/router-model-card.md` says what it was trained on and how well it does.
"""

from collections.abc import Callable
from functools import cache
from importlib import resources
from itertools import repeat
from math import exp, sqrt
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from twospeed.policy.features import BINS, DENSE, LEVELS, Measures

PACKAGED = "router-v2.npz"
NORM = 20.0  # keeps short texts from getting the loudest words
CLIP = 3.0  # dense features count at most this many standard deviations
MAX_DEPTH = 8  # of trees: a leaf's number fits a byte

_HALF, _FINE = 1 << 31, 1 << 16  # of a word's two weights in one integer: where the second begins, steps to one
_NOTHING = repeat(0)  # endless: nothing is used up


class Unreadable(ValueError):
    """A weights file that is not for this version of the features."""


class Learned:
    """One loaded weights file.

    `table`: complex64, what each way to answer a byte of trees adds, then what each bin of each feature adds, both answers
    in one number; `first`: where those of each byte and feature begin. `usual`: uint8[D], the bins of the average request.

    Arrays of the file, D = len(DENSE), T trees of depth L, last axis of size 2: (deep, gain).
        mean, scale: float32[D], of the levels of bins. dense: float32[D, 2]. bias: float32[2].
        words, code: uint8, known words of sentences and of code, a blank between two; words_weight, code_weight:
        float32[words, 2].
        feature: int16[T, L], threshold: float32[T, L], leaf: float32[T, 2**L, 2]. Each level of a tree asks one
        question, bin > threshold; the answers are the bits of the leaf, first level highest.
        calibration: float32[2], slope and offset of the log odds. gain_line: float32[3], offset and factors of P(deep)
        and of the raw gain. shares: float32[101], quantiles of the score over reference traffic. quality: float32[101],
        part of the gap between the tiers recovered when the k % with the largest gain go deep. advised: float32[1],
        the threshold that treats both tiers alike.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        if tuple(str(n) for n in arrays["names"]) != DENSE:
            raise Unreadable("the weights file was trained on other features than this version has")
        self.trees = Trees(arrays["feature"], arrays["threshold"], arrays["leaf"])
        linear = _table(arrays["mean"], arrays["scale"], arrays["dense"])
        linear[:BINS] += complex(*arrays["bias"].tolist())
        self.table = np.concatenate((self.trees.leaf, linear))
        self.first = np.concatenate((self.trees.first, len(self.trees.leaf) + np.arange(len(DENSE)) * BINS))
        self.ones = np.ones(len(self.first), np.complex64)  # a product with ones is the cheapest sum of a short array
        self.usual = np.searchsorted(LEVELS, arrays["mean"]).clip(0, len(LEVELS) - 1).astype(np.uint8)
        self.words = _vocabulary(arrays["words"], arrays["words_weight"])
        self.code = _vocabulary(arrays["code"], arrays["code_weight"])
        self.slope, self.offset = (float(v) for v in arrays["calibration"])
        self.gain_line = [float(v) for v in arrays["gain_line"]]
        self.shares, self.quality = arrays["shares"], arrays["quality"]
        self.advised = float(arrays["advised"][0])

    def score(self, measures: Measures) -> tuple[float, float]:
        """Return P(deep) in 0..1 and the expected gain in -1..1."""
        return self.combine(measures.dense, self.weigh(measures))

    def weigh(self, measures: Measures) -> complex:
        """Return what the words of a request add to both answers."""
        return _summed(self.words.get, measures.words) + _summed(self.code.get, measures.code_words)

    def combine(self, dense: NDArray[np.uint8], words: complex) -> tuple[float, float]:
        """Return both answers from the dense features and from what the words add."""
        at = np.concatenate((self.trees.answers(dense), dense)) + self.first
        total = complex(self.table.take(at).dot(self.ones)) + words
        deep = self.slope * total.real + self.offset
        chance = 1.0 / (1.0 + exp(-max(-30.0, min(30.0, deep))))
        offset, by_chance, by_gain = self.gain_line
        return chance, max(-1.0, min(1.0, offset + by_chance * chance + by_gain * total.imag))


def _table(mean: NDArray[Any], scale: NDArray[Any], weight: NDArray[Any]) -> NDArray[np.complex64]:
    """Return what each bin of each feature adds: complex64[D * BINS], both answers in one number."""
    level = np.clip((LEVELS[None, :] - mean[:, None]) / scale[:, None], -CLIP, CLIP)
    added = np.zeros((len(mean), BINS), np.complex64)
    added[:, : len(LEVELS)] = level * (weight[:, :1] + 1j * weight[:, 1:])
    return added.ravel()


def _vocabulary(words: NDArray[np.uint8], weight: NDArray[Any]) -> dict[bytes, int]:
    """Return both weights of each word in one integer, so that one look-up finds both and their sum is exact."""
    fixed = np.rint(weight.astype(np.float64) * _FINE).astype(np.int64)
    return dict(zip(words.tobytes().split(), ((fixed[:, 0] << 32) + fixed[:, 1]).tolist(), strict=True))


def _summed(weight: Callable[[bytes, int], int], words: list[bytes]) -> complex:
    """Return the weights of all words together, damped for long texts."""
    if not words:
        return 0j
    both = sum(map(weight, words, _NOTHING))
    gain = ((both + _HALF) & 0xFFFFFFFF) - _HALF
    return complex((both - gain) >> 32, gain) / (_FINE * sqrt(len(words) + NORM))


class Trees:
    """Symmetric trees, as many to a byte as fit: the answers to their questions, packed into bits, are its leaf.

    `leaf`: complex64[bytes * 256], for each byte and each way to answer its questions both sums over its trees; `first`:
    where those of each byte begin.
    """

    def __init__(self, feature: NDArray[Any], threshold: NDArray[Any], leaf: NDArray[Any]) -> None:
        trees, depth = feature.shape
        if depth > MAX_DEPTH:
            raise Unreadable(f"trees of {depth} levels; this version reads {MAX_DEPTH}")
        together = 8 // depth
        size = -(-trees // together)
        asked = np.zeros((size, 8), np.intp)
        above = np.full((size, 8), BINS, np.uint8)  # what no tree asks is never answered with yes
        table = np.zeros((size, 256), np.complex128)
        both = leaf[:, :, 0] + 1j * leaf[:, :, 1]
        for tree in range(trees):
            at, first = tree // together, tree % together * depth
            asked[at, first : first + depth] = feature[tree]
            above[at, first : first + depth] = np.floor(threshold[tree])
            table[at] += both[tree, np.arange(256) >> (8 - first - depth) & ((1 << depth) - 1)]
        self.feature, self.threshold = asked.ravel(), above.ravel()
        self.leaf, self.first = table.ravel().astype(np.complex64), np.arange(size) << 8

    def answers(self, dense: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the answers to all questions, by byte."""
        return np.packbits(dense.take(self.feature) > self.threshold)


def load(path: Path | None = None) -> Learned:
    """Load a weights file; None: the one that ships with the package.

    Raises: Unreadable when the file is not a weights file of this version; OSError when it cannot be read.
    """
    if path is not None:
        with path.open("rb") as file:
            return _read(file)
    return _packaged()


@cache
def _packaged() -> Learned:
    """Read it once: every configuration wants it, and it does not change while a process runs."""
    with resources.files("twospeed").joinpath("data", PACKAGED).open("rb") as file:
        return _read(file)


def _read(file: IO[bytes]) -> Learned:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return Learned({name: archive[name] for name in archive.files})
    except (KeyError, ValueError, EOFError) as error:
        raise Unreadable(f"not a weights file of this version: {error}") from error
