"""The learned score: a weights file and one request's measures in, P(deep) and expected gain out.

A linear part (dense features and hashed words), a part of small trees, and a calibration, for two heads: the
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


class Unreadable(ValueError):
    """A weights file that is not for this version of the features."""


class Learned:
    """One loaded weights file.

    Arrays of the file, D = len(DENSE), T trees of depth L, K nodes = 2**L - 1, last axis (deep, gain):
        mean, scale: float32[D]. dense: float32[D, 2]. bias: float32[2].
        words, pairs, code: float32[2**n, 2], n <= 20; the top n bits of a word's hash are its row.
        feature: int16[T, K], threshold: float32[T, K], leaf: float32[T, 2**L, 2]; go right when value > threshold.
        calibration: float32[2, 2], slope and offset of each head. shares: float32[101], quantiles of the score over
        reference traffic. quality: float32[101], part of the gap between the tiers recovered when the highest-scored
        k % go deep. advised: float32[1], the threshold that treats both tiers alike.
    """

    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        if tuple(str(n) for n in arrays["names"]) != DENSE:
            raise Unreadable("the weights file was trained on other features than this version has")
        self.mean, self.rate = arrays["mean"], (1.0 / arrays["scale"]).astype(np.float32)
        self.dense, self.bias = arrays["dense"], arrays["bias"].astype(float)
        self.tables = [(arrays[n], np.uint64(64 - len(arrays[n]).bit_length() + 1)) for n in ("words", "pairs", "code")]
        self.feature, self.threshold, self.leaf = _flat(arrays)
        self.trees, self.nodes = arrays["feature"].shape
        self.first = np.arange(self.trees) * self.nodes
        self.first_leaf = np.arange(self.trees) * (self.nodes + 1)
        self.depth = (self.nodes + 1).bit_length() - 1
        self.calibration = arrays["calibration"].astype(float).tolist()
        self.shares, self.quality = arrays["shares"], arrays["quality"]
        self.advised = float(arrays["advised"][0])

    def score(self, measures: Measures) -> tuple[float, float]:
        """Return P(deep) in 0..1 and the expected gain in -1..1."""
        total = self.bias + self._linear(measures) + self._trees(measures.dense)
        deep, gain = total.tolist()
        (slope, offset), (gain_slope, gain_offset) = self.calibration
        return 1.0 / (1.0 + exp(-max(-30.0, min(30.0, slope * deep + offset)))), max(
            -1.0, min(1.0, gain_slope * gain + gain_offset)
        )

    def _linear(self, measures: Measures) -> NDArray[np.float32]:
        scaled = np.minimum(np.maximum((measures.dense - self.mean) * self.rate, -CLIP), CLIP)
        total: NDArray[np.float32] = scaled @ self.dense
        for (table, shift), hashes in zip(self.tables, measures[1:], strict=True):
            if len(hashes) and len(table) > 1:
                rows = np.array(list(set((hashes >> shift).tolist())))
                total = total + table[rows].sum(axis=0) / (len(rows) + NORM) ** 0.5
        return total

    def _trees(self, dense: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.trees:
            return np.zeros(2, np.float32)
        node = np.zeros(self.trees, np.intp)
        for _ in range(self.depth):
            at = self.first + node
            node = 2 * node + 1 + (dense[self.feature[at]] > self.threshold[at])
        total: NDArray[np.float32] = self.leaf[self.first_leaf + node - self.nodes].sum(axis=0)
        return total


def _flat(arrays: dict[str, NDArray[np.float32]]) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    return arrays["feature"].astype(np.intp).ravel(), arrays["threshold"].ravel(), arrays["leaf"].reshape(-1, 2)


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
