"""Power: would the target have been found by now, and how much must be seen until it is?

Closed forms for the tests of `location` and `rate`: the log likelihood ratio is a random walk with drift, so that the
chance of being beyond the line after so much information is a normal probability.
"""

import math
from collections.abc import Callable

from twospeed.policy.criteria import Criterion
from twospeed.policy.judge import location, rate
from twospeed.policy.judge.starts import FIRST

PART, TAIL_PART = 0.84, 0.08  # weights within a criterion with a tail: its location, each of its two tails


def of_location(information: float, criterion: Criterion, line: float) -> float:
    """Return the chance of finding the target.

    Args:
        information: 1/variance of the estimated shift, in log units.
        line: log e-value that one criterion must reach.
    """
    accepted, sought = math.log(criterion.accepted), math.log(criterion.found_at)
    if information <= 0:
        return 0.0
    line += -math.log(FIRST) - (math.log(PART) if criterion.quantile else 0.0)
    best = -math.inf
    for step, share in location.STEPS:
        d = step * (sought - accepted)
        drift = d * (sought - accepted) - d * d / 2
        best = max(best, (drift * information - line + math.log(share)) / (d * math.sqrt(information)))
    return normal(best)


def of_rate(calls: float, usual: float, rho: float, per_session: float, criterion: Criterion, line: float) -> float:
    """Return the chance of finding four times the slack. Args: usual: rate of the stable version."""
    null, found = usual + criterion.accepted, min(usual + criterion.found_at, 0.95)
    return _of_hits(calls, null, found, criterion.accepted, rho, per_session, line)


def of_tail(calls: float, share: float, times: float, rho: float, per_session: float, line: float) -> float:
    """Return the chance of finding `times` as many calls beyond the quantile that leaves out `share` of them."""
    line -= math.log(TAIL_PART)
    return _of_hits(calls, share, min(times * share, 0.95), share, rho, per_session, line)


def _of_hits(
    calls: float, null: float, found: float, unit: float, rho: float, per_session: float, line: float
) -> float:
    if calls <= 0:
        return 0.0
    calls = calls / (1 + rho * max(per_session - 1, 0))
    line -= math.log(FIRST)
    best = -math.inf
    for step, share in rate.STEPS:
        sought = min(null + step * unit, 0.95)
        bad, good = math.log(sought / null), math.log((1 - sought) / (1 - null))
        drift = found * bad + (1 - found) * good
        deviation = (bad - good) * math.sqrt(found * (1 - found))
        best = max(best, (drift * calls - line + math.log(share)) / (deviation * math.sqrt(calls)))
    return normal(best)


def log_clear(shift: float, information: float, accepted: float) -> float:
    """Return the log e-value against "the shift is `accepted` or more", for "there is none"."""
    return accepted * (accepted - shift) * information - accepted * accepted * information / 2


def needed(chance: Callable[[float], float], wanted: float, most: float = 1e9) -> float | None:
    """Return the smallest amount (of calls, of information) at which `chance` reaches `wanted`, None beyond `most`.

    >>> round(needed(lambda amount: amount / 100, 0.9))
    90
    """
    low, high = 0.0, 1.0
    while chance(high) < wanted:
        low, high = high, high * 2
        if high > most:
            return None
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= wanted else (middle, high)
    return high


def normal(z: float) -> float:
    """Return the standard normal distribution function.

    >>> normal(0.0)
    0.5
    """
    return 0.5 * math.erfc(-z / math.sqrt(2))
