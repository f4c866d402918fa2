"""A small reader of PromQL: which series a query asks for, by which labels. It evaluates nothing.

It knows what our dashboard and alerts are written with: selectors, functions, `by` in front of what it groups, `offset`.
"""

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|\[[^\]]*\]|\$?[a-zA-Z_:][\w:]*|[\d.]+(?:e\d+)?\w*|=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>])'
)
_WORDS = {"and", "or", "unless", "bool"}


class Matcher(NamedTuple):
    """One condition, for example `code=~"5.."`."""

    label: str
    operator: str
    value: str


class Selector(NamedTuple):
    """Series asked for. `grouped`: labels by which something around it is grouped."""

    name: str
    matchers: tuple[Matcher, ...]
    grouped: frozenset[str]

    @property
    def labels(self) -> set[str]:
        """Every label that the series must have for the query to mean anything."""
        return {matcher.label for matcher in self.matchers} | self.grouped


def selectors(query: str) -> list[Selector]:
    """Return the selectors of a query, in order.

    >>> [(s.name, sorted(s.labels)) for s in selectors('sum by (a) (rate(x_total{b="c"}[5m] offset 1d)) / 2 > y')]
    [('x_total', ['a', 'b']), ('y', [])]

    Raises: AssertionError where the text is none that is understood.
    """
    tokens = _tokens(query)
    found: list[Selector] = []
    around: list[frozenset[str]] = [frozenset()]
    coming: frozenset[str] = frozenset()
    while tokens:
        token = tokens.pop(0)
        if token == "by":
            coming = frozenset(_until(tokens, ")")) - {"(", ","}
        elif token == "offset":
            tokens.pop(0)
        elif token == "(":
            around.append(around[-1] | coming)
            coming = frozenset()
        elif token == ")":
            around.pop()
        elif re.match(r"[a-zA-Z_:]", token) and token not in _WORDS and tokens[:1] not in (["("], ["by"]):
            found.append(Selector(token, _matchers(tokens), around[-1]))
    assert len(around) == 1, query
    return found


def _tokens(query: str) -> list[str]:
    tokens, at = [], 0
    while at < len(query.rstrip()):
        match = _TOKEN.match(query, at)
        assert match, query[at:]
        tokens.append(match[1])
        at = match.end()
    return tokens


def _matchers(tokens: list[str]) -> tuple[Matcher, ...]:
    if tokens[:1] != ["{"]:
        return ()
    inside = [token for token in _until(tokens[1:], "}") if token != ","]
    del tokens[: tokens.index("}") + 1]
    assert len(inside) % 3 == 0, inside
    return tuple(Matcher(*inside[at : at + 2], inside[at + 2].strip('"')) for at in range(0, len(inside), 3))


def _until(tokens: list[str], end: str) -> list[str]:
    """Take everything up to a token, and that one."""
    place = tokens.index(end)
    taken = tokens[:place]
    del tokens[: place + 1]
    return taken
