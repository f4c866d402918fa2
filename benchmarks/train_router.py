"""Train the router's weights file. See docs/router-model-card.md for what it is and how it was chosen.

    python benchmarks/train_router.py --data DIR --out FILE.npz
    python benchmarks/train_router.py --data DIR --check

Needs the extra `train` (scipy). DIR holds train*.jsonl.gz; dev files are never read. Seeds are fixed: two runs with
the same library versions give the same file. `--check` trains anew and compares with the file that ships: no score of
a training request may differ by more than TOLERANCE, or the exit code is 1.
"""

import argparse
import sys
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import cg

from boosting import Forest, boost, leaves
from corpus import FOLDS, Corpus, Floats, gather, read
from twospeed.policy.features import DENSE
from twospeed.policy.learned import CLIP, PACKAGED, Learned

TOLERANCE = 0.02
DENSE_SCALE, WORD_SCALE = 0.3, 1.0  # how loud dense features and words are before regularisation
RIDGE = 6.0
GAIN_RIDGE = 30.0
GAIN_TREE_SHARE = 0.5  # of the gain; the trees ask the questions of the score
CONSISTENCY = 5.0  # weight of the squared difference between two client formats of one item
INSIDE = 0.5  # weight of a second loss in which every family has an offset of its own: ranking inside families
TREES, DEPTH, RATE = 180, 4, 0.07
TREE_SHARE = 0.3  # of the score; the rest is linear
FAMILY_POWER = 0.35  # a family of n rows weighs n ** (1 - FAMILY_POWER)
INVENTED_WEIGHT = 1.0
UNCLEAR_WEIGHT = 0.7  # of items marked ambiguous; their target is their family's mean, moved by their pass rates
NEARLY = 0.01  # of what a threshold is worth: as good as the best
FLIP_COST = 1.0  # of a tier that changes with the client format alone, against balanced recall


class Fit(NamedTuple):
    """One trained model. `linear` and `gain`: coefficients of (dense, words, code), then the offset."""

    mean: Floats
    scale: Floats
    linear: Floats
    gain: Floats
    forest: Forest
    gain_forest: Forest


