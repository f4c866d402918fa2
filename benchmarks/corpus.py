"""Measured requests to train on: the labelled ones of a folder, then invented ones (`asks.py`)."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from asks import invent
from twospeed.policy import marks
from twospeed.policy.features import LEVELS, Measures, measure
from twospeed.policy.instruction import Ask, separate
from twospeed.policy.learned import NORM
from twospeed.policy.stage import Stage, stage
from twospeed.types import Conversation, Message

INVENTED = 4_500
INVENTED_GAIN = 0.45  # what the deep tier adds, as a part of the odds that it is needed
UNCLEAR_PULL = 0.7  # of pass rates on the target of an item marked ambiguous, around its family's mean
FOLDS = 4
LEAST_ROWS = 6  # a word is known if it occurs in so many

Floats = NDArray[np.float64]


class Body(msgspec.Struct):
    """What of a request body is measured."""

    messages: list[Message] = []
    prompt: str = ""
    suffix: str | None = ""


class Corpus(NamedTuple):
    """Measured requests: labelled ones first, then invented ones.

    `measures`: as the router sees them; `bins`: uint8[N, D], their dense features. `text`: sparse[N, words], of `words` and then of `code_words`. `label`: of the labelled ones.
    `pairs`: int[P, 2], the two formats of one item. `fold`: -1 for invented ones. `gain`: NaN where no pass rates are
    known. `ruled`: decided by a mark, whatever the score.
    """

    measures: list[Measures]
    bins: NDArray[np.uint8]
    text: sparse.csr_matrix
    words: list[bytes]
    code_words: list[bytes]
    target: Floats
    label: NDArray[np.bool_]
    clear: NDArray[np.bool_]
    family: NDArray[np.str_]
    fold: NDArray[np.int64]
    gain: Floats
    pairs: NDArray[np.int64]
    ruled: NDArray[np.bool_]

    @property
    def levels(self) -> Floats:
        """The dense features as log(1 + count)."""
        return LEVELS[self.bins]


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of train*.jsonl.gz; dev files are never read."""
    files = sorted(folder.glob("train*.jsonl.gz"))
    return [json.loads(line) for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]


def gather(rows: list[dict[str, Any]], invented: int = INVENTED) -> Corpus:
    """Measure labelled rows and invented ones."""
    asked = [_asked(row) for row in rows]
    made = invent(invented) if invented else []
    roll = random.Random(5)
    codes = [ask.code for _, ask in asked if len(ask.code) > 100]
    measures = [measure(ask, stage(c)) for c, ask in asked]
    measures += [measure(_with_code(text, codes, roll), Stage()) for text, _ in made]
    family = np.array([row["family"] for row in rows] + ["invented"] * len(made))
    gain = np.array([_gain(row) for row in rows])
    clear = np.array([not row.get("ambiguous") for row in rows] + [True] * len(made))
    odds = [odds for _, odds in made]
    words, text = bags([m.words for m in measures])
    code_words, code = bags([m.code_words for m in measures])
    return Corpus(
        measures=measures,
        bins=np.array([m.dense for m in measures]),
        text=sparse.hstack([text, code]).tocsr(),
        words=words,
        code_words=code_words,
        target=np.concatenate((_targets(rows, gain, clear, family), odds)),
        label=np.array([row["label"] == "deep" for row in rows]),
        clear=clear,
        family=family,
        fold=np.array([_fold(row) for row in rows] + [-1] * len(made)),
        gain=np.concatenate((gain, [INVENTED_GAIN * o for o in odds])),
        pairs=_pairs(rows),
        ruled=np.array([_ruled(c, ask) for c, ask in asked] + [False] * len(made)),
    )


def bags(texts: Sequence[list[bytes]]) -> tuple[list[bytes], sparse.csr_matrix]:
    """Return the known words, sorted, and one row a text: how often each occurs, over the root of the text's length."""
    rows: dict[bytes, int] = {}
    for words in texts:
        for word in set(words):
            rows[word] = rows.get(word, 0) + 1
    known = sorted(word for word, count in rows.items() if count >= LEAST_ROWS)
    place = {word: number for number, word in enumerate(known)}
    columns = [[place[word] for word in words if word in place] for words in texts]
    values = [np.full(len(c), (len(words) + NORM) ** -0.5) for c, words in zip(columns, texts, strict=True)]
    starts = np.concatenate(([0], np.cumsum([len(c) for c in columns])))
    matrix = sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns).astype(int), starts), shape=(len(texts), len(known))
    )
    matrix.sum_duplicates()
    return known, matrix


def _asked(row: dict[str, Any]) -> tuple[Conversation, Ask]:
    raw = json.dumps(row["request"]["body"]).encode()
    body = msgspec.json.decode(raw, type=Body)
    conversation = Conversation(row["request"]["endpoint"], body.messages, prompt=body.prompt, suffix=body.suffix or "")
    return conversation, separate(conversation)


def _ruled(conversation: Conversation, ask: Ask) -> bool:
    completes = conversation.endpoint == "/v1/completions"
    return completes or marks.small_work(ask.text, ask.code) != ""


def _with_code(text: str, codes: list[str], roll: random.Random) -> Ask:
    """Give half of the short invented asks some code, so that code alone decides nothing."""
    ask = separate(Conversation("", [Message("user", msgspec.Raw(json.dumps(text).encode()))]))
    return Ask(ask.text, roll.choice(codes)) if not ask.code and len(text) < 400 and roll.random() < 0.5 else ask


def _gain(row: dict[str, Any]) -> float:
    return float(row["large_pass_rate"] - row["small_pass_rate"]) if "small_pass_rate" in row else float("nan")


def _targets(rows: list[dict[str, Any]], gain: Floats, clear: NDArray[np.bool_], family: NDArray[np.str_]) -> Floats:
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


def _fold(row: dict[str, Any]) -> int:
    """Spread groups over folds; the two directions of one function stay together."""
    number = row["group"].rsplit("/", 1)[-1]
    return int(number) % FOLDS if number.isdigit() else sum(f"{row['family']}{row['group']}".encode()) % FOLDS


def _pairs(rows: list[dict[str, Any]]) -> NDArray[np.int64]:
    items: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        items.setdefault(row["item"], []).append(index)
    return np.array([rows_of for rows_of in items.values() if len(rows_of) == 2])
