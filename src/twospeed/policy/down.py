"""Down: when no backend of a tier can serve, and what the operator wants to become of the request then.

Nobody of the tier could serve when all were refused (breaker, limit, cooldown) or failed before the commit point. The
fault that ended the race stays the truth; another answer only stands in for it where the operator says so.
"""

from collections.abc import Sequence
from typing import Literal

from twospeed.errors import Fault, Kind
from twospeed.policy.race import MAX_ATTEMPTS
from twospeed.types import Attempt, Plan, Tier

WhenDown = Literal["refuse", "other_tier", "empty"]
OTHER: dict[Tier, Tier] = {"fast": "deep", "deep": "fast"}


def down(fault: Fault, plan: Plan, attempts: Sequence[Attempt]) -> bool:
    """Say whether a race was lost because nobody of the tier could serve, and not by the request itself.

    A request that must not be replayed counts only where none of it can have been sent (R3).
    """
    if not fault.meaning.fallback and fault.kind is not Kind.NO_BACKEND:
        return False
    return plan.replayable or all(attempt.connected_at is None for attempt in attempts)


def most(when_down: WhenDown) -> int:
    """Return how many attempts a tier's own backends get: one of the three is kept where the other tier may serve (R4).

    >>> most("refuse"), most("other_tier")
    (3, 2)
    """
    return MAX_ATTEMPTS - 1 if when_down == "other_tier" else MAX_ATTEMPTS


def note(tier: Tier, answer: WhenDown) -> str:
    """Return what the record says of it.

    >>> note("fast", "empty")
    'down:fast:empty'
    """
    return f"down:{tier}:{answer}"
