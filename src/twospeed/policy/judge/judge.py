"""Judge: observations of one step in, one verdict out, at any time and as often as asked.

    observe(observation) ... verdict(now) -> pass | fail | inconclusive | cannot measure | hold | baking

A step is judged afresh: one judge per step. Nothing waits for a failure; bake time and sessions bound the pass alone.
State is plain data (`to_plain`), and what two judges have seen of the same step adds up (`merge`).
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from twospeed.policy.criteria import RATES, Criterion
from twospeed.policy.judge import ratio
from twospeed.policy.judge.intake import Intake, Quantiles
from twospeed.policy.judge.observation import Observation
from twospeed.policy.judge.weigh import Reading, Scale
from twospeed.policy.judge.wording import failure, passed, unmeasured
from twospeed.policy.rollout import Rollout

EPOCHS = 24  # per longest bake
SHORTEST_EPOCH = 300.0  # seconds
CAREFUL = 5.0  # nats more than usual that a failure needs while the stable version is in trouble too
WORTHWHILE = 0.005  # more candidate requests than before, for a recorded stream to be judged again
UNEASE = math.log(10)  # evidence for which a step is not passed, though far from a failure
SILENT = ("tool_call_invalid_rate", "refusal_rate", "stall_rate", "ttft_p95")  # not every traffic has these


class Outcome(StrEnum):
    """What a verdict says.

    BAKING: too early to say. SIGNAL: a signal failed. MISMATCH: sessions do not come as the share says, so that the
    versions cannot be compared. HOLD: the stable version is in a bad way itself.
    """

    BAKING = "baking"
    PASS = "pass"
    FAIL = "fail"
    SIGNAL = "signal"
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"
    CANNOT_MEASURE = "cannot_measure"
    HOLD = "hold"


class Verdict(msgspec.Struct, frozen=True):
    """What is known at `at`. `reason`: for people. `calls`, `sessions`: stable, candidate. `readings`: guards, signals."""

    outcome: Outcome
    reason: str
    at: float
    calls: tuple[int, int] = (0, 0)
    sessions: tuple[int, int] = (0, 0)
    readings: tuple[Reading, ...] = ()


class Judge:
    """Judges one step. `share`: of sessions that should meet the candidate, None when that is not known."""

    def __init__(self, rollout: Rollout, share: float | None = None) -> None:
        self.share = share
        self._rollout = rollout
        epoch = max(rollout.bake.max / EPOCHS, SHORTEST_EPOCH)
        criteria = [*rollout.guard, *rollout.signal]
        self._intake = Intake(epoch, _tails(criteria), any(criterion.by for criterion in criteria))
        self._guard = Scale(rollout.guard, rollout.false_rollback_rate)
        self._signal = Scale(rollout.signal, rollout.false_rollback_rate)
        self._failed = self._mismatch = ""
        self._judged_at, self._troubled = 0, False

    @property
    def sessions(self) -> tuple[int, int]:
        """Sessions seen: stable, candidate."""
        return self._intake.sums.count

    @property
    def now(self) -> float:
        """Latest time seen."""
        return self._intake.now

    def observe(self, seen: Observation) -> bool:
        """Take one observation; True when there is enough that is new to judge again."""
        if not self._intake.observe(seen):
            return False
        calls, troubled = self._intake.calls[1], self._intake.trouble.since is not None
        if calls < self._judged_at * (1 + WORTHWHILE) and troubled is self._troubled:
            return False
        self._judged_at, self._troubled = calls, troubled
        return True

    def verdict(self, now: float, close: bool = False) -> Verdict:
        """Judge what has been seen until `now`, an instant on the clock of the observations.

        Args:
            close: Also judge the minutes under way, which otherwise wait until they are complete.
        """
        if close or self._intake.due(now):
            self._intake.close()
        outcome, reason, readings = self._decide(max(now, self._intake.now))
        calls, sessions = self._intake.calls, self._intake.sums.count
        return Verdict(outcome, reason, now, (calls[0], calls[1]), sessions, tuple(readings))

    def merge(self, other: "Judge") -> None:
        """Add what the judge of the same step on another replica has seen."""
        self._intake.merge(other._intake)
        self._failed = self._failed or other._failed

    def inherit(self, before: "Judge") -> None:
        """Know from the judge of the step before what the stable version usually does; no evidence comes with it."""
        self._intake.trouble.inherit(before._intake.trouble)

    def to_plain(self) -> dict[str, Any]:
        """Return everything as lists, numbers and texts."""
        found = {"failed": self._failed, "mismatch": self._mismatch}
        return {"share": self.share, **found, "intake": self._intake.to_plain()}

    @classmethod
    def from_plain(cls, rollout: Rollout, plain: dict[str, Any]) -> "Judge":
        """Build from what `to_plain` returned."""
        judge = cls(rollout, plain["share"])
        judge._failed, judge._mismatch = plain["failed"], plain["mismatch"]
        judge._intake.load(plain["intake"])
        return judge

    def _decide(self, now: float) -> tuple[Outcome, str, Sequence[Reading]]:
        if self._failed:
            return Outcome.FAIL, self._failed, ()
        guards, signals = self._guard.weigh(self._intake), self._signal.weigh(self._intake)
        readings = [*guards, *signals]
        trouble = self._intake.trouble
        line = self._guard.line + (CAREFUL if trouble.since is not None else 0.0)
        if self._guard.total(guards) >= line:
            self._failed = failure(guards, self._intake.epoch)
            return Outcome.FAIL, self._failed, readings
        if trouble.since is not None:
            return Outcome.HOLD, f"the stable version is in trouble too: {trouble.kind}", readings
        outcome, reason = self._gates(now, guards, signals)
        return outcome, reason, readings

    def _gates(self, now: float, guards: Sequence[Reading], signals: Sequence[Reading]) -> tuple[Outcome, str]:
        """Say what keeps a step from passing, if anything."""
        if self._mismatched():
            return Outcome.MISMATCH, self._mismatch
        if signals and self._signal.total(signals) >= self._signal.line:
            return Outcome.SIGNAL, failure(signals, self._intake.epoch)
        missing = self._missing(guards)
        elapsed = now - (self._intake.began if self._intake.began is not None else now)
        waiting = self._waiting(elapsed, guards, missing)
        if not waiting:
            return Outcome.PASS, passed(guards, elapsed, self._intake.sums.count)
        if missing and elapsed >= self._rollout.bake.min:
            return Outcome.CANNOT_MEASURE, waiting
        if elapsed < self._rollout.bake.max:
            return Outcome.BAKING, waiting
        return Outcome.INCONCLUSIVE, f"no verdict within the longest bake: {waiting}"

    def _mismatched(self) -> bool:
        """Look at the split of sessions; what was found once stays found while the share is the same."""
        stable, candidate = self._intake.sums.count
        if self.share is None or not stable or not candidate:
            return False
        if not self._mismatch and ratio.mismatch(stable, candidate, self.share):
            seen = candidate / (stable + candidate)
            text = f"sample ratio mismatch: {seen:.1%} of {stable + candidate} sessions met the candidate"
            self._mismatch = f"{text}, not {self.share:.1%}: the versions cannot be compared"
        return bool(self._mismatch)

    def _missing(self, guards: Sequence[Reading]) -> str:
        calls = self._intake.calls
        if not calls[1]:
            return "no candidate requests"
        if not calls[0]:
            return "no stable requests to compare with"
        blind = [reading.metric for reading in guards if not reading.measured and not _excused(reading)]
        if blind and self._intake.blocks:
            return f"cannot measure {', '.join(blind)}"
        return (
            "" if any(reading.measured for reading in guards) or not self._intake.blocks else "nothing can be measured"
        )

    def _waiting(self, elapsed: float, guards: Sequence[Reading], missing: str) -> str:
        """Return what the pass waits for, "" when for nothing."""
        bake, sessions = self._rollout.bake, self._intake.sums.count
        if missing:
            return missing
        if elapsed < bake.min:
            return f"baking for {elapsed / 60:.0f} of {bake.min / 60:.0f} minutes"
        if min(sessions) < bake.min_sessions:
            return f"{min(sessions)} of {bake.min_sessions} sessions seen of the rarer version"
        open_ones = [reading for reading in guards if reading.measured and not reading.clear]
        if open_ones:
            return "not yet known: " + ", ".join(unmeasured(reading) for reading in open_ones)
        if self._guard.total(guards) >= UNEASE:
            return f"some evidence against the candidate: {failure(guards, self._intake.epoch)}"
        return ""


def _excused(reading: Reading) -> bool:
    """Say whether a guard without any measurement may be passed over: neither version has such traffic."""
    return reading.metric in SILENT and not reading.stable


def _tails(criteria: Sequence[Criterion]) -> dict[str, Quantiles]:
    return {
        criterion.metric.partition("_")[0]: Quantiles(criterion.quantile, criterion.accepted)
        for criterion in criteria
        if criterion.metric not in RATES and criterion.quantile
    }
