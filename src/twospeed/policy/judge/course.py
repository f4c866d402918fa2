"""Course: a stream of observations becomes decisions, step by step, each said once.

Live, the controller says which step is under way and its share. A stream that was recorded does not: the share is read
from the sessions in it. It begins at the first step; when new sessions come to the candidate as often as the next step
would send them, that step has begun and is judged afresh. A share that belongs to no step is judged without a check of
the sample ratio.
"""

import math
from enum import StrEnum

import msgspec

from twospeed.policy.judge.judge import Judge, Outcome, Verdict
from twospeed.policy.judge.observation import Observation
from twospeed.policy.rollout import Rollout

MOVED = 12.0  # nats of evidence that the next step has begun
MOVING = 2.0  # nats from which on a changing share is no mismatch yet
NEAR, APART = 1.6, 2.5  # odds ratios: within the first a step has begun, beyond the second a share is that of no step
KNOWN = 150  # sessions that tell a share


class Action(StrEnum):
    """What a decision asks for. PROMOTE: this step has passed. HOLD: nothing, and why nothing."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    PROMOTE = "promote"
    HOLD = "hold"


class Decision(msgspec.Struct, frozen=True):
    """One decision. `ts`: latest time seen; `n_candidate`: candidate requests seen so far."""

    ts: float
    decision: Action
    n_candidate: int
    reason: str


ACTIONS = {
    Outcome.FAIL: Action.ROLLBACK,
    Outcome.SIGNAL: Action.PAUSE,
    Outcome.MISMATCH: Action.PAUSE,
    Outcome.INCONCLUSIVE: Action.PAUSE,
    Outcome.CANNOT_MEASURE: Action.HOLD,
    Outcome.PASS: Action.PROMOTE,
}


class Course:
    """Follows one rollout through a stream. `last`: the latest decision, None before the first.

    Args:
        share: Of sessions that meet the candidate, where it is known and does not change.
    """

    def __init__(self, rollout: Rollout, share: float | None = None) -> None:
        self.last: Decision | None = None
        self._rollout = rollout
        self._shares = [share] if share else [step for step in rollout.steps if step < 1.0] or [0.5]
        self._known = share is not None
        self._step = 0
        self._judge = Judge(rollout, self._shares[0])
        self._next: Judge | None = None
        self._moved = 0.0
        self._seen: set[tuple[str, str | int]] = set()
        self._calls = 0
        self._said: Outcome | None = None
        self._held = self._passed = False
        self._standing: Action | None = None  # the latest decision that is not a hold

    @property
    def healthy(self) -> bool:
        """Say whether a step has passed and nothing has come up since, holds aside."""
        return self._standing is Action.PROMOTE

    def observe(self, seen: Observation) -> Decision | None:
        """Take one observation; returns a decision when there is a new one."""
        self._calls += seen.arm == "candidate"
        self._follow(seen)
        if self._next is not None:
            self._next.observe(seen)
        if not self._judge.observe(seen):
            return None
        return self._decide(self._judge.verdict(self._judge.now))

    def finish(self) -> Decision | None:
        """Judge what is left at the end of the stream; a stream without any decision so far ends with a hold."""
        if not self._seen:
            return None
        verdict = self._judge.verdict(self._judge.now, close=True)
        decision = self._decide(verdict)
        if decision is None and self.last is None:
            return self._say(Action.HOLD, f"the stream ended without a verdict: {verdict.reason}")
        return decision

    def _follow(self, seen: Observation) -> None:
        """Notice that the next step has begun."""
        key = (seen.arm, seen.session)
        if key in self._seen:
            return
        self._seen.add(key)
        if self._step + 1 >= len(self._shares):
            return
        here, there = self._shares[self._step], self._shares[self._step + 1]
        ratio = there / here if seen.arm == "candidate" else (1 - there) / (1 - here)
        self._moved = min(max(0.0, self._moved + math.log(ratio)), MOVED)
        if not self._moved:
            self._next = None
        elif self._next is None and self._moved > MOVING:
            self._next = Judge(self._rollout, there)
        elif self._next is not None and self._moved == MOVED:
            self._move(self._next, there)

    def _move(self, following: Judge, share: float) -> None:
        """Go on to the next step where the share is indeed that of the next; give up a share that is in between."""
        if _apart(following.sessions, share) < NEAR:
            self._step, self._judge = self._step + 1, following
            self._said, self._passed, self._held = None, False, False
        elif sum(following.sessions) >= KNOWN:
            self._judge.share = None
        else:
            return
        self._moved, self._next = 0.0, None

    def _decide(self, verdict: Verdict) -> Decision | None:
        verdict = self._checked(verdict)
        held, self._held = self._held, verdict.outcome is Outcome.HOLD
        if self._held:
            return None if held else self._say(Action.HOLD, verdict.reason)
        action = ACTIONS.get(verdict.outcome)
        if verdict.outcome is Outcome.MISMATCH and not self._settled(verdict):
            return None
        before, self._said = self._said, verdict.outcome
        if action is None or verdict.outcome is before or (action is Action.PROMOTE and self._passed):
            return None
        self._passed = self._passed or action is Action.PROMOTE
        if action is Action.ROLLBACK and self._rollout.on_fail.action == "pause":
            action = Action.PAUSE
        return self._say(action, verdict.reason)

    def _checked(self, verdict: Verdict) -> Verdict:
        """Give up the check of the sample ratio where the share is that of no step."""
        share = self._judge.share
        if share is None or self._known or not self._settled(verdict) or _apart(verdict.sessions, share) <= APART:
            return verdict
        self._judge.share = None
        return self._judge.verdict(verdict.at)

    def _settled(self, verdict: Verdict) -> bool:
        """Say whether the share of the step under way can be told."""
        return self._known or (sum(verdict.sessions) >= KNOWN and self._moved <= MOVING)

    def _say(self, action: Action, reason: str) -> Decision:
        self.last = Decision(self._judge.now, action, self._calls, reason)
        if action is not Action.HOLD:
            self._standing = action
        return self.last


def _apart(sessions: tuple[int, int], share: float) -> float:
    """Return how far the split of sessions is from a share, as an odds ratio of at least 1."""
    stable, candidate = sessions
    odds = (candidate + 0.5) * (1 - share) / ((stable + 0.5) * share)
    return max(odds, 1 / odds)
