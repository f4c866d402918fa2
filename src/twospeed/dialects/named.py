"""Who an answer says it is: its id and the model that gave it, from its beginning, in any dialect.

A search for two keys instead of a parse: every API puts both before what the model said, and inside text their quotes
are escaped. What is not found, or is no plain word, is "".
"""

LONGEST = 128  # characters
_KEYS = (b'"id"', b'"model"')


def named(said: bytes) -> tuple[str, str]:
    """Return id and model of an answer.

    Args:
        said: Its first bytes, a stream's or a whole body's.

    >>> named(b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model": "m"}')
    ('chatcmpl-1', 'm')
    """
    answer, model = (_text(said, key) for key in _KEYS)
    return answer, model


def _text(said: bytes, key: bytes) -> str:
    at = said.find(key)
    if at < 0:
        return ""
    begin = said.find(b'"', at + len(key)) + 1
    if said[at + len(key) : begin - 1].strip() != b":":
        return ""  # a number, or no value at all
    found = said[begin : begin + LONGEST].partition(b'"')[0]
    return found.decode("ascii", "ignore") if b"\\" not in found else ""
