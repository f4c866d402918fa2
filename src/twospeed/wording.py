"""Wording: what pydantic found wrong, said in the operator's words and pinned to a place in the file.

Pydantic's locations hold union tags and member names that are not in the file; they are left out here. The value at
fault is shown unless the settings call it a secret.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from enum import EnumType
from functools import cache
from typing import Any, NamedTuple, get_args

from pydantic_core import ErrorDetails

from twospeed import shape
from twospeed.locate import Document
from twospeed.problems import Path, Problem, nearest
from twospeed.types import Settings

_ACCEPTED = {
    "string_type": "text",
    "dict_type": "a block of keys",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "list_type": "a list",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
}
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_long": "at most {max_length} entries",
}
_KNOWN_ELSEWHERE = {  # what other tools and habit call it: our key
    "api_key": "key",
    "apikey": "key",
    "token": "key",
    "secret": "key",
    "api_base": "base_url",
    "url": "base_url",
    "endpoint": "base_url",
    "type": "kind",
    "max_parallel_requests": "concurrency",
    "fallbacks": "models",
    "backends": "models",
    "timeout": "timeouts",
    "ttft": "first_token",
    "bind": "host",
    "address": "host",
    "context_window": "context",
    "max_tokens": "context",
    "vision": "images",
}
_LONGEST_SHOWN = 60
UNKNOWN_KIND = frozenset({"union_tag_not_found", "union_tag_invalid"})


class _Finding(NamedTuple):
    """One complaint about one place: `kind` is pydantic's, `name` the missing or unknown key."""

    kind: str
    path: Path
    name: str
    details: ErrorDetails


def problems(errors: Iterable[ErrorDetails], root: type[Settings], value: Any, document: Document) -> Iterator[Problem]:
    """Say each complaint once; members of a union that all refuse one value make one problem together."""
    findings: dict[tuple[Path, str], list[_Finding]] = {}
    for details in errors:
        finding = _finding(details, value)
        group = "accepted" if finding.kind in _ACCEPTED else finding.kind
        findings.setdefault((finding.path, group + finding.name), []).append(finding)
    for alike in findings.values():
        yield _problem(alike, root, value, document)


def with_kinds(errors: Iterable[ErrorDetails], root: type[Settings], value: dict[str, Any]) -> dict[str, Any]:
    """Return a copy in which blocks with a missing or unknown `kind` have the likeliest, so that reading can go on."""
    mended = deepcopy(value)
    for path in (_in_file(details["loc"], value) for details in errors if details["type"] in UNKNOWN_KIND):
        annotation, found = shape.at(root, mended, path)
        if isinstance(found, dict):
            found["kind"] = _likeliest(shape.blocks(annotation), found)
    return mended


def _likeliest(owners: Sequence[type[Settings]], found: Mapping[str, Any]) -> str:
    kinds = {str(owner.model_fields["kind"].default): owner for owner in owners}
    meant = nearest(str(found.get("kind")), kinds)
    return meant or max(kinds, key=lambda kind: len(found.keys() & kinds[kind].model_fields.keys()))


def shown(value: Any, secret: bool = False) -> str:
    """Show a value from the file, shortened, without what may be a secret.

    >>> shown(5), shown("https://me:pw@host"), shown([1]), shown("sk-1", secret=True)
    ('5', "'https://***@host'", 'a list', 'a value that is not shown here')
    """
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a block of keys"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    if secret:
        return "a value that is not shown here"
    if not isinstance(value, str):
        return str(value).lower()[:_LONGEST_SHOWN]
    text = re.sub(r"//[^/@\s]*@", "//***@", value)
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")


def _finding(details: ErrorDetails, value: Any) -> _Finding:
    kind, location = details["type"], details["loc"]
    if kind == "missing":
        return _Finding(kind, _in_file(location[:-1], value), str(location[-1]), details)
    path = _in_file(location, value)
    if kind == "extra_forbidden":
        return _Finding(kind, path[:-1], str(path[-1]) if path else "", details)
    if kind == "union_tag_invalid":
        return _Finding(kind, (*path, "kind"), "", details)
    return _Finding("bad_name" if location[-1:] == ("[key]",) else kind, path, "", details)


