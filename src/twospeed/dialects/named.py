"""Who an answer says it is: its id and the model that gave it, from its beginning, in any dialect.

A search for two keys instead of a parse: every API puts both before what the model said, and inside text their quotes
are escaped. What is not found, or is no plain word, is "".
"""

import re

LONGEST = 128  # characters
_VALUE = re.compile(rb'\s*:\s*"([^"]{0,%d})' % LONGEST)


def named(said: bytes) -> tuple[str, str]:
    """Return id and model of an answer.

    Args:
        said: Its first bytes, a stream's or a whole body's.

    >>> named(b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model": "m"}')
    ('chatcmpl-1', 'm')
    """
    return _text(said, b'"id"'), _text(said, b'"model"')


def _text(said: bytes, key: bytes) -> str:
    at = said.find(key)
    found = _VALUE.match(said, at + len(key)) if at >= 0 else None
    if found is None or b"\\" in found[1]:
        return ""  # a number, no value at all, or no plain word
    return found[1].decode("ascii", "ignore")
