"""What a provider's headers say: how long to wait (R9), and how much is left of its limits (R21).

Every form that providers are known to send is read; what cannot be read says nothing. Sources: RFC 9110 section 10.2.3;
OpenAI's and Anthropic's rate-limit documentation.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from twospeed.policy.headers import Pair

LONGEST = 300.0  # seconds; no provider is silenced for longer (R9)
_SPAN = re.compile(rb"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {b"ms": 0.001, b"s": 1.0, b"m": 60.0, b"h": 3600.0}
_DIMENSIONS = {
    b"x-ratelimit-%b-requests": "rpm",
    b"x-ratelimit-%b-tokens": "tpm",
    b"anthropic-ratelimit-requests-%b": "rpm",
    b"anthropic-ratelimit-tokens-%b": "tpm",
    b"anthropic-ratelimit-input-tokens-%b": "itpm",
    b"anthropic-ratelimit-output-tokens-%b": "otpm",
}
_REMAINING = {form % b"remaining": (dimension, form % b"reset") for form, dimension in _DIMENSIONS.items()}


class Left(NamedTuple):
    """What a provider says is left of one dimension, and in how many seconds it counts from zero again."""

    dimension: str
    remaining: int
    reset_after: float


def retry_after(headers: Sequence[Pair], now_wall: float) -> float | None:
    """Read how many seconds to wait, at most 5 minutes; None when the provider does not say.

    `retry-after-ms` is more exact than `Retry-After` (seconds or a date). Without either, the reset of a dimension of
    which nothing is left counts.

    >>> retry_after([(b"retry-after", b"2")], 0.0), retry_after([(b"x-ratelimit-remaining-tokens", b"0"),
    ...     (b"x-ratelimit-reset-tokens", b"1m2s")], 0.0)
    (2.0, 62.0)
    """
    named = dict(headers)
    wait = _milliseconds(named.get(b"retry-after-ms")) or _instant(named.get(b"retry-after"), now_wall)
    if wait is None:
        waits = [left.reset_after for left in remaining(headers, now_wall) if left.remaining == 0]
        wait = max(waits, default=None)
    return None if wait is None else min(wait, LONGEST)


def remaining(headers: Sequence[Pair], now_wall: float) -> list[Left]:
    """Read what is left, for each dimension that says both how much and until when.

    >>> remaining([(b"x-ratelimit-remaining-requests", b"59"), (b"x-ratelimit-reset-requests", b"1s")], 0.0)
    [Left(dimension='rpm', remaining=59, reset_after=1.0)]
    """
    found: list[Left] = []
    named: dict[bytes, bytes] | None = None
    for name, value in headers:
        known = _REMAINING.get(name)
        if known is not None and value.isdigit():
            named = named or dict(headers)
            reset = _instant(named.get(known[1]), now_wall)
            if reset is not None:
                found.append(Left(known[0], int(value[:15]), reset))
    return found


def _milliseconds(value: bytes | None) -> float | None:
    if value is not None and value.replace(b".", b"", 1).isdigit():
        return float(value) / 1_000
    return None


def _instant(value: bytes | None, now_wall: float) -> float | None:
    """Seconds from now: a plain number, a span such as 6m0s, an HTTP date or an RFC 3339 instant."""
    if not value:
        return None
    if value.replace(b".", b"", 1).isdigit():
        return float(value)
    spans = _SPAN.findall(value)
    if spans and b"".join(number + unit for number, unit in spans) == value:
        return sum(float(number) * _SECONDS[unit] for number, unit in spans)
    at = _date(value)
    return None if at is None else max(0.0, at.timestamp() - now_wall)


def _date(value: bytes) -> datetime | None:
    text = value.decode("latin-1")
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            at = read(text)
        except ValueError:
            continue
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return None
