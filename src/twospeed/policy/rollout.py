"""Rollouts: one new model version, let in step by step, and taken back when it is worse.

    draft -> preflight -> shadow -> baking (step 0) -> baking (step 1) ... -> promoted
                 \\-> draft (refused)   | paused | inconclusive | hold
    any -> rolling_back -> rolled_back -> (retry) draft of the next attempt

A state is a frozen value; `step` is the only way from one to the next. Which sessions see the candidate is decided by
`share_bucket` alone: buckets are nested, so that a session that is in at 5% is still in at 25%.
"""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec.structs import replace
from pydantic import Field, model_validator

from twospeed.policy.criteria import Criterion
from twospeed.types import Settings
from twospeed.units import Fraction, PositiveCount, PositiveDuration

LATER_GATES = {
    "prompt_compat": "the gate 'prompt_compat' needs recorded prompts to try, which this version does not keep",
    "capacity": "the gate 'capacity' needs the provider's real limits, which this version does not learn",
}
LATER_ON_FAIL = {
    "incident": "'incident' needs a status page to open one on, which this version does not have",
    "samples": "'samples' needs recorded requests, which this version does not keep",
}


DRILL = "drill"  # id of the rollout that rollback drills are held with; no file has it
FLAGS = "flags"  # under this id the flags that were set by hand are kept, among the rollouts


class Target(Settings):
    """`rollouts.<item>.target`: which version takes the place of which."""

    alias: str
    """The name that clients ask for: a key of `models`."""
    stable: str
    """The version that serves it now, as provider/model."""
    candidate: str
    """The version that is to serve it, as provider/model."""


class Scope(Settings):
    """`rollouts.<item>.scope`: whose requests may meet the candidate. A list left out means all."""

    keys: list[str] = []
    """Names of callers' keys."""
    repos: list[str] = []
    """Repositories, as requests name them."""
    languages: list[str] = []
    """Programming languages, in lower case, as requests name them or as they are detected."""


class ShadowGate(Settings):
    """`{shadow: ...}`: the candidate answers copies of requests first, and must not be worse, pair by pair."""

    fraction: Annotated[Fraction, Field(gt=0)] = 0.05
    """Share of requests that are copied."""
    pairs: PositiveCount = 200
    """Pairs of answers after which a candidate that was not found worse may go on."""


class Gate(Settings):
    """One thing that must be in order before any client meets the candidate. Give one key each."""

    shadow: ShadowGate | None = None
    """Compare both versions on copies of requests first."""
    drill_age: PositiveDuration | None = None
    """The last rollback drill may be this old."""

    @model_validator(mode="before")
    @classmethod
    def _there(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else list(value) if isinstance(value, dict) else []
        for name in names:
            if name in LATER_GATES:
                raise ValueError(LATER_GATES[name])
        if isinstance(value, str):
            raise ValueError("a gate is a block: {shadow: {fraction: 5%, pairs: 200}} or {drill_age: 90d}")
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.shadow is None) == (self.drill_age is None):
            raise ValueError("give each gate one key: shadow or drill_age")
        return self


