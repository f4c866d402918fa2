"""Weigh: sums become one reading per criterion: the evidence against the candidate, how much was seen, how much is missing.

The e-values of all criteria are averaged with fixed weights, so that the average is an e-value too: beyond 1/alpha the
candidate is worse. Weights: equal among criteria; within one, first its location, then its tails; with `by: language`
half for all languages together and half for each by itself, in the order in which they came.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from twospeed.policy.criteria import Criterion
from twospeed.policy.judge import location, power, rate
from twospeed.policy.judge.intake import Intake
from twospeed.policy.judge.observation import Bools, Floats, Ints
from twospeed.policy.judge.starts import log_sum, mixed, weights
from twospeed.policy.judge.sums import Since, place, since

ALONE = {"location": 1.0}
WITH_TAIL = {
    "location": power.PART,
    "slip": power.TAIL_PART,
    "far": power.TAIL_PART,
}  # parts of latency_p99 and ttft_p95
CAUTION = 0.05  # chance of passing a candidate that lies beyond the tolerance, by the interval
POWER = 0.9  # chance of having found the target, without which silence is no evidence
FEWEST = 8  # stable sessions from which their spread can be told
REFRESH = 1.03  # times as many blocks, until which what was learned from stable sessions is kept


class Part(NamedTuple):
    """One e-process. `log_e` with its weights; `since`: the epoch from which on it speaks loudest, and what it measures
    from there: `estimate`, a ratio or a rate, and `usual`, that of the stable version.
    """

    kind: str
    language: str
    log_e: float
    since: int
    estimate: float
    usual: float


class Reading(msgspec.Struct, frozen=True):
    """What is known of one criterion.

    `log_e`: evidence against the candidate, natural log. `worst`: the part that speaks loudest. `estimate`: ratio for
    durations, rate of the candidate for rates, next to `usual`, that of the stable version. `calls`: of the candidate.
    `power`: chance that the target would have been found by now. `clear`: shown to be within what is accepted.
    `stable`: the stable version has been measured.
    """

    metric: str
    log_e: float
    worst: Part
    estimate: float
    usual: float
    calls: float
    power: float
    clear: bool
    stable: bool

    @property
    def measured(self) -> bool:
        """Say whether both versions have been measured."""
        return self.stable and self.calls > 0


class Scale:
    """Weighs by one list of criteria. `alpha`: chance of a false alarm of all together."""

    def __init__(self, criteria: Sequence[Criterion], alpha: float) -> None:
        self._criteria = criteria
        self._alpha = alpha
        self._spreads: dict[str, location.Spread | None] = {}
        self._clustering: dict[str, float | None] = {}
        self._sessions = 0
        self._learned_at = -1

    @property
    def line(self) -> float:
        """The log e-value beyond which the candidate is worse."""
        return math.log(1 / self._alpha)

    def weigh(self, intake: Intake) -> list[Reading]:
        """Return one reading per criterion, in their order."""
        if intake.blocks >= self._learned_at * REFRESH + 1:
            self._learn(intake)
        keys, values = intake.sums.table(candidate=True)
        names = {number: name for name, number in intake.sums.languages.items()}
        return [self._reading(criterion, keys, values, intake.epochs(), names) for criterion in self._criteria]

    def total(self, readings: Sequence[Reading]) -> float:
        """Return the log of the averaged e-value."""
        return log_sum(np.array([reading.log_e for reading in readings])) - math.log(max(len(readings), 1))

    def _learn(self, intake: Intake) -> None:
        """Take from stable sessions how far sessions differ and how far their errors cluster."""
        keys, values = intake.sums.table(candidate=False)
        sessions, places = np.unique(keys[:, 0], return_inverse=True)
        for criterion in self._criteria:
            for kind in _kinds(criterion):
                measure = _measure(criterion, kind)
                column = place(measure)
                calls, bad, squares = (_added(places, values[:, column + k]) for k in range(3))
                some = calls > 0
                if kind == "location":
                    known = location.spread(calls[some], bad[some], squares[some]) if some.sum() >= FEWEST else None
                    self._spreads[measure] = known
                else:
                    self._clustering[measure] = rate.clustering(calls[some], bad[some]) if some.any() else None
        self._sessions = len(sessions)
        self._learned_at = intake.blocks

    def _reading(self, criterion: Criterion, keys: Ints, values: Floats, epochs: int, names: dict[int, str]) -> Reading:
        parts: list[Part] = []
        main: location.Evidence | rate.Rated | None = None
        for kind, weight in _kinds(criterion).items():
            measure = _measure(criterion, kind)
            column = place(measure)
            known = values[:, column] > 0
            for language, share, rows in _splits(criterion, keys, known, names):
                found = self._evidence(criterion, kind, since(keys[rows], values[rows, column : column + 3]), epochs)
                if found is None:
                    continue
                if not language and kind in ("location", "rate"):
                    main = found
                loudest = int((found.log_e + weights(epochs)).argmax())
                log_e = mixed(found.log_e) + math.log(weight * share)
                parts.append(Part(kind, language, log_e, loudest, *_measured(found, loudest)))
        log_e = log_sum(np.array([part.log_e for part in parts])) if parts else 0.0
        worst = max(parts, key=lambda part: part.log_e, default=Part("", "", 0.0, 0, math.nan, math.nan))
        return self._read(criterion, log_e, worst, main)

    def _evidence(
        self, criterion: Criterion, kind: str, rows: Since, epochs: int
    ) -> location.Evidence | rate.Rated | None:
        measure = _measure(criterion, kind)
        if not rows.sums.shape[1]:
            return None
        if kind == "location":
            spread = self._spreads.get(measure)
            if spread is None:
                return None
            stable = max(self._sessions, 1) / int((rows.after < 0).sum())
            return location.evidence(
                rows, epochs, stable, spread, math.log(criterion.accepted), math.log(criterion.found_at)
            )
        rho = self._clustering.get(measure)
        if rho is None:
            return None
        if kind == "rate":
            return rate.evidence(rows, epochs, rho, criterion.accepted, criterion.accepted, 0.0)
        beyond = 1 - (criterion.quantile or 0.99)
        return rate.evidence(rows, epochs, rho, 0.0, beyond, beyond)

    def _read(
        self, criterion: Criterion, log_e: float, worst: Part, main: location.Evidence | rate.Rated | None
    ) -> Reading:
        line = self.line + math.log(len(self._criteria))
        if isinstance(main, location.Evidence):
            information, shift = float(main.information[0]), float(main.shift[0])
            accepted = math.log(criterion.accepted)
            chance = power.of_location(information, criterion, line)
            shown = power.log_clear(shift, information, accepted)
            clear = shown > math.log(1 / CAUTION) or (chance >= POWER and shift < accepted)
            return Reading(criterion.metric, log_e, worst, math.exp(shift), 1.0, main.calls, chance, clear, stable=True)
        if isinstance(main, rate.Rated):
            rho = self._clustering.get(criterion.metric) or 0.0
            bad, usual = _measured(main, 0)
            chance = power.of_rate(main.calls, usual, rho, main.calls / max(main.sessions, 1), criterion, line)
            clear = chance >= POWER and bad - usual < criterion.accepted
            return Reading(criterion.metric, log_e, worst, bad, usual, main.calls, chance, clear, stable=True)
        measured = self._spreads.get(_measure(criterion, "location")) or self._clustering.get(criterion.metric)
        return Reading(criterion.metric, log_e, worst, math.nan, math.nan, 0.0, 0.0, clear=False, stable=bool(measured))


def _measured(found: location.Evidence | rate.Rated, start: int) -> tuple[float, float]:
    if isinstance(found, location.Evidence):
        return math.exp(float(found.shift[start])), 1.0
    return float(found.rate[start]), float(found.expected[start])


def _kinds(criterion: Criterion) -> dict[str, float]:
    if criterion.is_rate:
        return {"rate": 1.0}
    return WITH_TAIL if criterion.quantile else ALONE


def _measure(criterion: Criterion, kind: str) -> str:
    if kind == "rate":
        return criterion.metric
    duration = criterion.metric.partition("_")[0]
    return duration if kind == "location" else f"{duration}_{kind}"


def _splits(
    criterion: Criterion, keys: Ints, known: Bools, names: dict[int, str]
) -> Iterator[tuple[str, float, Bools]]:
    """Return (language, weight, rows): all together first, under the name ""."""
    if criterion.by is None:
        yield "", 1.0, known
        return
    yield "", 0.5, known
    order = 0
    for number in sorted(names):
        if names[number]:
            order += 1
            yield names[number], 0.5 / (order * (order + 1)), known & (keys[:, 1] == number)


def _added(places: Ints, values: Floats) -> Floats:
    return np.bincount(places, weights=values).astype(np.float64)
