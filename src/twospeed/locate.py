"""YAML text becomes plain values, and every value can be found again by line and column.

Scalars follow YAML 1.2, as editors do: only `true` and `false` are booleans, so `off`, `no` and `on` stay text, and
keys are always text. Anchors, aliases and merges (`<<`) work; other tags do not. Knows nothing of settings.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from twospeed.problems import Path, Problem, Where

DEPTH = 40  # levels of nesting; a config needs 8
VALUES = 100_000  # after aliases are followed, so that a few lines cannot unfold into gigabytes

_TOO_DEEP = f"is nested deeper than {DEPTH} levels"
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]{1,300}(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CORE = "tag:yaml.org,2002:"
_TAGS = {_CORE + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge", "timestamp", "value")}

if yaml.__with_libyaml__:
    _Loader: Any = yaml.CSafeLoader
else:
    _Loader = yaml.SafeLoader


class Document:
    """One YAML file, read.

    `value`: plain dicts, lists, text, numbers, booleans and None. `problems`: what is wrong with the YAML itself;
    when it is not YAML at all, `value` is None and there is exactly one.
    """

    def __init__(self, data: bytes, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.value: Any = None
        self._root: yaml.Node | None = None
        self._values = 0
        text = self._decode(data)
        if text is not None:
            self._compose(text)

    def where(self, path: Path, key: bool = False) -> Where:
        """Return line and column of the value at `path`, or of its key; of the nearest block above when absent."""
        node, place = self._root, Where(1, 1)
        for step in path:
            found = _entry(node, step)
            if found is None:
                break
            name, node = found
            place = _mark(name) if name is not None and (key or _is_empty(node)) else _mark(node)
        return place

    def _decode(self, data: bytes) -> str | None:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._refuse(_spot(data[: error.start].decode(errors="replace")), "is not UTF-8 text")
            return None
        bad = _UNPRINTABLE.search(text)
        if bad:
            self._refuse(_spot(text[: bad.start()]), f"holds the control character U+{ord(bad[0]):04X}")
            return None
        return text

    def _compose(self, text: str) -> None:
        loader = _Loader(text)
        try:
            _check_depth(text)
            self._root = loader.get_single_node()
            if self._root is not None:
                self.value = self._build(self._root, (), ())
        except yaml.MarkedYAMLError as error:
            self._refuse(*_in_words(error, text))
        except yaml.YAMLError:
            self._refuse(Where(1, 1), "is not YAML")
        except _Bottomless as stop:
            self._refuse(stop.where, stop.reason)
        finally:
            loader.dispose()

    def _refuse(self, where: Where, message: str) -> None:
        self.value = None
        self.problems = [Problem(self.file, where.line, where.column, (), message)]

    def _note(self, node: yaml.Node, path: Path, message: str) -> None:
        where = _mark(node)
        self.problems.append(Problem(self.file, where.line, where.column, path, message))

    def _build(self, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> Any:
        self._values += 1
        if self._values > VALUES:
            raise _Bottomless(_mark(node), "unfolds into too many values: look at the aliases")
        if any(node is outer for outer in above):
            raise _Bottomless(_mark(node), "holds an alias of itself")
        if len(above) > DEPTH:
            raise _Bottomless(_mark(node), _TOO_DEEP)
        if node.tag not in _TAGS:
            self._note(node, path, "tags (!) are not used here: quote text that starts with '!'")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, place), (*above, node)) for place, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        first: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if _is_merge(key):
                merged = self._merge(value, path, above) | merged
            elif not isinstance(key, yaml.ScalarNode):
                self._note(key, path, "a key must be text: quote it when it holds brackets or braces")
            elif key.value in own:
                line = _mark(first[key.value]).line
                self._note(key, path, f"duplicate key '{key.value}', first written on line {line}")
            else:
                first[key.value] = key
                own[key.value] = self._build(value, (*path, key.value), above)
        return merged | own

    def _merge(self, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        if not _is_mergeable(node):
            self._note(node, path, "'<<' needs a block or a list of blocks, as in '<<: *defaults'")
            return {}
        merged: dict[str, Any] = {}
        for source in reversed(_sources(node)):
            merged |= self._build(source, path, above)
        return merged


class _Bottomless(Exception):
    """The nodes cannot all be visited."""

    def __init__(self, where: Where, reason: str) -> None:
        super().__init__(reason)
        self.where = where
        self.reason = reason


def _check_depth(text: str) -> None:
    """Stop before the composer does: it recurses in C, and 100,000 brackets end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise _Bottomless(_mark(event), _TOO_DEEP)


