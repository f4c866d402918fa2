"""Rules: what an operator lays down by name."""

import pytest
from pydantic import ValidationError

from twospeed.policy.rules import LONGEST, REMEMBERED, Asked, Rule, Rules, wrong


def rule(name: str = "r", **fields) -> Rule:
    return Rule.model_validate(
        {"name": name} | ({} if {"model", "deny"} & fields.keys() else {"tier": "fast"}) | fields
    )


def asked(**fields) -> Asked:
    """A usual request."""
    usual = {
        "path": "/v1/messages",
        "model": "claude-sonnet-4-6",
        "key": "ci-linux",
        "headers": {b"x-app": b"cli"},
        "size": 30_000,
        "language": lambda: "python",
        "tools": lambda: ("bash", "mcp__jira__search"),
        "images": lambda: False,
    }
    return Asked(**usual | fields)


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({}, True),
        ({"path": "/v1/messages"}, True),
        ({"path": "/v1/mess"}, False),
        ({"model": ["gpt-*", "claude-*"]}, True),
        ({"model": "claude"}, False),
        ({"model": "~haiku|sonnet"}, True),
        ({"key": "ci-*"}, True),
        ({"key": "ide"}, False),
        ({"header": {"X-App": "cli"}}, True),
        ({"header": {"x-app": "~^c"}}, True),
        ({"header": {"x-other": "*"}}, False),
        ({"size": {"above": "20KB"}}, True),
        ({"size": {"below": "20KB"}}, False),
        ({"size": {"above": "20KB", "below": "40KB"}}, True),
        ({"tools": True}, True),
        ({"tools": False}, False),
        ({"tools": "mcp__*"}, True),
        ({"tools": ["edit", "write"]}, False),
        ({"images": False}, True),
        ({"images": True}, False),
        ({"language": ["python", "ruby"]}, True),
        ({"language": "go"}, False),
        ({"model": "claude-*", "key": "ide"}, False),
    ],
)
def test_conditions(when: dict, fits: bool):
    """All conditions must hold; of a list one is enough; headers go by any case; a tilde begins a regular expression."""
    assert (Rules([rule(when=when)]).first(asked()) is not None) is fits


def test_the_first_that_fits_wins():
    """Order is priority."""
    rules = Rules([rule("go", when={"language": "go"}), rule("first"), rule("second")])
    found = rules.first(asked())
    assert found is not None
    assert found.name == "first"


def test_what_is_costly_is_looked_up_only_when_asked_for():
    """Tools, images and the language of a request that no rule asks for are never looked up."""

    def never():
        raise AssertionError

    rules = Rules(
        [rule(when={"path": "/other", "language": "go"}), rule(when={"size": {"above": "1MB"}, "images": True})]
    )
    assert rules.first(asked(language=never, tools=never, images=never)) is None


def test_no_rules_are_no_work():
    """Without rules nothing is asked."""
    assert not Rules([])


def test_names_from_clients_fill_no_memory():
    """What is remembered per model name is bounded, and right beyond that."""
    rules = Rules([rule(when={"model": "claude-*"})])
    for number in range(REMEMBERED + 10):
        assert rules.first(asked(model=f"gpt-{number}")) is None
    assert len(rules._left) == REMEMBERED
    assert rules.first(asked(model="claude-new")) is not None


def test_a_long_name_is_not_remembered():
    """A client's name of a megabyte is looked at and forgotten."""
    rules = Rules([rule(when={"model": "claude-*"})])
    assert rules.first(asked(model="claude-" + "x" * LONGEST)) is not None
    assert not rules._left


@pytest.mark.parametrize("evil", ["~^(a+)+$", r"~^(\w+\s?)*$", "~a*a*a*a*a*a*b", "~.*.*.*x", "*a*a*a*a*a*a*a*b"])
def test_no_pattern_takes_for_ever(evil: str):
    """Patterns that would keep a backtracking engine busy for years are settled at once, however long the text."""
    rules = Rules([rule(when={"header": {"x-app": evil}})])
    assert rules.first(asked(headers={b"x-app": b"a" * 16_000 + b"!"})) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tier": "fast", "deny": "no"}, "rule 'r' needs one of tier, model and deny"),
        ({"tier": None}, "rule 'r' needs one of tier, model and deny"),
        ({"when": {"size": {"above": "9KB", "below": "9KB"}}}, "no size is above and below these at once"),
        ({"when": {"header": {"Content-Length": "*"}}}, "content-length is none that a rule can match: write `size"),
        ({"when": {"model": "~("}}, "'~\\(' is no regular expression that can be used here: unclosed group"),
        ({"when": {"model": "~(?=a)b"}}, "look-around, including look-ahead and look-behind, is not supported"),
        ({"when": {"model": "~a{1000}{1000}"}}, "Compiled regex exceeds size limit"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields: dict, said: str):
    """One outcome, and patterns that can be read."""
    with pytest.raises(ValidationError, match=said):
        Rule.model_validate({"name": "r"} | {"tier": "fast"} | fields)


def test_examples_are_held_to():
    """An example that goes elsewhere is named, with the condition it does not meet or the rule that takes it."""
    rules = [
        rule("titles", when={"model": "*haiku*", "tools": False}, match=[{"model": "claude-haiku-4-5"}]),
        rule(
            "ci",
            when={"key": "ci-*"},
            match=[{"key": "ide", "tools": ["x"]}, {"key": "ci-1", "model": "claude-haiku-4-5"}],
        ),
        rule("all", not_match=[{"model": "auto"}]),
        rule("ci"),
    ]
    assert list(wrong(rules)) == [
        ((1, "match", 0), "rule 'ci' does not fit this example: key differs"),
        ((1, "match", 1), "rule 'titles' above takes this example of rule 'ci'"),
        ((2, "not_match", 0), "rule 'all' fits this example, and must not"),
        ((3, "name"), "the name 'ci' is taken by rules[1]"),
    ]
