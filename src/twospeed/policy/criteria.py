"""What a rollout is judged by: one criterion per metric, with what is tolerated and what must be found.

Two kinds. Durations (`latency`, `latency_p99`, `ttft_p95`) are compared as ratios: up to `tolerance` times the stable
version is accepted, `target` times is what the judge is built to find. Rates are compared as differences: up to `slack`
points above the stable version is accepted, four times the slack is what the judge is built to find.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from twospeed.types import Settings
from twospeed.units import Points

Duration = Literal["latency", "latency_p99", "ttft_p95"]
Rate = Literal["error_rate", "tool_call_invalid_rate", "refusal_rate", "stall_rate"]
DURATIONS: tuple[Duration, ...] = ("latency", "latency_p99", "ttft_p95")
RATES: tuple[Rate, ...] = ("error_rate", "tool_call_invalid_rate", "refusal_rate", "stall_rate")
LATER = {  # metrics that need a feature this version does not have
    **dict.fromkeys(
        ("tests_passed", "review_edit_rate", "reverted_rate", "accepted_rate", "thumb_rate"),
        "needs outcomes reported by callers, which this version does not take yet",
    ),
    **dict.fromkeys(
        ("cost", "output_tokens"),
        "is not judged by this version: a longer answer is not a fault by itself",
    ),
}
TOLERANCE, TARGET = 1.25, 2.0  # times the stable version
SLACK = 0.01  # points
FINDS = 4.0  # times the slack: the regression of a rate that the judge is built to find


class Criterion(Settings):
    """One metric of `guard` or `signal`.

    As it stands a duration may be up to 1.25 times that of the stable version, a rate up to one point above it.
    """

    metric: Annotated[Duration | Rate, Field()]
    """What is compared: latency, latency_p99, ttft_p95, error_rate, tool_call_invalid_rate, refusal_rate, stall_rate."""
    tolerance: Annotated[float, Field(gt=1.0, le=10.0)] | None = None
    """Durations: how many times the stable version is still accepted; default 1.25."""
    target: Annotated[float, Field(gt=1.0, le=100.0)] | None = None
    """Durations: how many times the stable version must be found soon; default 2, above the tolerance."""
    slack: Annotated[Points, Field(gt=0)] | None = None
    """Rates: how many points above the stable version are still accepted; default 1pp."""
    by: Literal["language"] | None = None
    """Judge each language by itself as well, and name the one that is worse."""

    @model_validator(mode="before")
    @classmethod
    def _there(cls, value: Any) -> Any:
        metric = value.get("metric") if isinstance(value, dict) else None
        if isinstance(metric, str) and metric in LATER:
            raise ValueError(f"'{metric}' {LATER[metric]}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.is_rate and (self.tolerance or self.target):
            raise ValueError(f"{self.metric} is a rate: it has a slack in points (1pp), no tolerance or target")
        if not self.is_rate and self.slack:
            raise ValueError(f"{self.metric} is a duration: it has a tolerance and a target, no slack")
        if not self.is_rate and self.found_at <= self.accepted:
            raise ValueError(f"the target {self.found_at:g} must be above the tolerance {self.accepted:g}")
        return self

    @property
    def is_rate(self) -> bool:
        """Say whether it is compared as a difference of rates."""
        return self.metric in RATES

    @property
    def accepted(self) -> float:
        """Up to here nothing is wrong: a ratio for durations, a difference for rates."""
        return (self.slack or SLACK) if self.is_rate else (self.tolerance or TOLERANCE)

    @property
    def found_at(self) -> float:
        """What the judge is built to find: a ratio for durations, a difference for rates."""
        return self.accepted * FINDS if self.is_rate else (self.target or max(TARGET, self.accepted * 1.6))

    @property
    def quantile(self) -> float | None:
        """The quantile that is part of a metric's name, 0.99 for latency_p99; None when it has none."""
        found = re.search(r"_p(\d\d)$", self.metric)
        return int(found[1]) / 100 if found else None
