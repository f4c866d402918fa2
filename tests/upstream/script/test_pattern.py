"""Strings for regular expressions."""

import re

import pytest

from twospeed.upstream.script.pattern import sample

COMMON = [
    r"^[a-z]+$",
    r"^#[0-9a-fA-F]{6}$",
    r"^\d{4}-\d{2}-\d{2}$",
    r"^(GET|POST)$",
    r"^[^\s/]+/[^\s/]+$",
    r"^https?://",
    r"^(?!.*--)[a-z-]+$",
    r"^v?\d+\.\d+\.\d+(-[\w.]+)?$",
    r"^[A-Z][A-Z0-9_]*$",
    r"^.{3,}$",
    r"^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2})$",
    r"^(?:a|b)+?c?$",
    r"^(?P<user>[\w.-]+)@[\w-]+\.[a-z]{2,}$",
    r"^arn:aws:[a-z0-9-]+:\d{12}:.+$",
    r"^[]a]+$",
    r"^\x41\u0042[\x20-\x2f]$",
    r"\S\D\W",
    r"a{,3}",
    r"a{2",
    "^$",
    "",
]


@pytest.mark.parametrize("pattern", COMMON)
def test_matches_the_pattern(pattern: str):
    """A tool whose argument has a pattern is called with a string of that form."""
    assert re.search(pattern, sample(pattern))


def test_reaches_the_length_asked_for():
    """A pattern together with a minimum length is met where the pattern has room."""
    assert sample("^[a-z]{2,8}-[0-9]*$", least=12) == "aaaaaaaa-111"


@pytest.mark.parametrize(
    "pattern", ["[", "(", "\\", "((((", "[^", "(?<", "a{99999999999}", "(?=a)b", "(" * 500 + ")" * 500]
)
def test_broken_or_hostile_patterns_cost_nothing(pattern: str):
    """A pattern that is broken, endless or nested without end still gives some short string at once."""
    assert len(sample(pattern)) <= 256


def test_catastrophic_patterns_are_never_run():
    """A pattern made to hang a matcher is only read."""
    assert sample("^(a+)+(b+)+$") == "ab"
