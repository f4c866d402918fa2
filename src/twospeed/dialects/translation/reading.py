"""Reading JSON of clients: values of the right shape, or a fault that names the field (R29)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from twospeed.dialects.body import bad
from twospeed.dialects.translation.hub import Ask

_FINE: tuple[Any, ...] = (None, "", [], {})


def whole(body: bytes) -> dict[str, Any]:
    """Return a body that has been decoded once before."""
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


def block(value: Any, field: str) -> dict[str, Any]:
    """Return an object, {} for nothing. Raises: Fault BAD_REQUEST."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad(field, "expected an object")
    return value


def items(value: Any, field: str) -> list[dict[str, Any]]:
    """Return a list of objects, [] for nothing. Raises: Fault BAD_REQUEST."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad(field, "expected an array of objects")
    return value


def text(value: Any, field: str) -> str:
    """Return a string, "" for nothing. Raises: Fault BAD_REQUEST."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise bad(field, "expected a string")
    return value


def number(value: Any, field: str) -> float | None:
    """Return a number or nothing. Raises: Fault BAD_REQUEST."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise bad(field, "expected a number")


def flag(value: Any, field: str) -> bool | None:
    """Return true, false or nothing. Raises: Fault BAD_REQUEST."""
    if value is None or isinstance(value, bool):
        return value
    raise bad(field, "expected a boolean")


def words(value: Any, field: str) -> list[str]:
    """Return a list of strings from one string or several. Raises: Fault BAD_REQUEST."""
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise bad(field, "expected a string or an array of strings")
    return found


def note_rest(ask: Ask, body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Note every field that has a value and was not read."""
    for name, value in body.items():
        if name not in known and value not in _FINE and value is not False:
            ask.drop(name)
