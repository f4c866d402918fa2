"""Centre: each call against the stable calls of the same minutes, so that what both arms share cancels.

    log duration - what the prompt explains - mean of the concurrent stable calls of other sessions

Each stable session is compared with the other ones as if it were a candidate, so that the spread seen among stable
sessions is the spread a good candidate would show.
"""

from typing import NamedTuple

import numpy as np

from twospeed.policy.judge.observation import Bools, Floats, Ints

ENOUGH = 5  # stable calls, of two sessions at least, without which a block says nothing
REACH, LEAST_REACH = 3.0, 2.0  # scales, and log units: what lies further out than both counts as so far


class Centred(NamedTuple):
    """`known`: the calls that could be compared; `residuals` of those; `level`: of the stable calls; `scale`: of a call."""

    known: Bools
    residuals: Floats
    level: float
    scale: float


def centre(values: Floats, candidate: Bools, sessions: Ints, scale: float) -> Centred | None:
    """Compare the calls of one block.

    Args:
        values: Log durations without what the prompt explains, NaN where unknown.
        scale: Of one call, from earlier blocks; 0 when there are none.
    """
    known = np.isfinite(values)
    stable = known & ~candidate
    count = int(stable.sum())
    if count < ENOUGH:
        return None
    middle = float(np.median(values[stable]))
    if not scale:
        scale = max(1.4826 * float(np.median(np.abs(values[stable] - middle))), 0.05)
    reach = max(REACH * scale, LEAST_REACH)
    near = np.clip(values[known] - middle, -reach, reach)
    own = near[stable[known]]
    _, places = np.unique(sessions[stable], return_inverse=True)
    sizes, totals = np.bincount(places), np.bincount(places, weights=own)
    if len(sizes) < 2:
        return None
    mean = own.mean()
    residuals = near - mean
    residuals[stable[known]] = own - (own.sum() - totals[places]) / (count - sizes[places])
    return Centred(known, residuals, middle + mean, float(np.sqrt(np.mean((own - mean) ** 2))))
