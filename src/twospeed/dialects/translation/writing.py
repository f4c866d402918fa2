"""What bodies for providers have in common, whatever their dialect."""

import re
from typing import Any

from twospeed.dialects.quirks import Quirks
from twospeed.dialects.translation.hub import BRIDGED, Ask, Tool

LONGEST_USER = 64  # characters; longer ones, such as the JSON of Claude Code, are nobody's business
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_BASE = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def capped(limit: int | None, quirks: Quirks) -> int | None:
    """Return the limit of output tokens, no more than the provider takes."""
    if limit is None or quirks.output_tokens is None:
        return limit
    return min(limit, quirks.output_tokens)


def decent_user(ask: Ask) -> str | None:
    """Return the client's id of its user where it is a plain one."""
    if not ask.user or len(ask.user) > LONGEST_USER or ask.user.startswith("{"):
        return None
    return ask.user


def bridged_schema(tool: Tool) -> dict[str, Any]:
    """Return the arguments of the function that stands in for a tool of free text."""
    about = f"The whole input of {tool.name}, as plain text."
    return {
        "type": "object",
        "properties": {BRIDGED: {"type": "string", "description": about}},
        "required": [BRIDGED],
        "additionalProperties": False,
    }


def call_id(identity: str, quirks: Quirks) -> str:
    """Return the id of a tool call as the provider takes it; the same id always becomes the same one.

    >>> call_id("call_1", Quirks()), len(call_id("call_1", Quirks(call_id_length=9)))
    ('call_1', 9)
    """
    length = quirks.call_id_length
    if length is None or (len(identity) == length and identity.isalnum()):
        return identity
    number = int.from_bytes(identity.encode(), "big") % (62**length - 57)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE[digit])
    return "".join(digits)


def plain_id(identity: str) -> str:
    """Return an id with letters, digits, _ and - only, as Anthropic demands."""
    return _ODD.sub("_", identity) or "call"
