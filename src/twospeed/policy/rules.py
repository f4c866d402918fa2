"""Rules: what an operator lays down by name, before any name, pin or score is looked at; the first that fits wins.

    rules: [{name, when: {...}, tier | model | deny, match: [...], not_match: [...]}]

Conditions on path, model and key are settled once per combination of the three; what remains is looked at per request,
and what is costly (tools, images, language) only when a rule asks for it. Without rules a request pays one test.
Regular expressions take time in proportion to the text, whatever is written and whoever sends it: they are matched by
Rust's engine, which never backtracks and so knows no look-around and no back-references.
Source of the inline examples: Codex rules, `match` and `not_match`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import translate
from typing import Annotated, Any, Self

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import SchemaError, SchemaValidator
from pydantic_core.core_schema import str_schema

from twospeed.types import Settings, Tier
from twospeed.units import Size

REMEMBERED = 4_096  # combinations of path, model and key: names come from clients
LONGEST = 256  # characters of a model's name that is remembered
REGEX = "~"  # a pattern that begins so is a regular expression, any other a glob


def _pattern(text: str) -> str:
    try:
        _compiled(text)
    except SchemaError as error:
        why = str(error).rpartition("\n")[2].strip().removeprefix("error: ").removeprefix("SchemaError: ")
        raise ValueError(f"'{text}' is no regular expression that can be used here: {why}") from None
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Pattern = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_pattern)]
_EXAMPLES = {"examples": ["gpt-*", ["claude-*", "~^o[13]-"]]}
Patterns = Annotated[
    list[Pattern],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]} | _EXAMPLES
    ),
]
Offered = Annotated[
    bool | list[Pattern],
    BeforeValidator(_listed),
    WithJsonSchema(
        {"anyOf": [{"type": "boolean"}, {"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        | {"examples": [True, "bash", ["bash", "mcp__*"]]}
    ),
]


def _matchable(name: str) -> str:
    if name.lower() == "content-length":
        raise ValueError("content-length is none that a rule can match: write `size: {above: 30KB}` beside `header`")
    return name


HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$"), AfterValidator(_matchable)]


class Span(Settings):
    """`rules[].when.size`: bytes of a request's body."""

    above: Size | None = None
    """More than this."""
    below: Size | None = None
    """Less than this."""

    @model_validator(mode="after")
    def _some_fit(self) -> Self:
        if self.above is not None and self.below is not None and self.below <= self.above + 1:
            raise ValueError("no size is above and below these at once")
        return self

    def holds(self, size: int) -> bool:
        """Say whether a size lies within."""
        return (self.above is None or size > self.above) and (self.below is None or size < self.below)


class When(Settings):
    """`rules[].when`: all that is written must hold; of a list one is enough. Globs, or `~` and a regular expression."""

    path: Patterns | None = None
    """The request's path, such as /v1/messages."""
    model: Patterns | None = None
    """The model the client asks for."""
    key: Patterns | None = None
    """The name of the caller's key; `anonymous` where no keys are configured."""
    header: dict[HeaderName, Patterns] | None = None
    """Request headers by name; one that was not sent never fits."""
    language: Patterns | None = None
    """Programming language, in lower case: as header x-twospeed-language says, else as code blocks and file names do."""
    size: Span | None = None
    """Size of the request's body."""
    tools: Offered | None = None
    """true: tools are offered; false: none are; names: one of these is."""
    images: bool | None = None
    """Whether the request carries images."""


class Example(Settings):
    """One entry of `rules[].match` and `rules[].not_match`: a request in short."""

    path: str = "/v1/chat/completions"
    """Its path."""
    model: str = "auto"
    """The model it asks for."""
    key: str = "anonymous"
    """Name of the caller's key."""
    header: dict[HeaderName, str] = {}
    """Its headers."""
    language: str = ""
    """The language it is about."""
    size: Size = 2_000
    """Size of its body."""
    tools: list[str] = []
    """Names of the tools it offers."""
    images: bool = False
    """Whether it carries images."""


