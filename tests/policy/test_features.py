"""Measures are bounded and blind to case."""

import pytest

from twospeed.policy.features import BINS, DENSE, EXACT, LEVELS, count_of, measure, measure_ask, placed
from twospeed.policy.instruction import Ask
from twospeed.policy.stage import Stage


@pytest.mark.parametrize(
    "ask", [Ask("", ""), Ask("é" * 5000, "x" * 9000), Ask("\n\n\n", "\n"), Ask("a", ""), Ask("\ud800", "b")]
)
def test_any_text_can_be_measured(ask: Ask):
    """Empty, huge and odd texts give a bin for every feature."""
    dense = measure(ask, Stage()).dense
    assert dense.shape == (len(DENSE),)
    assert dense.max() < len(LEVELS) <= BINS


def test_a_word_is_the_same_wherever_it_stands():
    """Position, case and marks around it do not change a word."""
    first, second = (
        measure(Ask("Refactor the Parser now", ""), Stage()),
        measure(Ask("now, the parser: refactor!", ""), Stage()),
    )
    assert set(first.words) == set(second.words)


def test_words_of_a_kind_are_counted_together():
    """A request to mend something is known as one, whichever word it uses."""
    kinds = [
        measure(Ask(text, ""), Stage()).dense[DENSE.index("about_mending")] for text in ("Fix it", "repair it", "x")
    ]
    assert kinds == [1, 1, 0]


def test_counts_are_exact_while_small():
    """A count below EXACT can be read from its bin; larger ones are known to within an eighth."""
    for count in (0, 1, 7, EXACT - 1, EXACT, 100, 999):
        dense = measure(Ask("?" * count, ""), Stage()).dense
        told = count_of(int(dense[DENSE.index("text_asks")]))
        assert told == count if count < EXACT else count * 7 / 8 <= told <= count


def test_a_run_is_filled_in_without_touching_the_ask():
    """The features of a stage are placed in a copy; those of the ask stay."""
    ask = measure_ask(Ask("Fix it.", "")).dense
    run = placed(ask, Stage(steps=4, edits=2, waiting=True))
    assert placed(ask, Stage()) is ask
    assert (run[DENSE.index("steps")], run[DENSE.index("working")], ask[DENSE.index("steps")]) == (4, 1, 0)


def test_unfenced_code_is_counted_as_code():
    """Code pasted between sentences is told from them by its lines."""
    pasted = measure(
        Ask(
            "This always fails for me and my colleagues:\nfor (int i = 0; i < n; i++) {\n    sum += a[i];\n}\nWhy does it?",
            "",
        ),
        Stage(),
    )
    assert pasted.dense[DENSE.index("code_brace")] == 1
    assert len(pasted.words) == 11
