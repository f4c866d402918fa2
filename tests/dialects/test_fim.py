"""Fill-in-the-middle by tokens: each family's marks, written and recognised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.dialects.fim import PREFIX, SUFFIX, families, family_of, marked

NAMES = sorted(families())
TEXTS = st.text(alphabet="ab(){}\n ", max_size=30)


@pytest.mark.parametrize(
    ("family", "prompt"),
    [
        ("codegemma", "<|fim_prefix|>A<|fim_suffix|>B<|fim_middle|>"),
        ("codellama", "<PRE> A <SUF>B <MID>"),
        ("codestral", "[SUFFIX]B[PREFIX]A"),
        ("deepseek", "<｜fim▁begin｜>A<｜fim▁hole｜>B<｜fim▁end｜>"),
        ("granite", "<|fim_prefix|>A<|fim_suffix|>B<|fim_middle|>"),
        ("granite-code", "<fim_prefix>A<fim_suffix>B<fim_middle>"),
        ("qwen", "<|fim_prefix|>A<|fim_suffix|>B<|fim_middle|>"),
        ("santacoder", "<fim-prefix>A<fim-suffix>B<fim-middle>"),
        ("seed-coder", "<[fim-suffix]>B<[fim-prefix]>A<[fim-middle]>"),
        ("stable-code", "<fim_prefix>A<fim_suffix>B<fim_middle>"),
        ("starcoder", "<fim_prefix>A<fim_suffix>B<fim_middle>"),
    ],
)
def test_marks_are_those_of_the_model_cards(family: str, prompt: str):
    """A wrong space or bar, and the model would take the marks for text."""
    assert families()[family].fold("A", "B") == prompt


def test_every_family_is_listed_above():
    """A new family is checked against its model card before it is used."""
    assert len(NAMES) == 11
    for family in families().values():
        assert family.stop
        assert all(template.count(PREFIX) == template.count(SUFFIX) == 1 for template in family.templates)


@pytest.mark.parametrize("name", NAMES)
@given(prefix=TEXTS, suffix=TEXTS)
def test_what_was_written_is_recognised(name: str, prefix: str, suffix: str):
    """Braces, line ends and nothing at all around the cursor change nothing."""
    family = families()[name]
    folded = family.fold(prefix, suffix)
    assert prefix in folded
    assert suffix in folded
    assert name in marked(folded)
    assert name in marked("# Path: other.py\nx = 1\n" + folded)


@pytest.mark.parametrize("name", NAMES)
def test_other_forms_of_a_family_are_recognised(name: str):
    """Clients mark in the other order, too, and may end with a line break."""
    for template in families()[name].templates:
        assert name in marked(template.replace(PREFIX, "def f(").replace(SUFFIX, "): pass") + "\n")


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "def f(): pass",
        "<fim_prefix>def f(",
        "<fim_suffix>a<fim_prefix>b",
        "MARKS = ['<fim_prefix>', '<fim_suffix>', '<fim_middle>']\nx = ",
        "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|> and so on",
    ],
)
def test_plain_text_is_not_marked(prompt: str):
    """Code that only speaks of marks, or has some of them, is ordinary code."""
    assert marked(prompt) == frozenset()


def test_the_outer_marks_count():
    """Within the marks of one family, a file may be about those of another."""
    inner = families()["starcoder"].fold("a", "b")
    assert marked(families()["deepseek"].fold(inner, "")) == {"deepseek"}


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("Qwen/Qwen2.5-Coder-32B-Instruct", "qwen"),
        ("qwen3-coder", "qwen"),
        ("codestral-latest", "codestral"),
        ("deepseek-chat", "deepseek"),
        ("bigcode/starcoder2-15b", "starcoder"),
        ("CodeLlama-7b-hf", "codellama"),
        ("granite-4.0-h-small", "granite"),
        ("granite-8b-code-base", "granite-code"),
        ("gpt-5.4", ""),
        ("qwen3-235b", ""),
    ],
)
def test_a_models_name_may_tell_its_family(model: str, family: str):
    """Nobody has to say what the name says; where it says nothing, nothing is assumed."""
    assert family_of(model) == family
