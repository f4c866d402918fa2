"""What is kept of a rollout between two decisions, what is told when it moves, and where both are kept (a protocol).

    Held (version n) -- Move (signal, who, why, on what evidence) --> Held (version n + 1)

Versions count the moves of one rollout from 1; a move is kept only when nobody moved it meanwhile, and, where the program
itself decided, only while no later leader has taken over. How the effects do that is in `stores`; who decides in `control`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec.structs import replace

from twospeed.policy.audit import proof
from twospeed.policy.criteria import Criterion
from twospeed.policy.judge.observation import Observation
from twospeed.policy.rollout import (
    FLAGS,
    STEP_PHASES,
    Bake,
    Gate,
    OnFail,
    Phase,
    Rollout,
    Scope,
    ShadowGate,
    Signal,
    State,
    Target,
    step,
)

JUDGE = "judge"  # the actor of what the program decides by itself
Why = Literal["unknown", "conflict", "impossible", "refused", "malformed", "away"]


class Denied(Exception):
    """A signal was not taken. `why`: unknown (no such rollout), conflict (moved meanwhile), impossible (in this phase),
    refused (by a gate), malformed (asked for what is none), away (the store does not answer)."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


class Held(msgspec.Struct, frozen=True):
    """A rollout as it is kept.

    `version`: moves so far. `at`, `since`: seconds since the epoch of the latest move, and of the one that began the step
    or phase under way. `settings`: those it runs by, as plain data. `paused`: "judge" where it resumes by itself.
    `round`: counts judgements begun afresh; what was seen in another round is not counted. `evidence`: SHA-256 of
    what the latest move rests on, "" for none.
    """

    state: State
    version: int
    at: float
    since: float
    settings: dict[str, Any]
    actor: str = ""
    reason: str = ""
    paused: str = ""
    round: int = 0
    evidence: str = ""

    @property
    def live(self) -> bool:
        """Say whether it decides where requests go."""
        return self.state.phase is not Phase.DRAFT


class Move(msgspec.Struct, frozen=True):
    """One transition. `signal`: of the state machine, or "added", "changed", "removed" for the config file's doing.

    `evidence`: figures it rests on, {} for none. `token`: of the leader that decided it, 0 for people.
    """

    rollout: str
    signal: str
    before: Phase
    held: Held
    actor: str
    reason: str
    at: float
    evidence: dict[str, Any] = {}
    token: int = 0


class Progress(msgspec.Struct, frozen=True):
    """What the judge says of the step under way, as plain data. `calls`, `sessions`: stable, candidate.

    `readings`: guards, then signals. `lost`: observations that did not reach the judge. `round`: the judgement it is of.
    """

    outcome: str
    reason: str
    at: float
    calls: tuple[int, int] = (0, 0)
    sessions: tuple[int, int] = (0, 0)
    readings: Sequence[dict[str, Any]] = ()
    lost: int = 0
    round: int = 0


class Sighting(msgspec.Struct, frozen=True, array_like=True):
    """One thing seen of a rollout: a finished request, or a pair of answers compared in the shadow.

    `attempt`, `step`: of the rollout when the request was assigned. `pair`: msgpack of a `policy.shadow.Pair`, b"" for none.
    `lost`: sightings of the same process dropped since the one before. `trace`: id of the request's trace, "" for none.
    """

    rollout: str
    attempt: int
    step: int
    seen: Observation | None = None
    pair: bytes = b""
    lost: int = 0
    trace: str = ""


class Shelf(Protocol):
    """Where rollouts are kept. Every waiting method raises Away when the store does not answer in time."""

    @property
    def used(self) -> bool:
        """Say whether something is known to have been kept before, without asking anybody."""

    async def start(self, wake: Callable[[], None]) -> None:
        """Open it. `wake` is called when there may be news, from the event loop."""

    async def close(self) -> None:
        """Resign and close it."""

    async def read(self) -> Mapping[str, Held]:
        """Return all rollouts there are, and begin to follow their moves from here on."""

    async def follow(self) -> Sequence[Move]:
        """Return the moves since the last `read` or `follow`, in order; raises Missed when there were too many."""

    async def put(self, move: Move) -> bool:
        """Keep a move whose `held.version` is one above what is kept; False when somebody else was first.

        Raises: Deposed, when `move.token` is older than one that has been seen.
        """

    async def lead(self) -> int:
        """Take or renew the lease; return the fencing token, 0 when somebody else leads."""

    async def report(self, sightings: Sequence[bytes]) -> None:
        """Hand what was seen to whoever leads; of what is too much the oldest is dropped."""

    async def collect(self, after: str) -> tuple[str, Sequence[bytes], int]:
        """Return what was seen after a place ("" for the beginning): the new place, sightings in order, how many are lost."""

    async def keep(self, rollout: str, evidence: bytes, progress: bytes, token: int) -> None:
        """Keep the judge's memory, b"" to leave it as it is, and what it says. Raises: Deposed."""

    async def kept(self, rollout: str) -> bytes:
        """Return the judge's memory, b"" for none."""

    async def progress(self) -> Mapping[str, bytes]:
        """Return what the judge says of each rollout."""

    async def serve(self, versions: Mapping[str, int]) -> None:
        """Say which version of each rollout this host serves by."""

    async def served(self) -> Sequence[Mapping[str, int]]:
        """Return what each host that was heard of lately serves by."""


class Away(Exception):
    """The store of the rollouts does not answer. The text is one safe word or two."""


