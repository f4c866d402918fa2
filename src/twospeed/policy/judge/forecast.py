"""Forecast: how many requests and hours a step needs until a regression is found, before anything has been seen.

Rests on what traffic is assumed to be; the judge itself measures it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from twospeed.policy.criteria import Criterion
from twospeed.policy.judge import power

CHANCES = (0.5, 0.9, 0.95)


class Traffic(msgspec.Struct, frozen=True):
    """What is assumed. `rate`: requests a second of both versions; `calls`: of one session; `between`, `within`: log-spread
    of sessions and of the calls of one, prompt size taken out; `errors`: of the stable version; `clustering`: correlation
    of two calls of one session.
    """

    rate: float = 1.0
    calls: float = 20.0
    between: float = 0.5
    within: float = 0.6
    errors: float = 0.005
    clustering: float = 0.01


class Expected(NamedTuple):
    """One row. `finds`: the regression in words; `requests`: of the candidate, for CHANCES, None beyond reach."""

    metric: str
    finds: str
    requests: tuple[float | None, ...]
    chance: Callable[[float], float]

    def hours(self, rate: float) -> tuple[float | None, ...]:
        """Return the same in hours. Args: rate: candidate requests a second."""
        return tuple(None if amount is None else amount / rate / 3600 for amount in self.requests)


def forecast(criteria: Sequence[Criterion], alpha: float, share: float, traffic: Traffic) -> list[Expected]:
    """Return what to expect of each criterion, tails by themselves after the metric they are part of.

    Args:
        share: Of sessions that meet the candidate, below 1.
    """
    line = math.log(len(criteria) / alpha)
    rows = []
    for criterion in criteria:
        if criterion.is_rate:
            rows.append(_row(criterion.metric, _finds_rate(criterion, traffic), _rate_chance(criterion, traffic, line)))
            continue
        words = f"{criterion.found_at:g} times as slow"
        rows.append(_row(criterion.metric, words, _location_chance(criterion, share, traffic, line)))
        if criterion.quantile:
            beyond = 1 - criterion.quantile
            times = 3 if beyond < 0.03 else 2
            words = f"only the tail: {times} times as many of the slowest {beyond:.0%}"
            rows.append(_row(criterion.metric, words, _tail_chance(beyond, times, traffic, line)))
    return rows


def _row(metric: str, finds: str, chance: Callable[[float], float]) -> Expected:
    return Expected(metric, finds, tuple(power.needed(chance, wanted) for wanted in CHANCES), chance)


def _location_chance(criterion: Criterion, share: float, traffic: Traffic, line: float) -> Callable[[float], float]:
    # The stable side is measured too: with equal shares half of the information is lost to it.
    session = (1 - share) / (traffic.between**2 + traffic.within**2 / traffic.calls)
    return lambda requests: power.of_location(requests / traffic.calls * session, criterion, line)


def _rate_chance(criterion: Criterion, traffic: Traffic, line: float) -> Callable[[float], float]:
    usual = traffic.errors if criterion.metric == "error_rate" else 0.0
    return lambda requests: power.of_rate(requests, usual, traffic.clustering, traffic.calls, criterion, line)


def _tail_chance(beyond: float, times: float, traffic: Traffic, line: float) -> Callable[[float], float]:
    return lambda requests: power.of_tail(requests, beyond, times, traffic.clustering, traffic.calls, line)


def _finds_rate(criterion: Criterion, traffic: Traffic) -> str:
    usual = traffic.errors if criterion.metric == "error_rate" else 0.0
    return f"{usual:.1%} becomes {usual + criterion.found_at:.1%}"
