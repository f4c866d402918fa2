"""What is left of limits, in headers: a provider's said anew for clients of the other vendor, and those of a caller's key.

Each SDK reads its own headers only.

Source: OpenAI's and Anthropic's rate-limit documentation: a span such as `6m0s` there, an RFC 3339 instant here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil

from twospeed.policy.advice import remaining
from twospeed.policy.headers import Pair, find
from twospeed.policy.limit import Level, Refusal

_OPENAI = {"rpm": b"requests", "tpm": b"tokens"}
_ANTHROPIC = {"rpm": b"requests", "tpm": b"tokens", "itpm": b"input-tokens", "otpm": b"output-tokens"}
_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-")


def restated(headers: Sequence[Pair], anthropic: bool, now_wall: float) -> list[Pair]:
    """Return rate-limit headers in Anthropic's or OpenAI's form, made from those of a provider.

    >>> restated([(b"x-ratelimit-remaining-requests", b"59"), (b"x-ratelimit-reset-requests", b"1s")], True, 0.0)
    [(b'anthropic-ratelimit-requests-remaining', b'59'), (b'anthropic-ratelimit-requests-reset', b'1970-01-01T00:00:01Z')]
    """
    found: list[Pair] = []
    for left in remaining(headers, now_wall):
        name = (_ANTHROPIC if anthropic else _OPENAI).get(left.dimension)
        if name is None:
            continue
        form = b"anthropic-ratelimit-%b-%%b" % name if anthropic else b"x-ratelimit-%%b-%b" % name
        limit = _limit(headers, left.dimension)
        if limit:
            found.append((form % b"limit", limit))
        reset = _instant(now_wall + left.reset_after) if anthropic else b"%.3gs" % left.reset_after
        found += [(form % b"remaining", b"%d" % left.remaining), (form % b"reset", reset)]
    return found


def own(
    levels: Sequence[Level], anthropic: bool, now_wall: float, reset: float, refusal: Refusal | None = None
) -> list[Pair]:
    """Return the rate-limit headers of a caller's own key.

    Args:
        reset: Seconds until a window that has just counted this request is empty.
        refusal: Of this request; what it names fits again after its own wait.

    >>> own([Level("@keys/ann", "rpm", 60, 1)], False, 0.0, 60.0)
    [(b'x-ratelimit-limit-requests', b'60'), (b'x-ratelimit-remaining-requests', b'59'), (b'x-ratelimit-reset-requests', b'60s')]
    """
    found: list[Pair] = []
    for level in levels:
        name = (_ANTHROPIC if anthropic else _OPENAI).get(level.dimension)
        if name is None:
            continue
        form = b"anthropic-ratelimit-%b-%%b" % name if anthropic else b"x-ratelimit-%%b-%b" % name
        wait = refusal.retry_after if refusal is not None and refusal.dimension == level.dimension else reset
        left = max(0, level.limit - level.used)
        when = _instant(ceil(now_wall + wait)) if anthropic else b"%.3gs" % wait
        found += [(form % b"limit", b"%d" % level.limit), (form % b"remaining", b"%d" % left), (form % b"reset", when)]
    return found


def without_limits(headers: Sequence[Pair]) -> list[Pair]:
    """Leave out rate-limit headers, of either form."""
    return [pair for pair in headers if not pair[0].startswith(_PREFIXES)]


def _limit(headers: Sequence[Pair], dimension: str) -> bytes:
    name = _ANTHROPIC[dimension]
    return find(headers, b"x-ratelimit-limit-" + name) or find(headers, b"anthropic-ratelimit-%b-limit" % name)


def _instant(wall: float) -> bytes:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
