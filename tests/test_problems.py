"""How problems are told."""

import json

from twospeed.problems import ConfigError, Problem, nearest, ordered, render

FIRST = Problem("conf/f.yaml", 3, 5, ("tiers", "fast"), "unknown key 'x'")
SECOND = Problem("conf/f.yaml", 12, 1, (), "two: lines,\n100%", "warning")


def test_text_is_file_line_column_path_message():
    """One problem a line, as compilers write them, so that editors and terminals can jump there."""
    assert render([FIRST]) == "conf/f.yaml:3:5: tiers.fast: unknown key 'x'"
    assert str(SECOND).startswith("conf/f.yaml:12:1: warning: two: lines,")


def test_json_has_every_part_by_name():
    """Tools need not take messages apart."""
    assert json.loads(render([FIRST], "json")) == [
        {
            "file": "conf/f.yaml",
            "line": 3,
            "column": 5,
            "path": "tiers.fast",
            "message": "unknown key 'x'",
            "severity": "error",
        }
    ]
    assert json.loads(render([], "json")) == []


def test_github_shows_problems_beside_the_line():
    """Workflow commands, escaped so that a message stays one command."""
    assert render([FIRST, SECOND], "github").splitlines() == [
        "::error file=conf/f.yaml,line=3,col=5::tiers.fast: unknown key 'x'",
        "::warning file=conf/f.yaml,line=12,col=1::two: lines,%0A100%25",
    ]


def test_problems_come_in_the_order_of_the_file_each_once():
    """Two checks that find the same thing say it once."""
    assert ordered([SECOND, FIRST, FIRST, SECOND]) == [FIRST, SECOND]


def test_the_error_holds_them_all():
    """Printing the error prints every problem."""
    error = ConfigError([FIRST, SECOND])
    assert error.problems == (FIRST, SECOND)
    assert str(error) == f"{FIRST}\n{SECOND}"


def test_a_suggestion_is_made_only_when_one_is_near():
    """Letter case and dashes do not matter; a word like no other gets no suggestion."""
    words = ["first_token", "idle", "total"]
    assert nearest("First-Tokn", words) == "first_token"
    assert nearest("bananas", words) is None
    assert nearest("", words) is None
    assert nearest("idle", []) is None
