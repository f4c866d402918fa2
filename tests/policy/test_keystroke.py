"""Keystrokes: who has typed on, and who only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twospeed.policy.keystroke import RETYPED, TYPED, CancelOlder, Stroke, supersedes, typed_on
from twospeed.types import Completion

MARKS = frozenset({"qwen"})
OLDER = Stroke("s", "opening", "/v1/fim/completions", "auto", Completion("def add(a", ")", infill=True))
NEWER = replace(OLDER, completion=Completion("def add(a, b", ")", infill=True))
OTHER = replace(OLDER, completion=Completion("import os", "", infill=True))


def marked(prefix: str, suffix: str) -> Completion:
    """A prompt with the marks of a family in it."""
    return Completion(f"<P>{prefix}<S>{suffix}<M>", families=MARKS)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (Completion("def f("), Completion("def f(a")),
        (Completion("def f(", ")", True), Completion("def f(a, b", ")", True)),
        (Completion("def f(a, b", ")", True), Completion("def f(a, ", ")", True)),
        (Completion("x = prnit", "", True), Completion("x = print(", ")", True)),
        (Completion("", "}", True), Completion("p", "}", True)),
        (marked("def f(", "): pass"), marked("def f(a", "): pass")),
        (marked("def f(ab", "): pass"), marked("def f(a", "): pass")),
    ],
)
def test_typing_on_is_recognised(older: Completion, newer: Completion):
    """More text at the cursor, a correction just before it, a bracket the editor closed: the same cursor, later."""
    assert typed_on(older, newer)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (Completion("def f(", ")", True), Completion("def f(", ")", True)),
        (Completion("count to 1"), Completion("count to 2")),
        (Completion("word: cat"), Completion("word: dog")),
        (Completion("def f("), Completion("def f")),
        (Completion("def f("), Completion("def f(", ")", True)),
        (Completion("def f(", ")", True), Completion("def f(a", "): return a and much more", True)),
        (Completion("import os\n" * 9, "", True), Completion("import re\n" * 9, "", True)),
        (Completion("a", "", True), Completion("a" * (TYPED + 2), "", True)),
        (Completion("x" * 40 + "y" * (RETYPED + 1), "", True), Completion("x" * 40, "", True)),
        (marked("def f(", "): pass"), marked("def f(", "): pass")),
        (marked("def f(", "): pass"), marked("class A:\n" * 9, "): pass")),
        (marked("def f(", "): pass"), Completion("def f(a", "): pass", True)),
    ],
)
def test_other_texts_are_left_alone(older: Completion, newer: Completion):
    """A second sample, the next item of a batch, another place or file: both are waited for."""
    assert not typed_on(older, newer)


@given(st.text(max_size=80), st.text(min_size=1, max_size=TYPED), st.text(max_size=80))
def test_every_character_typed_is_one_more_keystroke(before: str, typed: str, behind: str):
    """Whatever the text, adding to it at the cursor is typing, with the suffix apart or between marks."""
    assert typed_on(Completion(before, behind, True), Completion(before + typed, behind, True))
    assert typed_on(Completion(before), Completion(before + typed))
    assert typed_on(marked(before, behind), marked(before + typed, behind))


@pytest.mark.parametrize(
    ("rule", "source", "newer", "ends"),
    [
        ("typing", "opening", NEWER, True),
        ("typing", "opening", OTHER, False),
        ("typing", "x-twospeed-session", OTHER, True),
        ("typing", "prompt_cache_key", OTHER, False),
        ("typing", "x-session-affinity", OTHER, False),
        ("session", "opening", NEWER, False),
        ("session", "x-session-id", OTHER, True),
        ("session", "x-session-id", OLDER, True),
        ("never", "x-session-id", NEWER, False),
        ("never", "opening", NEWER, False),
    ],
)
def test_the_rule_says_whose_word_counts(rule: CancelOlder, source: str, newer: Stroke, ends: bool):
    """A session the client names has one cursor; a guessed one is believed only where the text shows the typing."""
    assert supersedes(replace(newer, source=source), OLDER, rule) is ends


@pytest.mark.parametrize("change", [{"session": "t"}, {"session": ""}, {"model": "b"}, {"endpoint": "/completions"}])
def test_another_session_model_or_endpoint_is_another_matter(change: dict[str, str]):
    """Two people, two models, two tools: none ends the other's request."""
    assert not supersedes(replace(NEWER, source="x-session-id", **change), OLDER, "typing")


def test_nobody_has_no_session():
    """Requests that nothing tells apart do not end each other."""
    assert not supersedes(replace(NEWER, session=""), replace(OLDER, session=""), "typing")
