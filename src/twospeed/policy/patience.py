"""How long a client is willing to wait: its timeout headers lower our deadlines and never raise them (R6).

Source: the header names of the OpenAI and Anthropic SDKs (seconds), and LiteLLM's.
"""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

_TOTAL = (b"x-request-timeout", b"x-stainless-timeout", b"x-litellm-timeout")
_IDLE = (b"x-stainless-read-timeout", b"x-litellm-stream-timeout")
_NAMES = frozenset(_TOTAL + _IDLE)
LEAST = 0.05  # seconds; less is a mistake rather than a wish


class Patience(NamedTuple):
    """Seconds the client waits: for the whole answer (`total`), and while a stream is quiet (`idle`)."""

    total: float
    idle: float


ENDLESS = Patience(inf, inf)


def patience(headers: Mapping[bytes, bytes]) -> Patience:
    """Return how long the client waits, infinity where it does not say.

    >>> patience({b"x-stainless-timeout": b"30", b"x-request-timeout": b"600"})
    Patience(total=30.0, idle=inf)
    """
    if _NAMES.isdisjoint(headers):
        return ENDLESS
    return Patience(_least(headers, _TOTAL), _least(headers, _IDLE))


def _least(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> float:
    ours = inf
    for name in names:
        value = headers.get(name)
        if value is not None and value.replace(b".", b"", 1).isdigit():
            ours = min(ours, max(LEAST, float(value)))
    return ours
