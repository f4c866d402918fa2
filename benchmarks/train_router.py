"""Train the router's weights file. See docs/router-model-card.md for what it is and how it was chosen.

    python benchmarks/train_router.py --data DIR --out FILE.npz [--report FILE.json]

Needs the extra `train` (scipy). DIR holds train*.jsonl.gz; dev files are never read. Seeds are fixed: two runs with
the same library versions give the same file, and scores differ by less than 0.02 across versions.
"""

import argparse
import gzip
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import cg

from asks import invent
from boosting import Floats, Forest, boost
from twospeed.policy import marks
from twospeed.policy.features import DENSE, measure
from twospeed.policy.instruction import Ask, separate
from twospeed.policy.learned import CLIP, NORM
from twospeed.policy.stage import Stage, stage
from twospeed.types import Conversation, Message

BITS = {"words": 13, "code": 12}
DENSE_SCALE, WORD_SCALE = 0.3, 3.0  # how loud dense features and words are before regularisation
RIDGE = 6.0
GAIN_RIDGE = 30.0
CONSISTENCY = 5.0  # weight of the squared difference between two client formats of one item
TREES, DEPTH, RATE = 180, 4, 0.07
TREE_SHARE = 0.5  # of the score; the rest is linear
FAMILY_POWER = 0.35  # a family of n rows weighs n ** (1 - FAMILY_POWER)
INVENTED, INVENTED_WEIGHT = 3_000, 1.0
UNCLEAR_WEIGHT = 0.7  # of items marked ambiguous; their target is their family's mean, moved by their pass rates
UNCLEAR_PULL = 0.7
FLIP_COST = 1.0  # of a tier that changes with the client format alone, against balanced recall
FOLDS = 4


class Body(msgspec.Struct):
    """What of a request body is measured."""

    messages: list[Message] = []
    prompt: str = ""
    suffix: str | None = ""


class Set(NamedTuple):
    """Measured requests: labelled ones first, then invented ones.

    `dense`: float[N, D]; `text`: sparse[N, words]. `pairs`: int[P, 2], the two formats of one item. `fold`: -1 for
    invented ones. `gain`: NaN where no pass rates are known. `ruled`: decided by a mark, whatever the score.
    """

    dense: Floats
    text: sparse.csr_matrix
    target: Floats
    clear: np.ndarray
    family: np.ndarray
    fold: np.ndarray
    gain: Floats
    pairs: np.ndarray
    ruled: np.ndarray


class Fit(NamedTuple):
    """One trained model. `linear` and `gain`: coefficients of (dense, words, code), then the offset."""

    mean: Floats
    scale: Floats
    linear: Floats
    gain: Floats
    forest: Forest


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    options = arguments.parse_args()
    files = sorted(options.data.glob("train*.jsonl.gz"))
    rows = [json.loads(line) for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]
    data = gather(rows)
    everything = np.arange(len(data.target))
    np.savez_compressed(options.out, **export(fit(data, everything), calibrate(data, rows)))


def gather(rows: list[dict[str, Any]]) -> Set:
    """Measure labelled rows and invented ones."""
    asked = [_asked(row) for row in rows]
    roll = random.Random(5)
    codes = [ask.code for _, ask in asked if len(ask.code) > 100]
    invented = invent(INVENTED)
    measures = [measure(ask, stage(c)) for c, ask in asked] + [
        measure(_with_code(t, codes, roll), Stage()) for t, _ in invented
    ]
    family = np.array([row["family"] for row in rows] + ["invented"] * len(invented))
    gain = np.array(
        [row["large_pass_rate"] - row["small_pass_rate"] if "small_pass_rate" in row else np.nan for row in rows]
    )
    clear = np.array([not row.get("ambiguous") for row in rows] + [True] * len(invented))
    target = np.concatenate((_targets(rows, gain, clear, family), [odds for _, odds in invented]))
    text = sparse.hstack(
        [_hashed([m.words for m in measures], BITS["words"]), _hashed([m.code_words for m in measures], BITS["code"])]
    )
    ruled = [
        c.endpoint == "/v1/completions" or marks.words_a_change(a.text) or marks.fills_cursor(a.text, a.code)
        for c, a in asked
    ]
    return Set(
        np.array([m.dense for m in measures], float),
        text.tocsr(),
        target,
        clear,
        family,
        np.array([_fold(row) for row in rows] + [-1] * len(invented)),
        np.concatenate((gain, [0.45 * odds for _, odds in invented])),
        _pairs(rows),
        np.array(ruled + [False] * len(invented)),
    )


