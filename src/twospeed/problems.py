"""Problems: what is wrong with a config file, each with its place, as operators, editors and CI read them."""

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal, NamedTuple

Path = tuple[str | int, ...]  # steps from the top of the file: keys, and 0-based places in lists
Format = Literal["text", "json", "github"]


class Where(NamedTuple):
    """Line and column of a character, both from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """One thing to mend. A `severity` of "warning" does not keep the file from being used."""

    file: str
    line: int
    column: int
    path: Path
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        kind = "warning: " if self.severity == "warning" else ""
        return where + kind + (f"{dotted(self.path)}: " if self.path else "") + self.message


class ConfigError(Exception):
    """The file cannot be used. `problems`: all that is wrong, in the order of the file, at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def dotted(path: Path) -> str:
    """Write a path as operators do.

    >>> dotted(("keys", 0, "key")), dotted(("models", "gpt-5.4"))
    ('keys[0].key', "models['gpt-5.4']")
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step and all(part.isidentifier() for part in step.replace("-", "_").split("/")):
            text += f".{step}"
        else:
            text += f"[{step!r}]"
    return text.removeprefix(".")


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Sort by place in the file and leave out repetitions."""
    unique = {(problem.line, problem.column, problem.message): problem for problem in problems}
    return [unique[key] for key in sorted(unique)]


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the word most probably meant, None when none is near; `cutoff`: 1 accepts the same word only.

    >>> nearest("first_tokn", ["connect", "first_token"])
    'first_token'
    """
    known = {candidate.lower().replace("-", "_"): candidate for candidate in words}
    found = get_close_matches(word.lower().replace("-", "_"), known, n=1, cutoff=cutoff)
    return known[found[0]] if found else None


def render(problems: Sequence[Problem], form: Format = "text") -> str:
    """Write problems one a line as text, as a JSON list, or as workflow commands that annotate a pull request."""
    if form == "json":
        return json.dumps([_row(problem) for problem in problems], indent=2)
    return "\n".join(_annotation(problem) if form == "github" else str(problem) for problem in problems)


def _row(problem: Problem) -> dict[str, str | int]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": dotted(problem.path),
        "message": problem.message,
        "severity": problem.severity,
    }


def _annotation(problem: Problem) -> str:
    file = _escaped(problem.file).replace(",", "%2C").replace(":", "%3A")
    place = f"file={file},line={problem.line},col={problem.column}"
    path = f"{dotted(problem.path)}: " if problem.path else ""
    return f"::{problem.severity} {place}::{_escaped(path + problem.message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
