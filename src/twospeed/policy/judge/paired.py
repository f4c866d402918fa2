"""Paired: the same request answered by both versions, which leaves only the difference of the two to be judged.

Log ratio of a duration per pair, candidate over stable: session, prompt and load cancel. The e-process is a likelihood
ratio of normal differences whose spread is learned from earlier pairs alone; what lies far out is cut. A rate is judged
by the pairs in which exactly one version failed (McNemar): if both are alike each is as likely to be the one.
"""

import math
from typing import Any

STEPS = ((0.7, 0.6), (1.6, 0.4))  # shifts beyond the tolerance looked for, in units of log(target/tolerance)
FIRST_SPREAD, BELIEF = 0.9, 6.0  # log units, and pairs' worth of belief in it
CUT = 2.5  # spreads
WITNESS = 1.5  # nats: the most one pair may add
SLACKENED = 2.0  # times as many pairs may fail on the candidate alone as on the stable version alone


class Paired:
    """Judges one duration. `pairs` so far; `worse`: the candidate is beyond the tolerance."""

    def __init__(self, tolerance: float, target: float, alpha: float) -> None:
        self.pairs = 0
        self._accepted = math.log(tolerance)
        self._distance = math.log(target / tolerance)
        self._line = math.log(1 / alpha)
        self._logs = [math.log(share) for _, share in STEPS]
        self._sum = self._squares = 0.0
        self._top = -math.inf

    @property
    def worse(self) -> bool:
        """Say whether the candidate has been found worse, now or before."""
        return self._top >= self._line

    @property
    def ratio(self) -> float:
        """The candidate's duration as a multiple of the stable version's, cut at far-out pairs."""
        return math.exp(self._sum / self.pairs) if self.pairs else 1.0

    def observe(self, log_ratio: float) -> None:
        """Take one pair: the logarithm of candidate over stable."""
        spread = self._spread()
        centre = self._sum / self.pairs if self.pairs else 0.0
        near = min(max(log_ratio, min(centre, 0.0) - CUT * spread), max(centre, self._distance) + CUT * spread)
        for number, (step, _) in enumerate(STEPS):
            d = step * self._distance
            gain = (d * (near - self._accepted) - d * d / 2) / spread**2
            self._logs[number] += min(gain, WITNESS)
        self._top = max(self._top, _added(self._logs))
        self.pairs += 1
        self._sum += near
        self._squares += near * near

    def to_plain(self) -> dict[str, Any]:
        """Return what changes, as numbers."""
        return {"pairs": self.pairs, "logs": self._logs, "sums": [self._sum, self._squares], "worse": self.worse}

    def load(self, plain: dict[str, Any]) -> None:
        """Take over what `to_plain` returned."""
        self.pairs, self._logs = plain["pairs"], list(plain["logs"])
        self._sum, self._squares = plain["sums"]
        self._top = math.inf if plain["worse"] else -math.inf

    def _spread(self) -> float:
        within = self._squares - self._sum**2 / self.pairs if self.pairs else 0.0
        freedom = max(self.pairs - 1, 0)
        return math.sqrt((BELIEF * FIRST_SPREAD**2 + max(within, 0.0)) / (BELIEF + freedom))


class PairedRate:
    """Judges one kind of failure. `alone`: pairs in which only the stable version failed, only the candidate."""

    def __init__(self, alpha: float) -> None:
        self.alone = [0, 0]
        self._line = math.log(1 / alpha)
        self._top = -math.inf

    @property
    def worse(self) -> bool:
        """Say whether the candidate has been found worse, now or before."""
        return self._top >= self._line

    def observe(self, stable_bad: bool, candidate_bad: bool) -> None:
        """Take one pair."""
        if stable_bad == candidate_bad:
            return
        self.alone[candidate_bad] += 1
        null = SLACKENED / (1 + SLACKENED)
        stable, candidate = self.alone
        values = [
            candidate * math.log(found / null) + stable * math.log((1 - found) / (1 - null))
            for found in (0.8, 0.9, 0.98)
        ]
        self._top = max(self._top, _mean(values))

    def to_plain(self) -> dict[str, Any]:
        """Return what changes, as numbers."""
        return {"alone": self.alone, "worse": self.worse}

    def load(self, plain: dict[str, Any]) -> None:
        """Take over what `to_plain` returned."""
        self.alone = list(plain["alone"])
        self._top = math.inf if plain["worse"] else -math.inf


def _added(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def _mean(values: list[float]) -> float:
    return _added(values) - math.log(len(values))
