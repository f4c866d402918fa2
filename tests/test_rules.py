"""docs/rules.md: every rule, and the tests that hold it."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/rules.md").read_text()
RULES = [f"R{number}" for number in range(1, 36)]
HELD, MISSING = PAGE.split("## Not there yet")


@cache
def found_in(path: str) -> set[str]:
    """Names of all tests in a file below `tests/`."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def rows(text: str) -> list[tuple[str, str]]:
    """Each row of a table: the rule and the rest."""
    return re.findall(r"^\| (R\d+) \|(.*)\|$", text, re.MULTILINE)


def test_every_rule_has_its_row():
    """In order, once, as in the document of the rules."""
    assert [rule for rule, _ in rows(HELD)] == RULES
    assert re.findall(r"^\*\*(R\d+)\b", (ROOT / "docs/semantics.md").read_text(), re.MULTILINE) == RULES


def test_every_rule_is_held_by_tests_that_exist():
    """At least one for each; a test that is renamed is renamed here."""
    for rule, rest in rows(HELD):
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", rest)
        assert named, rule
        assert [f"{path}::{name}" for path, name in named if name not in found_in(path)] == [], rule


def test_what_is_missing_is_said_of_a_rule_there_is():
    """Each gap belongs to a rule and says what it is."""
    assert rows(MISSING)
    assert [rule for rule, part in rows(MISSING) if rule not in RULES or not part.strip()] == []
