"""Bench: judges the round of a rollout that is under way: sightings in, the signal that follows out.

One bench per round (attempt, step, judgement begun afresh); what belongs to another round is passed over. The last step, at
100%, has nothing to be compared with: it bakes for its time. What is decided here is said to the state machine, which alone
moves anything.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from twospeed.policy.held import JUDGE, Held, Progress, Sighting, settled
from twospeed.policy.judge.judge import Judge, Outcome, Verdict
from twospeed.policy.judge.witnesses import Witnesses
from twospeed.policy.rollout import STEP_PHASES, Phase, Signal
from twospeed.policy.shadow import ShadowJudge
from twospeed.units import written_share

PATIENCE = (
    20.0  # seconds at most between two looks at calls that are too few to be compared with each other by themselves
)
IDLE = 2.0  # seconds after which the judge is asked again although there is little that is new
LONG = 80.0  # seconds: a bake that lasts so long has time for the stretches that the judge prefers


class Decision(msgspec.Struct, frozen=True):
    """What is to happen: a signal about step `at`, why, and the figures that it rests on."""

    signal: Signal
    reason: str
    at: int | None
    evidence: dict[str, Any]


class Bench:
    """Judges one round. `lost`: sightings that never came.

    Args:
        held: The rollout as it stood when the round began.
        memory: What `to_plain` of this round returned, None to begin.
    """

    def __init__(self, held: Held, memory: dict[str, Any] | None = None) -> None:
        self.round = held.round
        self.lost = 0
        self._witnesses = Witnesses()
        self._closed_at = held.since
        self._last: Verdict | None = None
        self._news = False  # enough that is new to judge again
        self._held = held
        self._rollout = settled(held)
        state = held.state
        self._shadow = ShadowJudge(self._rollout) if state.phase is Phase.SHADOW else None
        compared = state.phase in STEP_PHASES and state.share < 1.0
        self._judge = Judge(self._rollout, state.share) if compared else None
        if memory is not None:
            self._load(memory)

    def inherit(self, before: "Bench") -> None:
        """Know from the round before what is usual of the stable version."""
        if self._judge is not None and before._judge is not None:
            self._judge.inherit(before._judge)

    def observe(self, sightings: Sequence[Sighting]) -> None:
        """Take what was seen, in any order."""
        state = self._held.state
        for sighting in sightings:
            self.lost += sighting.lost
            if (sighting.attempt, sighting.step) != (state.attempt, state.step):
                continue
            if sighting.pair and self._shadow is not None:
                self._shadow.observe(sighting.pair)
            elif sighting.seen is not None and self._judge is not None:
                self._news = self._judge.observe(sighting.seen) or self._news
                self._witnesses.observe(sighting)

    def decide(self, held: Held, now: float) -> tuple[Decision | None, Progress]:
        """Say what is to happen next, and what is known.

        Args:
            held: The rollout as it stands now.
            now: Seconds since the epoch.
        """
        if self._shadow is not None:
            return self._shadowed(now)
        if self._judge is not None:
            return self._judged(held, self._verdict(self._judge, now), now)
        if held.state.phase in STEP_PHASES:
            return self._alone(held, now)
        return None, Progress(held.state.phase.value, held.reason, now, lost=self.lost)

    def to_plain(self) -> dict[str, Any]:
        """Return everything as lists, numbers and texts."""
        return {
            "round": self.round,
            "lost": self.lost,
            "judge": self._judge.to_plain() if self._judge else None,
            "shadow": self._shadow.to_plain() if self._shadow else None,
            "witnesses": self._witnesses.to_plain(),
        }

    def _load(self, memory: dict[str, Any]) -> None:
        self.lost = memory["lost"]
        if "witnesses" in memory:  # what was kept by an earlier version has none
            self._witnesses.load(memory["witnesses"])
        if self._judge is not None and memory["judge"] is not None:
            self._judge = Judge.from_plain(self._rollout, memory["judge"])
        if self._shadow is not None and memory["shadow"] is not None:
            self._shadow.load(memory["shadow"])

    def _verdict(self, judge: Judge, now: float) -> Verdict:
        """Ask the judge. Nothing passes on what has not been looked at; a short bake waits for no long stretch of calls."""
        waited = now - self._closed_at >= min(PATIENCE, self._rollout.bake.min / 4)
        if self._last is not None and not (self._news or waited or abs(now - self._last.at) >= IDLE):
            return self._last
        self._news = False
        verdict = judge.verdict(now, close=waited and self._rollout.bake.min < LONG)
        if verdict.outcome is Outcome.PASS and waited:
            verdict = judge.verdict(now, close=True)
        elif verdict.outcome is Outcome.PASS:
            verdict = msgspec.structs.replace(verdict, outcome=Outcome.BAKING)
        if waited:
            self._closed_at = now
        self._last = verdict
        return verdict

    def _shadowed(self, now: float) -> tuple[Decision | None, Progress]:
        assert self._shadow is not None
        verdict = self._shadow.verdict()
        progress = Progress(verdict.outcome, verdict.reason, now, (verdict.pairs, verdict.pairs), lost=self.lost)
        signals = {"confirmed": Signal.CONFIRMED, "refused": Signal.REFUSED}
        signal = signals.get(verdict.outcome)
        return (Decision(signal, verdict.reason, None, _figures(progress)) if signal else None), progress

    def _alone(self, held: Held, now: float) -> tuple[Decision | None, Progress]:
        """All sessions meet the candidate."""
        baked, least = now - held.since, self._rollout.bake.min
        share = written_share(held.state.share)
        reason = f"{share} of sessions: nothing to compare with; baked for {baked / 60:.0f} of {least / 60:.0f} minutes"
        progress = Progress("baking", reason, now, lost=self.lost)
        if held.state.phase is not Phase.BAKING or baked < least:
            return None, progress
        reason = f"{share} of sessions for {baked / 60:.0f} minutes"
        return Decision(Signal.ADVANCE, reason, held.state.step, _figures(progress)), progress

    def _judged(self, held: Held, verdict: Verdict, now: float) -> tuple[Decision | None, Progress]:
        outcome, reason = verdict.outcome, verdict.reason
        if outcome is Outcome.BAKING and not sum(verdict.calls) and now - held.since >= self._rollout.bake.min:
            outcome, reason = Outcome.CANNOT_MEASURE, "no requests of this rollout"
        readings = tuple([_finite(msgspec.to_builtins(reading)) for reading in verdict.readings])
        progress = Progress(outcome.value, reason, now, verdict.calls, verdict.sessions, readings, self.lost)
        signal = self._signal(held, outcome)
        if signal is None:
            return None, progress
        figures = _figures(progress) | self._witnesses.figures()
        return Decision(signal, reason, held.state.step, figures), progress

    def _signal(self, held: Held, outcome: Outcome) -> Signal | None:
        """Return what follows from an outcome in a phase. A failed guard is a failure in every one of them."""
        phase = held.state.phase
        if outcome is Outcome.FAIL:
            pauses = self._rollout.on_fail.action == "pause"
            return (None if phase is Phase.PAUSED else Signal.PAUSE) if pauses else Signal.FAIL
        if phase is Phase.BAKING:
            return _BAKING.get(outcome)
        if phase is Phase.HOLD and outcome not in (Outcome.HOLD, Outcome.CANNOT_MEASURE):
            return Signal.RECOVERED
        recovered = outcome in (Outcome.BAKING, Outcome.PASS)
        return Signal.RESUME if phase is Phase.PAUSED and held.paused == JUDGE and recovered else None


_BAKING = {
    Outcome.PASS: Signal.ADVANCE,
    Outcome.SIGNAL: Signal.PAUSE,
    Outcome.MISMATCH: Signal.PAUSE,
    Outcome.INCONCLUSIVE: Signal.UNDECIDED,
    Outcome.CANNOT_MEASURE: Signal.TROUBLE,
    Outcome.HOLD: Signal.TROUBLE,
}


def _figures(progress: Progress) -> dict[str, Any]:
    figures: dict[str, Any] = msgspec.to_builtins(progress)
    return figures


def _finite(value: Any) -> Any:
    """Return plain data in which what is not finite is None, as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