def _in_file(location: Iterable[str | int], value: Any) -> Path:
    """Leave out the steps that pydantic added: tags of unions, names of their members, `[key]`."""
    path: Path = ()
    tagged = False
    for step in location:
        if isinstance(value, dict) and not tagged and step == value.get("kind"):
            tagged = True
        elif (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
            path, value, tagged = (*path, step), value[step], False  # type: ignore[index]
    return path


def _problem(alike: Sequence[_Finding], root: type[Settings], value: Any, document: Document) -> Problem:
    finding = alike[0]
    place = (*finding.path, finding.name) if finding.kind == "extra_forbidden" else finding.path
    at_key = finding.kind in ("missing", "extra_forbidden", "bad_name")
    where = document.where(place, key=at_key)
    return Problem(document.file, where.line, where.column, finding.path, _message(alike, root, value))


def _message(alike: Sequence[_Finding], root: type[Settings], value: Any) -> str:
    finding = alike[0]
    annotation, found = shape.at(root, value, finding.path)
    owner, key = _key_of(root, value, finding.path)
    secret = finding.path in shape.secrets(root, value) or _may_be_key(finding.path)
    context = finding.details.get("ctx", {})
    match finding.kind:
        case "missing":
            return f"needs the key '{finding.name}'{_described(shape.block(annotation, found), finding.name)}"
        case "extra_forbidden":
            return _unknown_key(finding.name, shape.block(annotation, found), root)
        case "union_tag_not_found":
            return f"needs the key 'kind': {_listed(_kinds(annotation))}"
        case "union_tag_invalid":
            return _not_among(found, _kinds(shape.at(root, value, finding.path[:-1])[0]))
        case "literal_error" | "enum":
            return _not_among(found, _words(annotation))
        case "bad_name":
            return "a name here holds letters, digits, '.', '_' and '-' only, 64 at most"
        case "string_pattern_mismatch":
            return f"{shown(found, secret)} does not fit{_described(owner, key)}"
        case "too_short":
            return "is empty: needs at least one entry"
        case "value_error":
            return str(context["error"])
    if finding.kind in _BOUNDS:
        return f"must be {_BOUNDS[finding.kind].format(**_plainly(context))}, got {shown(found, secret)}"
    accepted = _listed(dict.fromkeys(_ACCEPTED.get(one.kind, one.details["msg"]) for one in alike))
    if found is None:
        optional = owner is not None and key in owner.model_fields and not owner.model_fields[key].is_required()
        return f"is empty: expected {accepted}" + ("; leave the key out to get the default" if optional else "")
    hint = "; quote it" if accepted == "text" and isinstance(found, int | float) else ""
    return f"expected {accepted}, got {shown(found, secret)}{hint}"


def _plainly(context: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{bound:g}" if isinstance(bound, float) else str(bound) for name, bound in context.items()}


def _unknown_key(name: str, owner: type[Settings] | None, root: type[Settings]) -> str:
    known = list(owner.model_fields) if owner else []
    habit = _KNOWN_ELSEWHERE.get(name.lower().replace("-", "_"))
    meant = habit if habit in known else nearest(name, known, cutoff=0.75)
    homes = _homes(root).get(name)
    if homes and not meant:
        return f"unknown key '{name}' here: it belongs to {_listed([*homes][:3])}"
    meant = meant or nearest(name, known)
    return f"unknown key '{name}', " + (f"did you mean '{meant}'?" if meant else f"known here: {', '.join(known)}")


@cache
def _homes(root: type[Settings]) -> dict[str, dict[str, None]]:
    """Return where each key belongs, in the order of the file."""
    homes: dict[str, dict[str, None]] = {}
    for entry in shape.entries(root):
        homes.setdefault(entry.path[-1], {})[".".join(entry.path)] = None
    return homes


def _key_of(root: type[Settings], value: Any, path: Path) -> tuple[type[Settings] | None, str]:
    """Return the class and key a value belongs to: those of the list or block around it where it has none itself."""
    for length in range(len(path), 0, -1):
        owner = shape.block(*shape.at(root, value, path[: length - 1]))
        if owner is not None:
            return owner, str(path[length - 1])
    return None, ""


def _may_be_key(path: Path) -> bool:
    """Say whether a caller's key may stand where a block belongs: `keys: [sk-1]`."""
    return path[:1] == ("keys",) and len(path) < 3


def _described(owner: type[Settings] | None, name: str) -> str:
    """Say what a key is for: the first sentence of its description."""
    if owner is None or name not in owner.model_fields:
        return ""
    first = re.split(r"(?<=[\w`)])\.(?:\s|$)", shape.description(owner, name))[0]
    return f": {first[:1].lower()}{first[1:]}" if first else ""


def _kinds(annotation: Any) -> list[str]:
    return [str(owner.model_fields["kind"].default) for owner in shape.blocks(annotation)]


def _words(annotation: Any) -> list[str]:
    """Return the words a field accepts, whether written as literals or as an enumeration."""
    words: list[Any] = []
    for choice in shape.alternatives(annotation):
        words += list(choice) if isinstance(choice, EnumType) else get_args(choice)
    return list(map(str, words))


def _not_among(found: Any, words: Sequence[str]) -> str:
    meant = nearest(found, words) if isinstance(found, str) else None
    if meant:
        return f"{shown(found)} is not known here, did you mean '{meant}'?"
    return f"expected {_listed(words)}, got {shown(found)}"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
