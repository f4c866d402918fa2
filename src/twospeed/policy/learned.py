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

from twospeed.policy.features import DENSE, Measures

PACKAGED = "router-v1.npz"
NORM = 20.0  # keeps short texts from getting the loudest words
CLIP = 3.0  # dense features count at most this many standard deviations


_HIGH, _LOW = np.float32(CLIP), np.float32(-CLIP)


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
        self.rate = (1.0 / arrays["scale"]).astype(np.float32)
        self.centre = arrays["mean"] * self.rate
        self.dense, self.bias = arrays["dense"], arrays["bias"]
        self.words, self.code = _Table(arrays["words"]), _Table(arrays["code"])
        self.feature = arrays["feature"].astype(np.intp).T.ravel()
        self.threshold = arrays["threshold"].T.ravel()
        trees, depth = arrays["feature"].shape
        self.shape = (depth, trees)
        self.bits = (1 << np.arange(depth)[::-1]).astype(np.float32)
        self.first_leaf = np.arange(trees) << depth
        self.leaf = arrays["leaf"].ravel()
        self.slope, self.offset = (float(v) for v in arrays["calibration"])
        self.gain_line = [float(v) for v in arrays["gain_line"]]
        self.shares, self.quality = arrays["shares"], arrays["quality"]
        self.advised = float(arrays["advised"][0])

    def score(self, measures: Measures) -> tuple[float, float]:
        """Return P(deep) in 0..1 and the expected gain in -1..1."""
        dense = measures.dense
        scaled = dense * self.rate
        scaled -= self.centre
        np.minimum(scaled, _HIGH, out=scaled)
        np.maximum(scaled, _LOW, out=scaled)
        total = scaled.dot(self.dense)
        total += self.bias
        self.words.add(measures.words, total)
        self.code.add(measures.code_words, total)
        deep, raw_gain = total.tolist()
        deep = self.slope * (deep + self._trees(dense)) + self.offset
        chance = 1.0 / (1.0 + exp(-max(-30.0, min(30.0, deep))))
        offset, by_chance, by_gain = self.gain_line
        return chance, max(-1.0, min(1.0, offset + by_chance * chance + by_gain * raw_gain))

    def _trees(self, dense: NDArray[np.float32]) -> float:
        answers = (dense.take(self.feature) > self.threshold).reshape(self.shape)
        leaves = self.bits.dot(answers).astype(np.intp)
        leaves += self.first_leaf
        return float(np.add.reduce(self.leaf.take(leaves)))


class _Table:
    """Weights of hashed words."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self.weights = weights
        self.shift = np.uint64(65 - len(weights).bit_length())

    def add(self, hashes: NDArray[np.uint64], total: NDArray[np.float32]) -> None:
        """Add the weights of all words together, damped for long texts, to `total`."""
        if len(hashes):
            rows = self.weights.take((hashes >> self.shift).view(np.int64), axis=0)
            total += np.add.reduce(rows, axis=0) * np.float32((len(hashes) + NORM) ** -0.5)


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
