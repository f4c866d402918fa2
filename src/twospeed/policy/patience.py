"""How long a client is willing to wait: its timeout headers lower our deadlines and never raise them (R6).

Source: the header names of the OpenAI and Anthropic SDKs (seconds), and LiteLLM's.
"""

from collections.abc import Mapping

_TOTAL = (b"x-request-timeout", b"x-stainless-timeout", b"x-litellm-timeout")
_IDLE = (b"x-stainless-read-timeout", b"x-litellm-stream-timeout")
LEAST = 0.05  # seconds; less is a mistake rather than a wish


def total(headers: Mapping[bytes, bytes], ours: float) -> float:
    """Return the total deadline in seconds, ours or the client's, whichever is sooner.

    >>> total({b"x-stainless-timeout": b"30"}, 60.0), total({b"x-request-timeout": b"600"}, 60.0)
    (30.0, 60.0)
    """
    return _least(headers, _TOTAL, ours)


def idle(headers: Mapping[bytes, bytes], ours: float) -> float:
    """Return how long a stream may be quiet, in seconds."""
    return _least(headers, _IDLE, ours)


def _least(headers: Mapping[bytes, bytes], names: tuple[bytes, ...], ours: float) -> float:
    for name in names:
        value = headers.get(name)
        if value is not None and value.replace(b".", b"", 1).isdigit():
            ours = min(ours, max(LEAST, float(value)))
    return ours
