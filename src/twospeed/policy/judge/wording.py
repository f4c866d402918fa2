"""Wording: what a judge has found, in an operator's words."""

import math
from collections.abc import Sequence

from twospeed.policy.criteria import RATES
from twospeed.policy.judge.weigh import Reading
from twospeed.units import written_duration

_TAILS = {"slip": "single calls of a session are far slower", "far": "the slowest calls are slower"}


def failure(readings: Sequence[Reading], epoch: float) -> str:
    """Name the metric that speaks loudest against the candidate, with what was measured.

    Args:
        epoch: Seconds of one.
    """
    worst = max(readings, key=lambda reading: reading.log_e)
    part = worst.worst
    language = f" in {part.language}" if part.language else ""
    since = f", since about {written_duration(part.since * epoch)} into the step" if part.since else ""
    found = _TAILS.get(part.kind) or _measured(worst.metric, part.estimate, part.usual)
    evidence = f"e-value {math.exp(min(worst.log_e, 40.0)):.3g}, {worst.calls:.0f} candidate requests"
    return f"{worst.metric}{language}: {found}{since} ({evidence})"


def passed(readings: Sequence[Reading], elapsed: float, sessions: tuple[int, int]) -> str:
    """Say what a pass rests on, and what it cannot rest on."""
    known = [f"{one.metric} {_measured(one.metric, one.estimate, one.usual)}" for one in readings if one.measured]
    blind = [reading.metric for reading in readings if not reading.measured]
    text = f"within what the guards accept after {elapsed / 3600:.1f} h and {sessions[1]} candidate sessions: "
    return text + "; ".join(known) + (f"; not measured: {', '.join(blind)}" if blind else "")


def unmeasured(reading: Reading) -> str:
    """Say how far one metric is from a verdict."""
    measured = _measured(reading.metric, reading.estimate, reading.usual)
    return f"{reading.metric} {measured}, power {reading.power:.0%}"


def _measured(metric: str, estimate: float, usual: float) -> str:
    if metric in RATES:
        return f"{estimate:.2%} against {usual:.2%}"
    return f"{estimate:.2f} times the stable version"