def _entry(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    """Find a child: (its key, itself); keys written here come before merged ones, as when building."""
    if isinstance(node, yaml.SequenceNode):
        return (None, node.value[step]) if isinstance(step, int) and step < len(node.value) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == step and not _is_merge(key):
            return key, value
    found = (_entry(source, step) for source in _merged_into(node))
    return next((entry for entry in found if entry is not None), None)


def _merged_into(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    for key, value in node.value:
        if _is_merge(key) and _is_mergeable(value):
            yield from _sources(value)


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.tag == _CORE + "merge"


def _is_mergeable(node: yaml.Node) -> bool:
    return all(isinstance(source, yaml.MappingNode) for source in _sources(node))


def _sources(node: yaml.Node) -> Sequence[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else [node]


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    if getattr(node, "style", None) or node.tag == _CORE + "str":
        return text
    return _plain(text)


def _plain(text: str) -> Any:
    """Resolve an unquoted scalar.

    >>> [_plain(text) for text in ("8080", "0.5", "true", "off", "~", "1_000", "12:30")]
    [8080, 0.5, True, 'off', None, '1_000', '12:30']
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _FLOAT.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and not getattr(node, "style", None)


def _mark(node: Any) -> Where:
    return Where(node.start_mark.line + 1, node.start_mark.column + 1)


def _spot(before: str) -> Where:
    return Where(before.count("\n") + 1, len(before) - before.rfind("\n"))


_WORDS = [  # part of the parser's own message, ours; the first that fits is used
    ("undefined alias", "an alias (*) needs its anchor (&) before it: quote text that starts with '*'"),
    ("alphabetic or numeric character", "text that starts with '*' or '&' must be quoted, as in \"*\": auto"),
    ("second occurrence", "the same anchor (&) is defined twice"),
    (
        "mapping values are not allowed",
        "a ':' does not fit here: check the indentation of this line, or quote the text",
    ),
    ("could not find expected ':'", "a ':' is missing after the key that begins on line {began}"),
    (
        "did not find expected '-'",
        "does not fit the list that begins on line {began}: check the indentation or the '-'",
    ),
    ("expected ',' or ']'", "the list opened with '[' on line {began} is not closed"),
    ("expected ',' or '}'", "the block opened with '{{' on line {began} is not closed"),
    ("unexpected end of stream", "the quote opened on line {began} is not closed"),
    ("unknown escape", "a backslash in double quotes begins an escape: use single quotes"),
    ("hexdecimal", "a backslash in double quotes begins an escape: use single quotes"),
    ("another document", "one file holds one document: remove '---'"),
    ("cannot start any token", "this character cannot begin a value: quote the text"),
    (
        "did not find expected key",
        "does not fit the block that begins on line {began}: check indentation, ':' and quotes",
    ),
]


def _in_words(error: yaml.MarkedYAMLError, text: str) -> tuple[Where, str]:
    mark = error.problem_mark or error.context_mark
    place = Where(mark.line + 1, mark.column + 1) if mark else Where(1, 1)
    lines = text.splitlines()
    if place.line <= len(lines) and re.match(r" *\t", lines[place.line - 1]):
        return place, "a tab: YAML is indented with spaces"
    began = error.context_mark.line + 1 if error.context_mark else place.line
    problem = error.problem or ""
    words = next((words for part, words in _WORDS if part in problem), "is not YAML: {problem}")
    if "quote opened" in words:
        place = Where(began, error.context_mark.column + 1 if error.context_mark else 1)
    return place, words.format(began=began, problem=problem)