def main() -> None:
    """Train, then write or compare."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True)
    what = arguments.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path)
    what.add_argument("--check", action="store_true")
    options = arguments.parse_args()
    corpus = gather(read(options.data))
    arrays = export(corpus, fit(corpus, np.arange(len(corpus.target))), calibrate(corpus))
    if options.out:
        np.savez_compressed(options.out, **arrays)
    else:
        sys.exit(check(corpus, arrays))


def check(corpus: Corpus, arrays: dict[str, NDArray[Any]]) -> int:
    """Compare new arrays with the file that ships: by score of every training request, and by advised threshold."""
    with resources.files("twospeed").joinpath("data", PACKAGED).open("rb") as file, np.load(file) as shipped:
        old = Learned({name: shipped[name] for name in shipped.files})
    new = Learned(arrays)
    apart = max(abs(old.score(m)[0] - new.score(m)[0]) for m in corpus.measures)
    moved = abs(old.advised - new.advised)
    print(f"largest difference of a score {apart:.4f}, of the threshold {moved:.4f}; allowed {TOLERANCE}")
    return int(max(apart, moved) > TOLERANCE)


def fit(data: Corpus, index: NDArray[np.int64]) -> Fit:
    """Train on the rows of `index`."""
    real = index[(data.fold[index] >= 0) & data.clear[index]]
    mean, scale = data.levels[real].mean(axis=0), data.levels[real].std(axis=0) + 1e-3
    weight = _weights(data, index)
    inside = data.pairs[np.isin(data.pairs, index).all(axis=1)]
    matrix = _matrix(data, index, mean, scale)
    apart = (_matrix(data, inside[:, 0], mean, scale) - _matrix(data, inside[:, 1], mean, scale)).tocsr()
    place = {row: n for n, row in enumerate(index)}
    local = np.array([[place[a], place[b]] for a, b in inside])
    bins = data.bins[index].astype(float)
    forest = boost(bins, data.target[index], weight, local, TREES, DEPTH, RATE, seed=0)
    linear = _logistic(matrix, data.target[index], weight, apart, data.family[index])
    known = ~np.isnan(data.gain[index])
    gain = _ridge(matrix[known], data.gain[index][known], weight[known], apart)
    gain_forest = leaves(forest, bins[known], data.gain[index][known], weight[known], RATE)
    return Fit(mean, scale, linear, gain, forest, gain_forest)


def _weights(data: Corpus, index: NDArray[np.int64]) -> Floats:
    _, at, counts = np.unique(data.family[index], return_inverse=True, return_counts=True)
    weight = (counts[at] / counts.mean()) ** -FAMILY_POWER
    weight[data.fold[index] < 0] *= INVENTED_WEIGHT
    weight[~data.clear[index]] *= UNCLEAR_WEIGHT
    return weight


def _matrix(data: Corpus, index: NDArray[np.int64], mean: Floats, scale: Floats) -> sparse.csr_matrix:
    dense = np.clip((data.levels[index] - mean) / scale, -CLIP, CLIP) * DENSE_SCALE
    return sparse.hstack([sparse.csr_matrix(dense), data.text[index] * WORD_SCALE]).tocsr()


def _logistic(
    matrix: sparse.csr_matrix, target: Floats, weight: Floats, apart: sparse.csr_matrix, family: NDArray[np.str_]
) -> Floats:
    """Fit slopes and an offset by log loss, and by INSIDE times the same loss with an offset for each family."""
    width = matrix.shape[1]
    names, member = np.unique(family, return_inverse=True)

    def loss(values: Floats) -> tuple[float, Floats]:
        slope, offset, offsets = values[:width], values[width], values[width + 1 :]
        along, shift = matrix @ slope, apart @ slope
        total, error = _log_loss(along + offset, target, weight)
        within, error_within = _log_loss(along + offsets[member], target, INSIDE * weight)
        held = RIDGE * slope @ slope + CONSISTENCY * shift @ shift + 0.1 * offsets @ offsets
        pull = matrix.T @ (error + error_within) + RIDGE * slope + CONSISTENCY * (apart.T @ shift)
        moves = np.bincount(member, error_within, len(names)) + 0.1 * offsets
        return total + within + 0.5 * held, np.concatenate((pull, [error.sum()], moves))

    start = np.zeros(width + 1 + len(names))
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 150}).x[: width + 1]


def _log_loss(raw: Floats, target: Floats, weight: Floats) -> tuple[float, Floats]:
    """Return the weighted log loss and its slope in each raw score."""
    return float((weight * (np.logaddexp(0, raw) - target * raw)).sum()), weight * (1 / (1 + np.exp(-raw)) - target)


def _ridge(matrix: sparse.csr_matrix, target: Floats, weight: Floats, apart: sparse.csr_matrix) -> Floats:
    offset = (weight * target).sum() / weight.sum()
    square = matrix.T @ matrix.multiply(weight[:, None]) + CONSISTENCY * (apart.T @ apart)
    slope, _ = cg(
        square + GAIN_RIDGE * sparse.eye(matrix.shape[1]), matrix.T @ (weight * (target - offset)), maxiter=100
    )
    return np.append(slope, offset)


def score(model: Fit, data: Corpus, index: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return raw score (log odds) and raw gain of the rows of `index`, before calibration."""
    matrix = _matrix(data, index, model.mean, model.scale)
    linear = matrix @ model.linear[:-1] + model.linear[-1]
    gain = matrix @ model.gain[:-1] + model.gain[-1]
    bins = data.bins[index].astype(float)
    return (
        (1 - TREE_SHARE) * linear + TREE_SHARE * model.forest.score(bins),
        (1 - GAIN_TREE_SHARE) * gain + GAIN_TREE_SHARE * model.gain_forest.score(bins),
    )


def held_out(data: Corpus) -> tuple[Floats, Floats]:
    """Score each labelled row by a model that saw no row of its group."""
    labelled = np.flatnonzero(data.fold >= 0)
    raw, gain = np.zeros(len(labelled)), np.zeros(len(labelled))
    for fold in range(FOLDS):
        test = labelled[data.fold[labelled] == fold]
        raw[test], gain[test] = score(fit(data, np.flatnonzero(data.fold != fold)), data, test)
    return raw, gain


