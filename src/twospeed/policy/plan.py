"""Plan: a verdict or a pin, and the health of backends, become ordered candidates with deadlines.

Names are resolved once, when the configuration is built (`Catalogue`); a request only looks up and orders.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Annotated

import msgspec
from msgspec.structs import replace
from pydantic import Field

from twospeed.policy.access import Caller
from twospeed.policy.affinity import Affinity, Bound
from twospeed.policy.breaker import Health
from twospeed.policy.down import WhenDown, most
from twospeed.policy.hedge import Hedge
from twospeed.policy.keystroke import CancelOlder
from twospeed.policy.rank import Load, Ordering, Rank, unloaded
from twospeed.policy.rank.ordered import Rank as Ordered
from twospeed.types import Backend, Candidate, Hedging, Offer, Plan, Request, Settings, Tier, Timeouts, Verdict
from twospeed.units import Duration, PositiveCount, PositiveDuration

AUTO = "auto"
CACHE_WINDOW = 300.0  # seconds, of backends that are in no tier
_KNOWN = 4_096  # answers kept; routes also come from what requests wish for


class Deadlines(Settings):
    """`tiers.<tier>.timeouts` (R6). None is derived from another; a client may only lower them."""

    connect: PositiveDuration | None = None
    """TCP and TLS to the provider; fast 1s, deep 3s."""
    first_token: PositiveDuration | None = None
    """From connected to the first content of a stream; fast 2s, deep 300s."""
    idle: PositiveDuration | None = None
    """Between bytes of a stream; fast 15s, deep 120s."""
    total: PositiveDuration | None = None
    """The whole request, all attempts together; fast 60s, deep 900s."""


DEFAULT_TIMEOUTS: dict[Tier, Timeouts] = {
    "fast": Timeouts(connect=1.0, first_token=2.0, idle=15.0, total=60.0),
    "deep": Timeouts(connect=3.0, first_token=300.0, idle=120.0, total=900.0),
}


class TierSettings(Settings):
    """`tiers.fast` and `tiers.deep`: where the requests of a tier may go, in which order and for how long."""

    models: Annotated[list[str], Field(min_length=1)]
    """Backends in order of preference: provider/model, or an alias from `models`."""
    timeouts: Deadlines = Deadlines()
    """Deadlines of requests in this tier."""
    max_in_flight: PositiveCount | None = None
    """Requests of this tier under way at once in each process; left out: only `listen.max_in_flight` and its
    `fast_share` bound them."""
    keepalive_after: Duration = 30.0
    """How long a stream may wait for its first content before keep-alives tell the client that it lives; 0: never."""
    rank: Annotated[Rank, Field(description="How to order the backends that can serve.")] = Ordered()
    cancel_older: CancelOlder = "typing"
    """When a newer streamed completion ends an older one of the same session, endpoint and model. typing: in sessions
    that the client names, and elsewhere where the texts show that somebody typed on; session: in named sessions only."""
    when_down: WhenDown = "refuse"
    """What becomes of a request when no backend of this tier can serve. refuse: an error that says when to come back;
    other_tier: the other tier serves it, where the request named no backends itself; empty: a completion gets an empty
    answer, so that the editor goes on working, and everything else is refused."""
    limit_wait: Duration = 0.0
    """How long a request may wait for room in a provider's limit instead of being refused, once, and never longer than a tenth
    of the time it has left; 0: not at all. Only where the limit itself says that it ends in time."""
    resume: bool = False
    """Whether a stream of plain text that breaks goes on at the next backend, instead of ending with an error. Completions
    go on anywhere; chat and Messages where the provider's `quirks.prefill` says how. Never inside a tool call, after
    reasoning, or in a JSON answer."""
    hedge: Hedge | None = None
    """Ask a second backend of the tier while the first stays silent; left out: never. Meant for the fast tier."""


class Tiers(Settings):
    """`tiers`: both are needed."""

    fast: TierSettings
    """Low latency: completions, edits, small questions."""
    deep: TierSettings
    """Heavy reasoning: hard tasks, large contexts."""


class Route(msgspec.Struct, frozen=True):
    """What a model name leads to. `tier` None: classify. `backends` empty: those of the tier.

    `names`: every name of the thing, for the allow-list of a caller. `reason`: why, as a stable code. `through`: names of
    `models` that it was followed through, the one asked for first.
    """

    tier: Tier | None
    backends: tuple[Backend, ...] = ()
    names: tuple[str, ...] = ()
    reason: str = ""
    through: tuple[str, ...] = ()


class Lane(msgspec.Struct, frozen=True):
    """One tier, resolved."""

    backends: tuple[Backend, ...]
    timeouts: Timeouts
    rank: Ordering
    cancel_older: CancelOlder = "typing"
    keepalive_after: float = 30.0  # seconds, 0 for never
    when_down: WhenDown = "refuse"
    hedge: Hedging | None = None
    resume: bool = False
    limit_wait: float = 0.0  # seconds


class Needs(msgspec.Struct, frozen=True):
    """What a request needs of a backend: `tokens` estimated in and out, and whether it carries images.

    `total`, `idle`: seconds the client is willing to wait, for the whole answer and between bytes (R6).
    """

    tokens: int = 0
    images: bool = False
    total: float = inf
    idle: float = inf


class Planner:
    """Turns a tier and its backends into a Plan. One per configuration snapshot.

    Args:
        lanes: Both tiers.
        names: Every name a backend is reachable under, for callers' allow-lists.
        health: Which backends may be tried.
        affinity: Where sessions went before.
        load: Requests under way at a backend, as far as this process knows.
    """

    def __init__(
        self,
        lanes: Mapping[Tier, Lane],
        names: Mapping[str, Sequence[str]],
        health: Health,
        affinity: Affinity,
        load: Load = unloaded,
    ) -> None:
        self._lanes = lanes
        self._names = names
        self.health = health
        self._affinity = affinity
        self._load = load
        self._candidates: dict[tuple[str, Tier, bool], Candidate] = {}
        self._reach: dict[tuple[str, Tier, tuple[Backend, ...], tuple[str, ...]], tuple[Backend, ...]] = {}

    def within_reach(
        self, verdict: Verdict, route: Route, caller: Caller, served_by: tuple[str, ...] = ()
    ) -> tuple[Verdict, Sequence[Backend]]:
        """Return the backends this caller may be sent to, in written order; () when there are none.

        A classified request that only the other tier can serve, by the caller's key or by the dialects, goes there.

        Args:
            served_by: Names of dialects of which a backend must speak one; () for any.
        """
        backends = self._reachable(verdict.tier, route, caller, served_by)
        if backends or route.tier is not None:
            return verdict, backends
        other: Tier = "deep" if verdict.tier == "fast" else "fast"
        cause = "dialect" if served_by and self._reachable(verdict.tier, route, caller, ()) else "key"
        moved = Verdict(other, (f"{cause}:{other}_only", *verdict.reasons), verdict.score, verdict.gain)
        return moved, self._reachable(other, route, caller, served_by)

    def _reachable(self, tier: Tier, route: Route, caller: Caller, served_by: tuple[str, ...]) -> tuple[Backend, ...]:
        key = (caller.name, tier, route.backends, served_by)
        known = self._reach.get(key)
        if known is None:
            backends = route.backends or self._lanes[tier].backends
            granted = self._granted(caller)
            known = tuple(backend for backend in backends if backend.name in granted and speaks(backend, served_by))
            if len(self._reach) < _KNOWN:
                self._reach[key] = known
        return known

    def _granted(self, caller: Caller) -> frozenset[str]:
        """Return the backends a caller may end up at, fallback included (R32).

        `auto` alone in a key's list opens both tiers; beside names of tiers, models or backends, those are the bounds.
        """
        own = frozenset(
            backend for backend, names in self._names.items() if caller.may_use(*(n for n in names if n != AUTO))
        )
        return own or frozenset(self._names if caller.may_use(AUTO) else ())

    def plan(
        self,
        tier: Tier,
        backends: Sequence[Backend],
        session: str,
        needs: Needs,
        request: Request,
        now: float,
        ordered: bool = False,
        offer: Offer | None = None,
    ) -> Plan:
        """Order the backends for one request; a request that wishes for some gets them in the order it says.

        Those that cannot hold the request come into play only when none can. A session keeps its backend while that
        is healthy. One whose breaker is not closed stays in its place as a probe, which the breaker admits or not.

        Args:
            ordered: They come in the order in which they are to be tried.
            offer: By which the first is on trial.
        """
        lane = self._lanes[tier]
        order = fitting(backends, needs)
        if len(order) > 1 and not ordered and request.wishes is None:
            order = self._ordered(lane, order, session, tier, now)
        candidates = tuple([self._candidate(backend, tier, lane) for backend in order])
        if needs.idle < lane.timeouts.idle:
            candidates = tuple([_hurried(candidate, needs.idle) for candidate in candidates])
        tries = most(lane.when_down)
        if offer is not None:
            tries += 1  # the stable version has as many as without the rollout
            candidates = (replace(candidates[0], offer=offer), *candidates[1:])
        deadline = now + min(lane.timeouts.total, needs.total)
        hedge = lane.hedge
        if hedge is not None and (not request.stream or request.stateful or len(order) < 2 or offer is not None):
            hedge = None
        return Plan(
            tier,
            candidates,
            deadline,
            request.stream,
            not request.stateful,
            tries,
            None,
            hedge,
            lane.limit_wait,
            lane.resume and request.stream and not request.stateful,
        )

    def pinned(self, session: str) -> str | None:
        """Return the tier or backend that an operator has sent the session to."""
        return self._affinity.pinned(session)

    def bind(self, tier: Tier, session: str, backend: str, now: float) -> None:
        """Remember which backend served a session; a transient failure of its own backend does not rebind it, a pause in
        which that backend has forgotten the prompt does."""
        lane = self._lanes[tier]
        if not session or len(lane.backends) < 2:
            return
        key = affinity_key(session, tier)
        bound = self._affinity.bound(key)
        if bound is None or bound.backend == backend or not self._holds(bound, lane.backends, now):
            self._affinity.put(key, backend)

    def _ordered(
        self, lane: Lane, backends: Sequence[Backend], session: str, tier: Tier, now: float
    ) -> Sequence[Backend]:
        named = {backend.name: backend for backend in backends}
        order = lane.rank.order(list(named), self.health, session, self._load)
        bound = self._affinity.bound(affinity_key(session, tier)) if session else None
        first = bound.backend if bound is not None else order[0]
        if bound is not None and first != order[0] and first in named and self._holds(bound, backends, now):
            order = [first, *(name for name in order if name != first)]
        return [named[name] for name in order]

    def _holds(self, bound: Bound, backends: Sequence[Backend], now: float) -> bool:
        """Say whether a session gains from going back: its backend is healthy and has the prompt in its cache."""
        window = next((backend.cache_window for backend in backends if backend.name == bound.backend), CACHE_WINDOW)
        return now - bound.at < window and self.health.usable(bound.backend)

    def _candidate(self, backend: Backend, tier: Tier, lane: Lane) -> Candidate:
        key = (backend.name, tier, not self.health.usable(backend.name))
        candidate = self._candidates.get(key)
        if candidate is None:
            candidate = self._candidates[key] = Candidate(backend, lane.timeouts, probe=key[2])
        return candidate


def _hurried(candidate: Candidate, idle: float) -> Candidate:
    return replace(candidate, timeouts=replace(candidate.timeouts, idle=idle))


def fitting(backends: Sequence[Backend], needs: Needs) -> Sequence[Backend]:
    """Return those that can hold the request; all of them when none can, so that the provider has the last word.

    Estimates of tokens are rough, so a request is never refused here.
    """
    fit = [b for b in backends if (not b.context or needs.tokens <= b.context) and (b.images or not needs.images)]
    return fit or backends


def speaks(backend: Backend, served_by: Sequence[str]) -> bool:
    """Say whether a backend speaks one of these dialects.

    >>> speaks(Backend("p", "m", "r", "p/m@r", dialects=frozenset({"openai_chat"})), ("openai_responses",))
    False
    """
    return not served_by or not backend.dialects or not backend.dialects.isdisjoint(served_by)


def affinity_key(session: str, tier: Tier) -> str:
    """Name the memory of one session in one tier."""
    return f"{session}:{tier}"