def _asked(row: dict[str, Any]) -> tuple[Conversation, Ask]:
    raw = json.dumps(row["request"]["body"]).encode()
    body = msgspec.json.decode(raw, type=Body)
    conversation = Conversation(row["request"]["endpoint"], body.messages, prompt=body.prompt, suffix=body.suffix or "")
    return conversation, separate(conversation)


def _with_code(text: str, codes: list[str], roll: random.Random) -> Ask:
    """Give half of the short invented asks some code, so that code alone decides nothing."""
    ask = separate(Conversation("", [Message("user", msgspec.Raw(json.dumps(text).encode()))]))
    return Ask(ask.text, roll.choice(codes)) if not ask.code and len(text) < 400 and roll.random() < 0.5 else ask


def _targets(rows: list[dict[str, Any]], gain: Floats, clear: np.ndarray, family: np.ndarray) -> Floats:
    """Labels; for unclear items the mean of their family, higher where small models fail and large ones help."""
    target = np.array([float(row["label"] == "deep") for row in rows])
    small = np.array([row.get("small_pass_rate", np.nan) for row in rows])
    n = len(rows)
    for name in np.unique(family[:n]):
        own = (family[:n] == name) & ~np.isnan(gain)
        if not own.any():
            continue
        usual = target[(family[:n] == name) & clear[:n]].mean()
        lean = 0.5 * (small[own].mean() - small + gain - gain[own].mean())
        unclear = own & ~clear[:n]
        target[unclear] = np.clip(usual + UNCLEAR_PULL * lean, 0.02, 0.98)[unclear]
    return target


def _hashed(hashes: list[np.ndarray], bits: int) -> sparse.csr_matrix:
    """One row a request: how often each bucket occurs, over the root of the number of words."""
    columns = [(h >> np.uint64(64 - bits)).astype(np.int64) for h in hashes]
    values = [np.full(len(c), 1.0 / np.sqrt(len(c) + NORM)) for c in columns]
    starts = np.concatenate(([0], np.cumsum([len(c) for c in columns])))
    matrix = sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), starts), shape=(len(columns), 1 << bits)
    )
    matrix.sum_duplicates()
    return matrix


def _fold(row: dict[str, Any]) -> int:
    """Spread groups over folds; the two directions of one function stay together."""
    number = row["group"].rsplit("/", 1)[-1]
    return int(number) % FOLDS if number.isdigit() else sum(f"{row['family']}{row['group']}".encode()) % FOLDS


def _pairs(rows: list[dict[str, Any]]) -> np.ndarray:
    items: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        items.setdefault(row["item"], []).append(index)
    return np.array([rows_of for rows_of in items.values() if len(rows_of) == 2])


def _weights(data: Set, index: np.ndarray) -> Floats:
    _, at, counts = np.unique(data.family[index], return_inverse=True, return_counts=True)
    weight = (counts[at] / counts.mean()) ** -FAMILY_POWER
    weight[data.fold[index] < 0] *= INVENTED_WEIGHT
    weight[~data.clear[index]] *= UNCLEAR_WEIGHT
    return weight


def fit(data: Set, index: np.ndarray) -> Fit:
    """Train on the rows of `index`."""
    real = index[(data.fold[index] >= 0) & data.clear[index]]
    mean, scale = data.dense[real].mean(axis=0), data.dense[real].std(axis=0) + 1e-3
    weight = _weights(data, index)
    inside = data.pairs[np.isin(data.pairs, index).all(axis=1)]
    matrix = _matrix(data, index, mean, scale)
    apart = (_matrix(data, inside[:, 0], mean, scale) - _matrix(data, inside[:, 1], mean, scale)).tocsr()
    place = {row: n for n, row in enumerate(index)}
    local = np.array([[place[a], place[b]] for a, b in inside])
    forest = boost(data.dense[index], data.target[index], weight, local, TREES, DEPTH, RATE, seed=0)
    linear = _logistic(matrix, data.target[index], weight, apart)
    known = ~np.isnan(data.gain[index])
    gain = _ridge(matrix[known], data.gain[index][known], weight[known], apart)
    return Fit(mean, scale, linear, gain, forest)


def _matrix(data: Set, index: np.ndarray, mean: Floats, scale: Floats) -> sparse.csr_matrix:
    dense = np.clip((data.dense[index] - mean) / scale, -CLIP, CLIP) * DENSE_SCALE
    return sparse.hstack([sparse.csr_matrix(dense), data.text[index] * WORD_SCALE]).tocsr()