class Bake(Settings):
    """`rollouts.<item>.bake`: how long a step lasts. It bounds promotion; a rollback never waits."""

    min: PositiveDuration = 3600.0
    """A step lasts at least so long."""
    max: PositiveDuration = 86_400.0
    """A step without a verdict for so long is inconclusive, and waits for a human."""
    min_sessions: PositiveCount = 40
    """Sessions each version must have served in a step before the next."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError("the longest bake is shorter than the shortest one")
        return self


class OnFail(Settings):
    """`rollouts.<item>.on_fail`: what a failed guard leads to."""

    action: Literal["rollback", "pause"] = "rollback"
    """rollback: every request goes to the stable version again; pause: the share stays and a human decides."""

    @model_validator(mode="before")
    @classmethod
    def _there(cls, value: Any) -> Any:
        later = [LATER_ON_FAIL[name] for name in (value if isinstance(value, dict) else ()) if name in LATER_ON_FAIL]
        if later:
            raise ValueError("; ".join(later))
        return value


DEFAULT_GUARD = [Criterion(metric="latency_p99"), Criterion(metric="ttft_p95"), Criterion(metric="error_rate")]


class Rollout(Settings):
    """One entry of `rollouts:`.

    As it stands: 5, 25, 50 and 100% of sessions, each for at least an hour, with at most one rollback in a hundred
    rollouts of a version that is no worse than the guards allow.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    """Name of the rollout, in letters, digits and _ . -; it also fixes which sessions come first."""
    target: Target
    """Which version takes the place of which."""
    unit: Literal["session"] = "session"
    """What is assigned to a version as a whole: a session, so that an agent never meets both in turn."""
    scope: Scope = Scope()
    """Whose requests may meet the candidate."""
    gates: list[Gate] = []
    """What must be in order before step 1."""
    steps: Annotated[list[Annotated[Fraction, Field(gt=0)]], Field(min_length=1)] = [0.05, 0.25, 0.5, 1.0]
    """Shares of sessions that meet the candidate, one after the other."""
    bake: Bake = Bake()
    """How long each step lasts."""
    guard: Annotated[list[Criterion], Field(min_length=1)] = DEFAULT_GUARD
    """Metrics that roll back."""
    signal: list[Criterion] = []
    """Metrics that pause, until they recover or a human decides."""
    false_rollback_rate: Annotated[Fraction, Field(gt=0, le=0.2)] = 0.01
    """Chance that a whole step ends in a rollback although nothing is beyond what the guards accept."""
    on_fail: OnFail = OnFail()
    """What a failed guard leads to."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.id in (DRILL, FLAGS):
            raise ValueError(f"the id '{self.id}' is kept for the program's own use")
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("each step must be larger than the one before")
        for name, listed in (("guard", self.guard), ("signal", self.signal)):
            if len({criterion.metric for criterion in listed}) < len(listed):
                raise ValueError(f"a metric is named twice in {name}")
        if self.target.stable == self.target.candidate:
            raise ValueError("stable and candidate are the same version")
        return self

    @property
    def shadow(self) -> ShadowGate | None:
        """The shadow gate, None when there is none."""
        return next((gate.shadow for gate in self.gates if gate.shadow), None)


class Phase(StrEnum):
    """Where a rollout stands. BAKING, PAUSED, INCONCLUSIVE and HOLD are of one step: its share of sessions stays."""

    DRAFT = "draft"
    PREFLIGHT = "preflight"
    SHADOW = "shadow"
    BAKING = "baking"
    PAUSED = "paused"
    INCONCLUSIVE = "inconclusive"
    HOLD = "hold"
    PROMOTED = "promoted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class Signal(StrEnum):
    """What happens to a rollout.

    READY: the gates are open. CONFIRMED: the shadow found nothing. REFUSED: one of the two said no. ADVANCE: the judge
    passed the step it is about. FAIL: a guard failed. UNDECIDED: no verdict within the bake. TROUBLE, RECOVERED: of the
    stable version itself. DONE: every worker serves the stable version again. The others come from people.
    """

    START = "start"
    READY = "ready"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    ADVANCE = "advance"
    FAIL = "fail"
    UNDECIDED = "undecided"
    TROUBLE = "trouble"
    RECOVERED = "recovered"
    DONE = "done"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"


class State(msgspec.Struct, frozen=True):
    """A rollout at rest. `steps`: shares, `step`: the one under way, from 0; -1 before the first.

    `attempt`: from 1; attempt n + 1 is the retry of attempt n. `refused`: a gate or the shadow said no.
    """

    id: str
    steps: tuple[float, ...]
    shadow: bool = False
    phase: Phase = Phase.DRAFT
    step: int = -1
    attempt: int = 1
    refused: bool = False

    @property
    def share(self) -> float:
        """Share of sessions that meet the candidate now, in 0..1."""
        if self.phase is Phase.PROMOTED:
            return 1.0
        return self.steps[self.step] if self.phase in STEP_PHASES else 0.0


STEP_PHASES = (Phase.BAKING, Phase.PAUSED, Phase.INCONCLUSIVE, Phase.HOLD)


def opened(rollout: Rollout) -> State:
    """Return the first state of a rollout."""
    return State(rollout.id, tuple(rollout.steps), rollout.shadow is not None)


def step(state: State, signal: Signal, at: int | None = None) -> State:
    """Apply one signal; a pair missing from TRANSITIONS changes nothing and returns the same object.

    Args:
        at: The step that the signal is about, where it is about one: said of another step it changes nothing, so that
            saying it twice does no more than saying it once. ADVANCE needs it.
    """
    if (at is None and signal is Signal.ADVANCE) or (at is not None and at != state.step):
        return state
    change = TRANSITIONS.get((state.phase, signal))
    return change(state) if change else state


def share_bucket(salt: str, session: str) -> float:
    """Return where a session lies in [0, 1): it meets the candidate while the share is above that.

    >>> 0.0 <= share_bucket("deep-2026-11", "s-1") < 1.0
    True
    """
    digest = hashlib.blake2b(session.encode(), key=hashlib.sha256(salt.encode()).digest(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def meets_candidate(state: State, session: str) -> bool:
    """Say whether a session is served by the candidate now. The salt is the id: a retry meets the same sessions."""
    return share_bucket(state.id, session) < state.share


Change = Callable[[State], State]


def _become(phase: Phase) -> Change:
    return lambda state: replace(state, phase=phase)


def _begin(state: State) -> State:
    return replace(state, phase=Phase.PREFLIGHT, refused=False)


def _refuse(state: State) -> State:
    return replace(state, phase=Phase.DRAFT, refused=True)


def _gates_ready(state: State) -> State:
    return replace(state, phase=Phase.SHADOW) if state.shadow else _next(state)


def _next(state: State) -> State:
    if state.step + 1 < len(state.steps):
        return replace(state, phase=Phase.BAKING, step=state.step + 1)
    return replace(state, phase=Phase.PROMOTED)


def _again(state: State) -> State:
    return State(state.id, state.steps, state.shadow, attempt=state.attempt + 1)


BEFORE = (Phase.DRAFT, Phase.PREFLIGHT, Phase.SHADOW)

TRANSITIONS: dict[tuple[Phase, Signal], Change] = {
    (Phase.DRAFT, Signal.START): _begin,
    (Phase.PREFLIGHT, Signal.READY): _gates_ready,
    (Phase.PREFLIGHT, Signal.REFUSED): _refuse,
    (Phase.SHADOW, Signal.CONFIRMED): _next,
    (Phase.SHADOW, Signal.REFUSED): _refuse,
    (Phase.BAKING, Signal.ADVANCE): _next,
    (Phase.BAKING, Signal.UNDECIDED): _become(Phase.INCONCLUSIVE),
    (Phase.BAKING, Signal.TROUBLE): _become(Phase.HOLD),
    (Phase.HOLD, Signal.RECOVERED): _become(Phase.BAKING),
    (Phase.BAKING, Signal.PAUSE): _become(Phase.PAUSED),
    (Phase.HOLD, Signal.PAUSE): _become(Phase.PAUSED),
    (Phase.PAUSED, Signal.RESUME): _become(Phase.BAKING),
    (Phase.INCONCLUSIVE, Signal.RESUME): _become(Phase.BAKING),
    **{(phase, Signal.PROMOTE): _become(Phase.PROMOTED) for phase in (Phase.SHADOW, *STEP_PHASES)},
    **{(phase, Signal.FAIL): _become(Phase.ROLLING_BACK) for phase in STEP_PHASES},
    **{(phase, Signal.ABORT): _become(Phase.ROLLING_BACK) for phase in (*BEFORE, *STEP_PHASES, Phase.PROMOTED)},
    (Phase.ROLLING_BACK, Signal.DONE): _become(Phase.ROLLED_BACK),
    (Phase.ROLLED_BACK, Signal.RETRY): _again,
}
