"""Train the router's weights file. See docs/router-model-card.md for what it is and how it was chosen.

    python benchmarks/train_router.py --data DIR --out FILE.npz

Needs the extra `train` (scikit-learn, scipy). DIR holds train*.jsonl.gz; dev files are never read. Seeds are fixed:
two runs with the same library versions give the same file, and scores differ by less than 0.02 across versions.
"""

import argparse
import gzip
import json
from pathlib import Path

import msgspec
import numpy as np
from scipy import sparse
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge

from twospeed.policy.features import DENSE, Measures, measure
from twospeed.policy.instruction import separate
from twospeed.policy.learned import CLIP, NORM
from twospeed.policy.stage import stage
from twospeed.types import Conversation, Message

BITS = {"words": 13, "pairs": 14, "code": 12}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    options = arguments.parse_args()
    files = sorted(options.data.glob("train*.jsonl.gz"))
    rows = [json.loads(line) for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]
    np.savez_compressed(options.out, **train(rows))


class Body(msgspec.Struct):
    messages: list[Message] = []
    prompt: str = ""
    suffix: str | None = ""


def measured(row: dict) -> Measures:
    raw = json.dumps(row["request"]["body"]).encode()
    body = msgspec.json.decode(raw, type=Body)
    conversation = Conversation(
        row["request"]["endpoint"], body.messages, prompt=body.prompt, suffix=body.suffix or "", body_bytes=len(raw)
    )
    return measure(separate(conversation), stage(conversation))


def hashed(hashes: list[np.ndarray], bits: int) -> sparse.csr_matrix:
    """One row a request; each distinct bucket counts once, divided by the root of how many there are."""
    rows = [np.unique((h >> np.uint64(64 - bits)).astype(np.int64)) for h in hashes]
    values = [np.full(len(r), 1.0 / np.sqrt(len(r) + NORM)) for r in rows]
    starts = np.concatenate(([0], np.cumsum([len(r) for r in rows])))
    return sparse.csr_matrix((np.concatenate(values), np.concatenate(rows), starts), shape=(len(rows), 1 << bits))


def train(rows: list[dict]) -> dict[str, np.ndarray]:
    measures = [measured(row) for row in rows]
    dense = np.array([m.dense for m in measures])
    clear = np.array([not row.get("ambiguous") for row in rows])
    deep = np.array([row["label"] == "deep" for row in rows])
    mean, scale = dense[clear].mean(0), dense[clear].std(0) + 1e-3
    blocks = [sparse.csr_matrix(np.clip((dense - mean) / scale, -CLIP, CLIP) * 0.3)]
    for name, index in (("words", 1), ("pairs", 2), ("code", 3)):
        blocks.append(hashed([m[index] for m in measures], BITS[name]) * 3.0)
    matrix = sparse.hstack(blocks).tocsr()
    linear = LogisticRegression(C=0.3, max_iter=500).fit(matrix[clear], deep[clear])
    trees = GradientBoostingClassifier(
        n_estimators=80,
        max_depth=3,
        learning_rate=0.08,
        min_samples_leaf=40,
        max_features=0.3,
        subsample=0.7,
        random_state=0,
    ).fit(dense[clear], deep[clear])
    gains = np.array(["small_pass_rate" in row for row in rows])
    gain = np.array(
        [row["large_pass_rate"] - row["small_pass_rate"] if g else 0.0 for row, g in zip(rows, gains, strict=True)]
    )
    ridge = Ridge(alpha=30.0).fit(matrix[gains], gain[gains])
    coef = np.stack([0.5 * linear.coef_[0], ridge.coef_], axis=1)
    arrays = {"names": np.array(DENSE), "mean": mean, "scale": scale, "dense": coef[: len(DENSE)] * 0.3}
    at = len(DENSE)
    for name in ("words", "pairs", "code"):
        arrays[name] = coef[at : at + (1 << BITS[name])] * 3.0
        at += 1 << BITS[name]
    prior = float(np.log(deep[clear].mean() / (1 - deep[clear].mean())))
    arrays["bias"] = np.array([0.5 * linear.intercept_[0] + 0.5 * prior, ridge.intercept_])
    arrays |= perfect([t[0].tree_ for t in trees.estimators_], 3, 0.5 * 0.08)
    arrays["calibration"] = np.array([[1.0, 0.0], [1.0, 0.0]])
    arrays["shares"], arrays["quality"], arrays["advised"] = (
        np.linspace(0, 1, 101),
        np.linspace(0, 1, 101),
        np.array([0.4]),
    )
    return {
        k: v if v.dtype.kind == "U" else v.astype(np.int16 if k == "feature" else np.float32) for k, v in arrays.items()
    }


def perfect(trees: list, depth: int, rate: float) -> dict[str, np.ndarray]:
    """Pad trees to full ones of one depth, so that all are walked at once."""
    nodes = 2**depth - 1
    feature, threshold = np.zeros((len(trees), nodes)), np.full((len(trees), nodes), np.inf)
    leaf = np.zeros((len(trees), nodes + 1, 2))

    def fill(tree, t: int, source: int, target: int, level: int) -> None:
        inner = tree.children_left[source] >= 0
        if level == depth:
            leaf[t, target - nodes, 0] = rate * tree.value[source].item()
            return
        if inner:
            feature[t, target], threshold[t, target] = tree.feature[source], tree.threshold[source]
        fill(tree, t, tree.children_left[source] if inner else source, 2 * target + 1, level + 1)
        fill(tree, t, tree.children_right[source] if inner else source, 2 * target + 2, level + 1)

    for t, tree in enumerate(trees):
        fill(tree, t, 0, 0, 0)
    return {"feature": feature, "threshold": threshold, "leaf": leaf}


if __name__ == "__main__":
    main()