def _logistic(matrix: sparse.csr_matrix, target: Floats, weight: Floats, apart: sparse.csr_matrix) -> Floats:
    def loss(values: Floats) -> tuple[float, Floats]:
        slope, offset = values[:-1], values[-1]
        raw = matrix @ slope + offset
        error = weight * (1 / (1 + np.exp(-raw)) - target)
        shift = apart @ slope
        total = (weight * (np.logaddexp(0, raw) - target * raw)).sum() + 0.5 * (
            RIDGE * slope @ slope + CONSISTENCY * shift @ shift
        )
        return total, np.append(matrix.T @ error + RIDGE * slope + CONSISTENCY * (apart.T @ shift), error.sum())

    return minimize(loss, np.zeros(matrix.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 150}).x


def _ridge(matrix: sparse.csr_matrix, target: Floats, weight: Floats, apart: sparse.csr_matrix) -> Floats:
    offset = (weight * target).sum() / weight.sum()
    square = matrix.T @ matrix.multiply(weight[:, None]) + CONSISTENCY * (apart.T @ apart)
    slope, _ = cg(
        square + GAIN_RIDGE * sparse.eye(matrix.shape[1]), matrix.T @ (weight * (target - offset)), maxiter=100
    )
    return np.append(slope, offset)


def score(model: Fit, data: Set, index: np.ndarray) -> tuple[Floats, Floats]:
    """Return raw score (log odds) and raw gain of the rows of `index`, before calibration."""
    matrix = _matrix(data, index, model.mean, model.scale)
    linear = matrix @ model.linear[:-1] + model.linear[-1]
    return (1 - TREE_SHARE) * linear + TREE_SHARE * model.forest.score(data.dense[index]), matrix @ model.gain[
        :-1
    ] + model.gain[-1]


def held_out(data: Set) -> tuple[Floats, Floats]:
    """Score each labelled row by a model that saw no row of its group."""
    labelled = np.flatnonzero(data.fold >= 0)
    raw, gain = np.zeros(len(labelled)), np.zeros(len(labelled))
    for fold in range(FOLDS):
        test = labelled[data.fold[labelled] == fold]
        raw[test], gain[test] = score(fit(data, np.flatnonzero(data.fold != fold)), data, test)
    return raw, gain


def calibrate(data: Set, rows: list[dict[str, Any]]) -> dict[str, Floats]:
    """Fit slopes and offsets, and what the targets of `classify` are mapped through, on held-out scores."""
    raw, gain = held_out(data)
    n = len(raw)
    weighed = data.clear[:n] & ~data.ruled[:n]
    label = np.array([row["label"] == "deep" for row in rows])
    slope, offset = _logistic_line(raw[weighed], label[weighed].astype(float))
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
        "advised": np.array([_advised(chance, label, data)]),
    }


def _logistic_line(raw: Floats, label: Floats) -> tuple[float, float]:
    def loss(values: Floats) -> float:
        line = values[0] * raw + values[1]
        return float((np.logaddexp(0, line) - label * line).sum())

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(slope), float(offset)


def _advised(chance: Floats, label: np.ndarray, data: Set) -> float:
    """Return the threshold that treats both tiers best, averaged over families, and tells few formats of an item apart."""
    clear, family = data.clear[: len(chance)], data.family[: len(chance)]
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
    return float(lines[3 + int(np.argmax(smooth))])


def export(model: Fit, calibration: dict[str, Floats]) -> dict[str, np.ndarray]:
    """Lay the model out as `learned.Learned` reads it."""
    keep, d, words = 1 - TREE_SHARE, len(DENSE), 1 << BITS["words"]
    slopes = np.stack((keep * model.linear[:-1], model.gain[:-1]), axis=1)
    arrays = {
        "mean": model.mean,
        "scale": model.scale,
        "dense": slopes[:d] * DENSE_SCALE,
        "words": slopes[d : d + words] * WORD_SCALE,
        "code": slopes[d + words :] * WORD_SCALE,
        "bias": np.array([keep * model.linear[-1] + TREE_SHARE * model.forest.base, model.gain[-1]]),
        "feature": model.forest.feature,
        "threshold": np.minimum(model.forest.threshold, 1e9),
        "leaf": TREE_SHARE * model.forest.leaf,
        **calibration,
    }
    small = {name: value.astype(np.int16 if name == "feature" else np.float32) for name, value in arrays.items()}
    return {"names": np.array(DENSE)} | small


if __name__ == "__main__":
    main()
