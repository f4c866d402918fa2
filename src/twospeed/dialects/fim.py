"""Fill-in-the-middle by tokens: how each model family marks what stands before and after the cursor, as data.

`data/fim.json` holds a row per family: `templates` (the first is written, all are recognised), `stop` (where the family
ends its middle) and `names` (globs over model names). A prompt that is already marked belongs to every family with
such a template, and to no other.

Source: model cards and code of Code Llama, StarCoder 1 and 2, Stable Code, SantaCoder, DeepSeek Coder, Qwen2.5-Coder and
Qwen3-Coder, Codestral (mistral-common), CodeGemma, Granite Code and Granite 4, Seed-Coder.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources

import msgspec

PACKAGED = "fim.json"
PREFIX, SUFFIX = "{prefix}", "{suffix}"


class Family(msgspec.Struct, frozen=True):
    """One model family.

    `templates`: text with {prefix} and {suffix} in it, each once. `stop`: texts that end the middle. `names`: globs of
    model names, lower case.
    """

    templates: tuple[str, ...]
    stop: tuple[str, ...]
    names: tuple[str, ...] = ()

    def fold(self, prefix: str, suffix: str) -> str:
        """Return the prompt that asks this family for what stands between prefix and suffix.

        >>> families()["codellama"].fold("a", "b")
        '<PRE> a <SUF>b <MID>'
        """
        before, rest = self.templates[0].split(PREFIX if self._prefix_first else SUFFIX)
        between, after = rest.split(SUFFIX if self._prefix_first else PREFIX)
        first, second = (prefix, suffix) if self._prefix_first else (suffix, prefix)
        return f"{before}{first}{between}{second}{after}"

    @property
    def _prefix_first(self) -> bool:
        return self.templates[0].index(PREFIX) < self.templates[0].index(SUFFIX)


@cache
def families() -> Mapping[str, Family]:
    """Return all families by name."""
    text = resources.files("twospeed").joinpath("data", PACKAGED).read_bytes()
    return msgspec.json.decode(text, type=dict[str, Family])


def family_of(model: str) -> str:
    """Return the family that a model's name tells, "" when it tells none.

    >>> family_of("Qwen/Qwen2.5-Coder-7B"), family_of("gpt-5.4")
    ('qwen', '')
    """
    name = model.lower()
    return next((known for known, family in families().items() if any(fnmatchcase(name, g) for g in family.names)), "")


def marked(prompt: str) -> frozenset[str]:
    """Return the families whose template a prompt is written in; empty for plain text.

    The mark that comes first decides: code between the marks may speak of other families.

    >>> sorted(marked("<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"))
    ['codegemma', 'granite', 'qwen']
    """
    best, found = len(prompt), frozenset[str]()
    for literals, open_ended, names in _shapes():
        at = prompt.find(literals[0], 0, best + len(literals[0]))
        if at >= 0 and _fits(prompt, at, literals, open_ended):
            found = names if at < best else found | names
            best = at
    return found


def _fits(prompt: str, at: int, literals: Sequence[str], open_ended: bool) -> bool:
    """Say whether all marks follow each other from `at` on; the last one closes the prompt unless text may follow."""
    for literal in literals:
        at = prompt.find(literal, at)
        if at < 0:
            return False
        at += len(literal)
    return open_ended or prompt.rstrip().endswith(literals[-1])


@cache
def _shapes() -> tuple[tuple[tuple[str, ...], bool, frozenset[str]], ...]:
    """Return each way to mark a prompt once: its marks in order, whether text follows the last, and who uses it."""
    shapes: dict[tuple[tuple[str, ...], bool], set[str]] = {}
    for name, family in families().items():
        for template in family.templates:
            marks = template.replace(SUFFIX, PREFIX).split(PREFIX)
            literals = tuple(mark.strip() for mark in marks if mark.strip())
            shapes.setdefault((literals, template.endswith((PREFIX, SUFFIX))), set()).add(name)
    return tuple((*shape, frozenset(names)) for shape, names in shapes.items())
