"""The weights file that ships, and files that are none."""

from pathlib import Path

import numpy as np
import pytest

from twospeed.policy.features import DENSE, measure
from twospeed.policy.instruction import Ask
from twospeed.policy.learned import Unreadable, load
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
