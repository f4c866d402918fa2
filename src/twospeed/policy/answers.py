"""What an answer is worth, as far as can be told without understanding it: valid tool calls, refusals, standstills.

Cautious on purpose: what cannot be told is None or False, because a version is taken back for what is found here.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from twospeed.errors import Kind
from twospeed.types import Called, Heard, Record

LONGEST_REFUSAL = 1_200  # characters: who says no says it briefly
REFUSAL_HEAD = 240  # characters in which a refusal shows
DEEPEST = 6  # levels of a schema that are looked into
# Somebody who will not, not somebody who could not find a file.
_REFUSAL = re.compile(
    r"\b(?:I|we)(?:['\u2019]m| am|['\u2019]re| are)?(?: very| truly)?(?: sorry| unable)?[^.!?\n]{0,40}?"
    r"\b(?:can(?:not|['\u2019]t| not)|won['\u2019]t|will not|unable to|not able to|must decline|have to decline|not comfortable)"
    r"[^.!?\n]{0,20}?\b(?:help|assist|comply|fulfil+|support|engage|participate|provide (?:that|this|such|assistance)"
    r"|do (?:that|this)|continue with (?:that|this)|discuss|decline)\b"
    r"|\b(?:against|violates?) (?:my|our|the) (?:\w+ ){0,2}(?:guidelines|policy|policies)\b",
    re.IGNORECASE,
)
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
STALLS = frozenset({Kind.IDLE_TIMEOUT, Kind.FIRST_TOKEN_TIMEOUT})


def refused(heard: Heard) -> bool:
    """Say whether an answer is a refusal: marked as one, or a short text that begins like one and calls no tool.

    >>> refused(Heard("I'm sorry, but I can't help with that.")), refused(Heard("I can't find a.py, so I made it."))
    (True, False)
    """
    if heard.refused:
        return True
    if heard.calls or len(heard.text) > LONGEST_REFUSAL:
        return False
    return _REFUSAL.search(heard.text[:REFUSAL_HEAD]) is not None


def tool_call_valid(heard: Heard, offered: Mapping[str, bytes | None]) -> bool | None:
    """Say whether every tool call of an answer names an offered tool and fits its schema; None without one.

    Args:
        offered: JSON Schema of each tool's arguments by its name, as JSON text; None for one that takes any text. Of a
            call to a tool of another kind (empty `offered`) only the JSON is looked at.
    """
    calls = heard.calls
    if not calls or heard.deaf:
        return None
    verdicts = [_valid(call, offered) for call in calls]
    if heard.cut and not verdicts[-1]:
        verdicts.pop()  # it was not whole, for which nobody is to blame
    return all(verdicts) if verdicts else None


def stalled(record: Record) -> bool | None:
    """Say whether a stream stood still, before its first content or after; None for what was no stream or left early."""
    if not record.stream or record.fault in (Kind.CLIENT_GONE, Kind.CLIENT_STALLED, Kind.SUPERSEDED):
        return None
    return record.fault in STALLS or any(attempt.kind in STALLS for attempt in record.attempts)


def _valid(call: Called, offered: Mapping[str, bytes | None]) -> bool:
    if offered and call.name not in offered:
        return False
    schema = offered.get(call.name, b"null") if offered else b"null"
    if schema is None:
        return True
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
        wanted = msgspec.json.decode(schema)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(arguments, dict) and fits(arguments, wanted)


def fits(value: Any, schema: Any, depth: int = 0) -> bool:
    """Say whether a JSON value fits a schema, by the keywords that models get wrong; others are passed over.

    >>> fits({"path": 1}, {"properties": {"path": {"type": "string"}}, "required": ["path"]})
    False
    """
    if not isinstance(schema, dict) or depth > DEEPEST:
        return True
    if not _of_type(value, schema.get("type")):
        return False
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        return False
    if isinstance(value, dict):
        return _fits_object(value, schema, depth)
    if isinstance(value, list):
        return all(fits(item, schema.get("items"), depth + 1) for item in value[:100])
    return True


def _fits_object(value: dict[str, Any], schema: dict[str, Any], depth: int) -> bool:
    known = schema.get("properties")
    known = known if isinstance(known, dict) else {}
    required = schema.get("required")
    if isinstance(required, list) and any(name not in value for name in required):
        return False
    if schema.get("additionalProperties") is False and not schema.get("patternProperties") and value.keys() - known:
        return False
    return all(fits(item, known.get(name), depth + 1) for name, item in value.items())


def _of_type(value: Any, wanted: Any) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    if not all(isinstance(name, str) and name in _TYPES for name in names):
        return True
    if isinstance(value, bool):
        return "boolean" in names
    if isinstance(value, float) and value.is_integer() and "integer" in names:
        return True
    return any(isinstance(value, _TYPES[name]) for name in names)
