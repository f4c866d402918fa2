"""Sample ratio: do as many sessions come to the candidate as the share says? If not, the arms are not comparable.

An e-value of the arms of new sessions against the configured share, mixed over other shares; above 1/0.001 the split is
wrong: a skewed hash, a bot in one arm, sessions lost in one arm.
Source: Lindon and Malek, "Anytime-valid inference for multinomial count data", 2020.
"""

import math

ALPHA = 0.001
BELIEFS = (20.0, 200.0, 2000.0)  # sessions' worth of belief in the share, equal weights


def log_e(stable: int, candidate: int, share: float) -> float:
    """Return the log e-value of these sessions; 0 for a share that leaves no choice.

    >>> log_e(950, 50, 0.05) < 0 < math.log(1 / ALPHA) < log_e(900, 100, 0.05)
    True
    """
    if not 0.0 < share < 1.0:
        return 0.0
    plain = candidate * math.log(share) + stable * math.log(1 - share)
    values = [_marginal(stable, candidate, share, belief) - plain for belief in BELIEFS]
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values) / len(values))


def mismatch(stable: int, candidate: int, share: float) -> bool:
    """Say whether the split is not the configured one."""
    return log_e(stable, candidate, share) > math.log(1 / ALPHA)


def _marginal(stable: int, candidate: int, share: float, belief: float) -> float:
    a, b = share * belief, (1 - share) * belief
    return _beta(a + candidate, b + stable) - _beta(a, b)


def _beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