def calibrate(data: Corpus) -> dict[str, Floats]:
    """Fit slopes and offsets, and what the targets of `classify` are mapped through, on held-out scores."""
    raw, gain = held_out(data)
    n = len(raw)
    weighed = data.clear[:n] & ~data.ruled[:n]
    slope, offset = _logistic_line(raw[weighed], data.label[weighed].astype(float))
    chance = np.where(data.ruled[:n], 0.02, 1 / (1 + np.exp(-(slope * raw + offset))))
    known = ~np.isnan(data.gain[:n])
    design = np.column_stack((np.ones(n), chance, np.where(data.ruled[:n], 0.0, gain)))
    half = 0.5 * np.linalg.lstsq(design[known], data.gain[:n][known], rcond=None)[0] + 0.5 * np.array([0.0, 0.4, 0.4])
    expected = design @ half
    order = np.argsort(-expected[known])
    won = np.concatenate(([0.0], np.cumsum(data.gain[:n][known][order])))
    quality = np.interp(
        np.linspace(0, known.sum(), 101), np.arange(known.sum() + 1), np.maximum.accumulate(won) / won[-1]
    )
    return {
        "calibration": np.array([slope, offset]),
        "gain_line": half,
        "shares": np.quantile(chance, np.linspace(0, 1, 101)),
        "quality": quality,
        "advised": np.array([_advised(chance, data)]),
    }


def _logistic_line(raw: Floats, label: Floats) -> tuple[float, float]:
    def loss(values: Floats) -> float:
        line = values[0] * raw + values[1]
        return float((np.logaddexp(0, line) - label * line).sum())

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(slope), float(offset)


def _advised(chance: Floats, data: Corpus) -> float:
    """Return the threshold that treats both tiers best, averaged over families, and tells few formats of an item apart.

    Of those NEARLY as good as the best the lowest: a hard request that goes fast costs more than an easy one that goes
    deep.
    """
    clear, family, label = data.clear[: len(chance)], data.family[: len(chance)], data.label
    lines = np.arange(0.30, 0.49, 0.01)
    worth = []
    for line in lines:
        deep, fast = [], []
        for name in np.unique(family):
            own = clear & (family == name)
            if (own & label).sum() >= 10:
                deep.append((chance[own & label] >= line).mean())
            if (own & ~label).sum() >= 10:
                fast.append((chance[own & ~label] < line).mean())
        apart = (chance[data.pairs[:, 0]] >= line) != (chance[data.pairs[:, 1]] >= line)
        worth.append((np.mean(deep) + np.mean(fast)) / 2 - FLIP_COST * apart.mean())
    smooth = np.convolve(worth, np.ones(7) / 7, mode="valid")
    return float(lines[3 + int(np.argmax(smooth >= smooth.max() - NEARLY))])


def export(data: Corpus, model: Fit, calibration: dict[str, Floats]) -> dict[str, NDArray[Any]]:
    """Lay the model out as `learned.Learned` reads it."""
    d, words = len(DENSE), len(data.words)
    share = np.array([TREE_SHARE, GAIN_TREE_SHARE])
    slopes = np.stack((model.linear, model.gain), axis=1) * (1 - share)
    forests = model.forest, model.gain_forest
    arrays = {
        "mean": model.mean,
        "scale": model.scale,
        "dense": slopes[:d] * DENSE_SCALE,
        "words_weight": slopes[d : d + words] * WORD_SCALE,
        "code_weight": slopes[d + words : -1] * WORD_SCALE,
        "bias": slopes[-1] + share * [forest.base for forest in forests],
        "threshold": np.minimum(model.forest.threshold, 255),
        "leaf": np.stack([forest.leaf for forest in forests], axis=2) * share,
        **calibration,
    }
    return {
        "names": np.array(DENSE),
        "words": np.frombuffer(b" ".join(data.words), np.uint8),
        "code": np.frombuffer(b" ".join(data.code_words), np.uint8),
        "feature": model.forest.feature.astype(np.int16),
        **{name: value.astype(np.float32) for name, value in arrays.items()},
    }


if __name__ == "__main__":
    main()
