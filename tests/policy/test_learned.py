"""The weights file that ships, and files that are none."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from twospeed.policy.features import DENSE, Measures, measure
from twospeed.policy.instruction import Ask
from twospeed.policy.learned import NORM, PACKAGED, Unreadable, load
from twospeed.policy.stage import Stage


def test_the_shipped_weights_score_any_request():
    """Scores are probabilities and the same each time."""
    learned = load()
    for text in ("", "hello", "Fix this issue: the cache forgets entries after a fork."):
        score, gain = learned.score(measure(Ask(text, ""), Stage()))
        assert 0 <= score <= 1
        assert -1 <= gain <= 1
        assert (score, gain) == learned.score(measure(Ask(text, ""), Stage()))


def test_something_else_is_refused(tmp_path: Path):
    """A file that is no weights file is refused in words."""
    path = tmp_path / "other.npz"
    np.savez(path, names=np.array(["a", "b"]))
    with pytest.raises(Unreadable):
        load(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(Unreadable):
        load(path)


def test_weights_of_other_features_are_refused(tmp_path: Path):
    """Weights trained on another list of features would score nonsense."""
    path = tmp_path / "old.npz"
    np.savez(path, names=np.array([*DENSE[1:], DENSE[0]]))
    with pytest.raises(Unreadable, match="other features"):
        load(path)


def test_trees_say_what_walking_them_says():
    """Packing the questions of trees into bytes changes no answer."""
    with resources.files("twospeed").joinpath("data", PACKAGED).open("rb") as file, np.load(file) as arrays:
        feature, threshold, leaf = (arrays[name] for name in ("feature", "threshold", "leaf"))
    trees = load().trees
    for text in ("", "hello", "Fix this issue:\n\n    for (;;) { step(); }\n\nThe cache forgets entries after a fork."):
        dense = measure(Ask(text, text), Stage()).dense
        answers = ["".join("01"[int(a)] for a in tree) for tree in dense[feature] > threshold]
        walked = sum(complex(*values[int(answer, 2)]) for values, answer in zip(leaf, answers, strict=True))
        assert trees.leaf[trees.first + trees.answers(dense)].sum() == pytest.approx(walked, abs=1e-5)


def test_words_add_their_weights():
    """Both weights of a word come out of one integer, negative ones too, however often it stands there."""
    learned = load()
    one, two = b"async", b"deadlock"
    weights = [learned.weigh(Measures(learned.usual, [word], [])) * (1 + NORM) ** 0.5 for word in (one, two)]
    both = learned.weigh(Measures(learned.usual, [one, two, two, b"no-such-word"], []))
    assert both == pytest.approx((weights[0] + 2 * weights[1]) * (4 + NORM) ** -0.5, abs=1e-9)
