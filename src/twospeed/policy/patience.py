"""How long a client is willing to wait: its timeout headers lower our deadlines and never raise them (R6).

Source: the header names of the OpenAI and Anthropic SDKs (seconds), and LiteLLM's.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import inf
from typing import NamedTuple

_TOTAL = (b"x-request-timeout", b"x-stainless-timeout", b"x-litellm-timeout")
_IDLE = (b"x-stainless-read-timeout", b"x-litellm-stream-timeout")
_IN_ORDER = _TOTAL + _IDLE
_NAMES = frozenset(_IN_ORDER)
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
    return _read(tuple(map(headers.get, _IN_ORDER)))


@lru_cache(maxsize=64)  # a client says the same each time
def _read(values: tuple[bytes | None, ...]) -> Patience:
    return Patience(_least(values[: len(_TOTAL)]), _least(values[len(_TOTAL) :]))


def _least(values: Iterable[bytes | None]) -> float:
    ours = inf
    for value in values:
        if value is not None and value.replace(b".", b"", 1).isdigit():
            ours = min(ours, max(LEAST, float(value)))
    return ours
