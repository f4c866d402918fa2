"""Measures are bounded, finite and blind to case."""

import numpy as np
import pytest

from twospeed.policy.features import DENSE, measure
from twospeed.policy.instruction import Ask
from twospeed.policy.stage import Stage


@pytest.mark.parametrize(
    "ask", [Ask("", ""), Ask("é" * 5000, "x" * 9000), Ask("\n\n\n", "\n"), Ask("a", ""), Ask("\ud800", "b")]
)
def test_any_text_can_be_measured(ask: Ask):
    """Empty, huge and odd texts give finite numbers."""
    dense = measure(ask, Stage()).dense
    assert dense.shape == (len(DENSE),)
    assert np.isfinite(dense).all()


def test_a_word_hashes_the_same_wherever_it_stands():
    """Position and case do not change a word."""
    first, second = (
        measure(Ask("Refactor the Parser now", ""), Stage()),
        measure(Ask("now, the parser: refactor!", ""), Stage()),
    )
    assert set(first.words.tolist()) == set(second.words.tolist())


def test_unfenced_code_is_counted_as_code():
    """Code pasted between sentences is told from them by its lines."""
    pasted = measure(
        Ask(
            "This always fails for me and my colleagues:\nfor (int i = 0; i < n; i++) {\n    sum += a[i];\n}\nWhy does it?",
            "",
        ),
        Stage(),
    )
    assert round(float(np.expm1(pasted.dense[DENSE.index("code_brace")]))) == 1
    assert len(pasted.words) == 11