class Rule(Settings):
    """One entry of `rules`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,47}$")]
    """Shown as the reason `rule:<name>`: small letters, digits and _ . - only."""
    when: When = When()
    """Which requests it is for; left out: all."""
    tier: Tier | None = None
    """The tier they go to; where the caller's key reaches the other one only, that one."""
    model: str | None = None
    """Or the name that is looked up instead of the one asked for."""
    deny: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Or what they are refused with, status 403."""
    match: list[Example] = []
    """Requests that must end at this rule, checked when the file is read."""
    not_match: list[Example] = []
    """Requests that this rule must not fit."""

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if sum(outcome is not None for outcome in (self.tier, self.model, self.deny)) != 1:
            raise ValueError(f"rule '{self.name}' needs one of tier, model and deny")
        return self


class Asked(msgspec.Struct):
    """What rules look at of one request. The last three are looked up when a rule asks for them."""

    path: str
    model: str
    key: str
    headers: Mapping[bytes, bytes]
    size: int
    language: Callable[[], str]
    tools: Callable[[], Sequence[str]]
    images: Callable[[], bool]


_Check = Callable[[Asked], bool]
_Fits = Callable[[str], object]


class Rules:
    """The rules of one configuration snapshot."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule, *_compile(rule.when)) for rule in rules]
        self._left: dict[tuple[str, str, str], Sequence[tuple[Rule, Sequence[_Check]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def first(self, asked: Asked) -> Rule | None:
        """Return the rule that decides a request, None when none fits."""
        names = asked.path, asked.model, asked.key
        left = self._left.get(names)
        if left is None:
            left = self._narrowed(names)
        for rule, checks in left:
            for check in checks:
                if not check(asked):
                    break
            else:
                return rule
        return None

    def _narrowed(self, names: tuple[str, str, str]) -> Sequence[tuple[Rule, Sequence[_Check]]]:
        left = [
            (rule, checks)
            for rule, named, checks in self._rules
            if all(fits(name) for fits, name in zip(named, names, strict=True))
        ]
        if len(self._left) < REMEMBERED and len(names[1]) <= LONGEST:
            self._left[names] = left
        return left


def wrong(rules: Sequence[Rule]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Find each example that does not go where it should, and each name given twice: where, and what to say."""
    taken: dict[str, int] = {}
    every = Rules(rules)
    for place, rule in enumerate(rules):
        if taken.setdefault(rule.name, place) != place:
            yield (place, "name"), f"the name '{rule.name}' is taken by rules[{taken[rule.name]}]"
        alone = Rules([rule])
        for number, example in enumerate(rule.match):
            asked = _asked(example)
            first = every.first(asked)
            if alone.first(asked) is None:
                yield (place, "match", number), f"rule '{rule.name}' does not fit this example: {_unmet(rule, asked)}"
            elif first is not None and first is not rule:
                yield (place, "match", number), f"rule '{first.name}' above takes this example of rule '{rule.name}'"
        for number, example in enumerate(rule.not_match):
            if alone.first(_asked(example)) is not None:
                yield (place, "not_match", number), f"rule '{rule.name}' fits this example, and must not"


def _unmet(rule: Rule, asked: Asked) -> str:
    """Name the conditions that an example does not meet."""
    written = {name: value for name in When.model_fields if (value := getattr(rule.when, name)) is not None}
    unmet = [
        name
        for name, value in written.items()
        if Rules([rule.model_copy(update={"when": When.model_construct(**{name: value})})]).first(asked) is None
    ]
    return f"{', '.join(unmet)} {'differ' if len(unmet) > 1 else 'differs'}"


def _asked(example: Example) -> Asked:
    return Asked(
        example.path,
        example.model,
        example.key,
        {name.lower().encode(): value.encode() for name, value in example.header.items()},
        example.size,
        lambda: example.language,
        lambda: example.tools,
        lambda: example.images,
    )


def _compile(when: When) -> tuple[tuple[_Fits, _Fits, _Fits], Sequence[_Check]]:
    """Return what must hold of path, model and key, and everything else, the cheap first."""
    named = _fits(when.path), _fits(when.model), _fits(when.key)
    checks: list[_Check] = []
    if when.size is not None:
        span = when.size
        checks.append(lambda asked: span.holds(asked.size))
    for name, patterns in (when.header or {}).items():
        checks.append(_header(name.lower().encode(), _fits(patterns)))
    if when.tools is not None:
        checks.append(_tools(when.tools))
    if when.images is not None:
        wanted = when.images
        checks.append(lambda asked: asked.images() is wanted)
    if when.language is not None:
        spoken = _fits(when.language)
        checks.append(lambda asked: bool(spoken(asked.language())))
    return named, checks


def _header(name: bytes, fits: _Fits) -> _Check:
    def check(asked: Asked) -> bool:
        value = asked.headers.get(name)
        return value is not None and bool(fits(value.decode("latin-1")))

    return check


def _tools(offered: bool | list[str]) -> _Check:
    if isinstance(offered, bool):
        return lambda asked: bool(asked.tools()) is offered
    fits = _fits(offered)
    return lambda asked: any(fits(name) for name in asked.tools())


def _fits(patterns: Sequence[str] | None) -> _Fits:
    """Return what says whether a text fits one of these; anything fits where none are written."""
    if patterns is None:
        return lambda text: True
    compiled = [_compiled(pattern) for pattern in patterns]
    if len(compiled) == 1:
        return compiled[0]
    return lambda text: any(fits(text) for fits in compiled)


def _compiled(pattern: str) -> _Fits:
    if pattern.startswith(REGEX):
        schema = str_schema(pattern=pattern.removeprefix(REGEX), regex_engine="rust-regex")
        return SchemaValidator(schema).isinstance_python
    return re.compile(translate(pattern)).match
