"""Plausible text about code."""

from random import Random

import pytest

from twospeed.upstream.script.prose import LISTINGS, Topic, answer, language, pieces


@pytest.mark.parametrize("tokens", [1, 2, 5, 17, 24, 60, 121, 700])
@pytest.mark.parametrize("topic", [Topic(name) for name in LISTINGS])
def test_has_exactly_the_tokens_asked_for(tokens: int, topic: Topic):
    """An answer of 500 tokens has 500, ends a sentence and closes every listing it opens."""
    for seed in range(5):
        said = answer(Random(seed), topic, tokens)
        text = "".join(said)
        assert len(said) == tokens
        assert text.rstrip().endswith((".", "```")) or text == "Done"
        assert ".." not in text
        assert text.count("```") % 2 == 0


def test_no_listings_where_they_would_be_taken_for_edits():
    """Without listings an answer is plain sentences, however long."""
    assert "```" not in "".join(answer(Random(1), Topic(listings=False), 900))


def test_differs_from_seed_to_seed():
    """Two requests get two answers, the same request the same one."""
    said = ["".join(answer(Random(seed), Topic(), 80)) for seed in range(20)]
    assert len(set(said)) == 20
    assert said[3] == "".join(answer(Random(3), Topic(), 80))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Why does pytest fail in app.py?", "python"),
        ("convert this to TypeScript: ```js\nlet a = 1\n```", "typescript"),
        ("cargo says the borrow checker rejects main.rs", "rust"),
        ("go vet complains about this goroutine in main.go", "go"),
        ("hello", "python"),
    ],
)
def test_code_is_in_the_language_asked_about(text: str, expected: str):
    """A question about Rust is answered with Rust."""
    assert language(text) == expected


def test_pieces_join_to_the_text():
    """Nothing is lost or added when text is cut into tokens."""
    text = "x = {'a': [1, 2]}  # ünïcode \U0001f600\n\n\treturn a_very_long_identifier_that_is_cut\n"
    assert "".join(pieces(text)) == text
    assert 10 < len(pieces(text)) < 40
