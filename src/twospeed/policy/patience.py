"""How long a client is willing to wait: its timeout headers lower our deadlines and never raise them (R6).

Source: the header names of the OpenAI and Anthropic SDKs (seconds), and LiteLLM's.
"""

from collections.abc import Mapping
from math import inf

_TOTAL = (b"x-request-timeout", b"x-stainless-timeout", b"x-litellm-timeout")
_IDLE = (b"x-stainless-read-timeout", b"x-litellm-stream-timeout")
_NAMES = frozenset(_TOTAL + _IDLE)
LEAST = 0.05  # seconds; less is a mistake rather than a wish


def total(headers: Mapping[bytes, bytes]) -> float:
    """Return how many seconds the client waits for the whole answer, infinity when it does not say.

    >>> total({b"x-stainless-timeout": b"30", b"x-request-timeout": b"600"}), total({})
    (30.0, inf)
    """
    return _least(headers, _TOTAL)


def idle(headers: Mapping[bytes, bytes]) -> float:
    """Return how many seconds a stream may be quiet, infinity when the client does not say."""
    return _least(headers, _IDLE)


def _least(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> float:
    ours = inf
    if _NAMES.isdisjoint(headers):
        return ours
    for name in names:
        value = headers.get(name)
        if value is not None and value.replace(b".", b"", 1).isdigit():
            ours = min(ours, max(LEAST, float(value)))
    return ours
