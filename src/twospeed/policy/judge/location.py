"""Location: is the candidate slower as a whole? A likelihood ratio in which a session is one witness, not its calls.

Residual of a call = shift of the arm + level of its session + noise. With n calls a session's mean has the variance
tau^2 + sigma^2/n, however many calls it makes; that is its weight. The likelihood ratio "shift = log tolerance + d"
against "shift = log tolerance" is an e-process in the order the calls come, whole sessions or not; a mean over several d
finds small and large regressions. tau and sigma come from stable sessions and are taken too large while few are known.

Source: mixture sequential probability ratio test (Robbins 1970; Johari et al. 2017) on a normal mixed model; the
independent increments of such estimates: Jennison and Turnbull, Group Sequential Methods, chapter 11.
"""

import math
from typing import NamedTuple

import numpy as np

from twospeed.policy.judge.observation import Floats
from twospeed.policy.judge.sums import Since, per_start

STEPS = ((0.65, 0.88), (2.0, 0.12))  # d in units of log(target/tolerance), with its weight
WITNESS = 3.0  # nats: the most that one session may add, so that no two alone decide
BELIEF = 10.0  # calls' worth of belief that half of the variance lies within sessions
SPREADS = 2.5  # standard deviations beyond what is looked for at which a session's mean is cut


class Spread(NamedTuple):
    """Variances of log durations: `between` sessions, and of calls `within` one."""

    between: float
    within: float


class Evidence(NamedTuple):
    """Per start, float[epochs]: `log_e`, `shift` in log units, `information` 1/variance. `calls` from the first on."""

    log_e: Floats
    shift: Floats
    information: Floats
    calls: float


def spread(calls: Floats, residuals: Floats, squares: Floats) -> Spread:
    """Estimate from stable sessions, each array one entry per session, on the large side while there are few."""
    freedom = float(np.maximum(calls - 1, 0).sum())
    total = float(squares.sum()) / float(calls.sum())
    within = float((squares - residuals**2 / calls).sum())
    within = max((within + BELIEF * total / 2) / (freedom + BELIEF), 1e-4)
    means = residuals / calls
    weight = calls / (calls + 3.0)  # short sessions say little of their level
    between = float((weight * (means**2 - within / calls)).sum() / weight.sum())
    doubt = 1.0 + 0.5 * math.sqrt(2.0 / float(weight.sum()))
    return Spread(max(between, 0.01) * doubt, within)


def evidence(rows: Since, epochs: int, stable: float, spread: Spread, accepted: float, sought: float) -> Evidence:
    """Weigh the candidate's sessions.

    Args:
        rows: Calls and residuals of sessions, sums float[2 or more, rows].
        stable: Stable sessions per candidate session.
        accepted: log tolerance.
        sought: log target.
    """
    calls, residuals = rows.sums[0], rows.sums[1]
    distance = sought - accepted
    deviation = spread.between + spread.within / calls
    weight = (1.0 / deviation) * (stable / (1.0 + stable))  # the stable mean is not exact either
    reach = SPREADS * np.sqrt(deviation)
    means = np.clip(residuals / calls, -reach, reach + sought)
    parts = []
    for step, share in STEPS:
        d = step * distance
        gain = np.minimum(weight * (d * (means - accepted) - d * d / 2), WITNESS)
        parts.append(per_start(gain, rows, epochs) + math.log(share))
    information = np.maximum(per_start(weight, rows, epochs), 0.0)
    shift = per_start(weight * means, rows, epochs) / np.maximum(information, 1e-9)
    return Evidence(np.logaddexp(parts[0], parts[1]), shift, information, float(calls[rows.after < 0].sum()))