class Missed(Exception):
    """More moves were made than are kept: read everything anew."""


class Deposed(Exception):
    """Another leader has taken over; whatever this one decides is void."""


def opened(rollout: Rollout, now: float) -> Move:
    """Return the move by which a rollout of the config file comes to be known."""
    state = State(rollout.id, tuple(rollout.steps), rollout.shadow is not None)
    held = Held(state, 1, now, now, plain(rollout), "config")
    return Move(rollout.id, "added", Phase.DRAFT, held, "config", "named in the config file", now)


def moved(
    held: Held,
    signal: Signal,
    actor: str,
    reason: str,
    now: float,
    at: int | None = None,
    evidence: dict[str, Any] | None = None,
    token: int = 0,
) -> Move | None:
    """Apply one signal; None when it changes nothing.

    Args:
        at: The step that the signal is about, as for `rollout.step`.
        token: Of the leader that decides, 0 for people.
    """
    before = held.state
    state = step(before, signal, at)
    if state is before:
        return None
    same = state.phase in STEP_PHASES and before.phase in STEP_PHASES and state.step == before.step
    after = replace(
        held,
        state=state,
        version=held.version + 1,
        at=now,
        since=held.since if same and not afresh(held, signal, actor) else now,
        actor=actor,
        reason=reason,
        paused=JUDGE if signal is Signal.PAUSE and actor == JUDGE else "",
        round=held.round + int(not same or afresh(held, signal, actor)),
        evidence=proof(evidence or None)[0],
    )
    return Move(before.id, signal.value, before.phase, after, actor, reason, now, evidence or {}, token)


def afresh(held: Held, signal: Signal, actor: str) -> bool:
    """Say whether a signal begins the judgement of a step anew: somebody goes on with what the judge had stopped."""
    stopped = held.state.phase is Phase.INCONCLUSIVE or held.paused == JUDGE
    return signal is Signal.RESUME and stopped and actor != JUDGE


def changed(held: Held, rollout: Rollout, now: float) -> Move | None:
    """Take over what the config file says now; None when that is nothing new, or nothing that can be taken over.

    What has begun keeps its target. Steps that have passed are passed: the one under way is the largest new one that is no
    larger, else the first. Evidence goes on where the step, guards and signals are as they were.
    """
    settings, before = plain(rollout), held.state
    if settings == held.settings:
        return None
    if before.phase is not Phase.DRAFT:
        settings["target"] = held.settings["target"]
        if settings == held.settings:
            return None
    steps = tuple(rollout.steps)
    place = -1
    if before.step >= 0:
        place = max((number for number, share in enumerate(steps) if share <= before.steps[before.step]), default=0)
    state = replace(before, steps=steps, step=place, shadow=rollout.shadow is not None)
    judged = ("guard", "signal", "bake", "false_rollback_rate")
    same = before.share == state.share and all(settings[key] == held.settings[key] for key in judged)
    after = replace(held, state=state, version=held.version + 1, at=now, settings=settings, actor="config")
    after = replace(after, reason="changed in the config file", round=held.round + int(not same))
    return Move(before.id, "changed", before.phase, after, "config", after.reason, now)


def flagged(
    held: Held | None, name: str, flag: dict[str, Any] | None, actor: str, reason: str, now: float
) -> Move | None:
    """Return the move that sets a flag by hand, or with None removes it; None when that changes nothing.

    Flags set by hand are kept as one thing among the rollouts, so that they come to every host and worker as those do.
    """
    kept = {} if held is None else held.settings
    if kept.get(name) == flag:
        return None
    settings = {known: one for known, one in kept.items() if known != name} | ({name: flag} if flag else {})
    state = State(FLAGS, (), phase=Phase.PROMOTED)
    after = Held(state, held.version + 1 if held else 1, now, now, settings, actor, reason)
    figures = {"flag": name, "before": kept.get(name), "after": flag}
    return Move(FLAGS, "set" if flag else "removed", Phase.PROMOTED, after, actor, reason, now, figures)


def plain(rollout: Rollout) -> dict[str, Any]:
    """Return settings as plain data."""
    return rollout.model_dump(mode="json")


def settled(held: Held) -> Rollout:
    """Return the settings that a rollout runs by. They were checked when they were read from the file."""
    said = held.settings
    gates = [
        Gate.model_construct(
            **{**gate, "shadow": ShadowGate.model_construct(**gate["shadow"]) if gate["shadow"] else None}
        )
        for gate in said["gates"]
    ]
    blocks = {
        "target": Target.model_construct(**said["target"]),
        "scope": Scope.model_construct(**said["scope"]),
        "bake": Bake.model_construct(**said["bake"]),
        "on_fail": OnFail.model_construct(**said["on_fail"]),
        **{name: [Criterion.model_construct(**one) for one in said[name]] for name in ("guard", "signal")},
    }
    return Rollout.model_construct(**{**said, "gates": gates, **blocks})


def current(progress: Progress, held: Held) -> bool:
    """Say whether what the judge said is about the rollout as it stands: after an end it still is, after a new beginning not."""
    phase = held.state.phase
    if phase in (*STEP_PHASES, Phase.SHADOW):
        return progress.round == held.round
    return held.state.refused or phase not in (Phase.DRAFT, Phase.PREFLIGHT)


def begun(held: Held) -> bool:
    """Say whether a rollout is under way: neither before its start nor at one of its ends."""
    return held.state.phase in (*STEP_PHASES, Phase.PREFLIGHT, Phase.SHADOW, Phase.ROLLING_BACK)
