"""Changes of tier in the middle of a session: made only when they are worth more than the prompt cache they lose.

A conversation that has been served stands in the cache of that backend, for as long as the provider keeps it there. To
go to the other tier means to have it read anew, at the full price of that tier. What that costs is known from prices and
from the session's own usage; what it brings is how far the score is from the line, times what a solved task is worth.
What the client asks for (effort, plan mode) and a run in trouble need no such worth, but are bounded by what changes may
cost. Constraints (window, images) and calls aside from the conversation (titles, completions) are not weighed. Without
prices of cached input in both tiers nothing is, and nothing is kept. Why it pays: `benchmarks/cost.md`.
"""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from twospeed.policy.affinity import Affinity, Bound
from twospeed.policy.money import lost
from twospeed.policy.plan import Lane
from twospeed.policy.session import bounded
from twospeed.types import TIERS, Backend, Record, Settings, Tier, Usage, Verdict, Weighed
from twospeed.units import Dollars

ASIDE = frozenset({"completion", "side_call", "cursor"})  # first words of reasons: not part of the conversation
FREE = ASIDE | {"context", "images"}  # nor are these weighed: the other tier cannot serve them
SCORED = frozenset({"score", "low_confidence"})  # weighed against the score; the others against what may be spent
_MOVED = "down"  # a tier that was down is no reason to stay in the other one


class Sessions(Settings):
    """`sessions`: when a conversation under way may change its tier.

    With the defaults and a deep tier that reads 10,000 tokens anew for 3.5 cents more than from its cache, a fast one that
    does for one, a conversation of that size goes deep when its score is 0.08 above the line; one of 60,000 tokens when it
    is 0.45 above, pauses for longer than the cache lives, asks for effort, or is in trouble.
    """

    switch_worth: Dollars = 0.3
    """US dollars that one call in the right tier is worth; a change is expected to bring this times the distance of the
    score from the line. 0: no score moves a conversation while it is in a cache; 100: every score does."""
    max_switch_spend: Dollars = 2.0
    """US dollars that changes of tier may cost one conversation altogether, in prompt caches lost."""


class _Place(msgspec.Struct, frozen=True):
    tier: Tier
    bound: Bound


class Switching:
    """Weighs for one configuration snapshot. `active`: the prices to do so are there."""

    def __init__(
        self, settings: Sessions, lanes: Mapping[Tier, Lane], backends: Mapping[str, Backend], affinity: Affinity
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._first = {tier: _priced(lanes[tier].backends) for tier in TIERS}
        self._affinity = affinity
        self.active = all(backend is not None for backend in self._first.values())

    def weigh(self, verdict: Verdict, line: float, thread: str, now: float) -> Verdict:
        """Return the verdict, or the one that keeps the conversation where it is.

        Args:
            line: Score from which requests go deep.
            thread: What `thread_of` returns; "" for a conversation that cannot be told from others.
        """
        if not thread or verdict.reasons[0].partition(":")[0] in FREE:
            return verdict
        places = {tier: self._affinity.bound(f"{thread}:{tier}") for tier in TIERS}
        here = self._here(places, now)
        if here is None or here.tier == verdict.tier:
            return verdict
        tokens, dollars = self._lost(here, places[verdict.tier], verdict.tier, now)
        spent = max(bound.spent for bound in places.values() if bound is not None)
        most = self._settings.max_switch_spend
        worth = most
        if verdict.score is not None and verdict.reasons[0].partition(":")[0] in SCORED:
            worth = self._settings.switch_worth * abs(verdict.score - line)
        affordable = spent + dollars <= most
        trip = self._round_trip(here, tokens, dollars)
        made = affordable and trip <= worth
        weighed = Weighed(here.tier, tokens, dollars, worth, spent + dollars * made, made, trip)
        if made:
            return replace(verdict, weighed=weighed)
        reason = "session:cache" if affordable else "session:spend"
        return Verdict(here.tier, (reason, *verdict.reasons), verdict.score, verdict.gain, weighed)

    def served(self, record: Record) -> None:
        """Take note of where a conversation was served, and of what that backend may hold of it now."""
        usage, why = record.usage, record.reasons[0].partition(":")[0] if record.reasons else ""
        if usage is None or record.fault is not None or why in ASIDE or why == _MOVED or not record.attempts:
            return
        backend, key = record.attempts[-1].backend, f"{record.thread}:{record.tier}"
        before = self._affinity.bound(key)
        spent = before.spent if before is not None else 0.0
        if record.weighed is not None:
            spent = max(spent, record.weighed.spent)
        self._affinity.put(key, backend.name, _cached(usage, backend, before), spent)

    def _here(self, places: Mapping[Tier, Bound | None], now: float) -> _Place | None:
        """Return where the conversation was served last, None where that is cached no more."""
        known = [_Place(tier, bound) for tier, bound in places.items() if bound is not None]
        here = max(known, key=lambda place: place.bound.at, default=None)
        return here if here is not None and self._warm(here.bound, now) else None

    def _warm(self, bound: Bound, now: float) -> bool:
        backend = self._backends.get(bound.backend)
        return backend is not None and now - bound.at < backend.cache_window

    def _lost(self, here: _Place, there: Bound | None, tier: Tier, now: float) -> tuple[int, float]:
        """Return the tokens that the other tier would have to read anew, and what that costs beyond a cached read."""
        backend = self._first[tier]
        tokens = here.bound.tokens
        if there is not None and self._warm(there, now):
            backend = self._backends[there.backend]
            tokens = max(0, tokens - there.tokens)
        price = backend.price if backend is not None else None
        return tokens, lost(tokens, price) if price is not None else 0.0

    def _round_trip(self, here: _Place, tokens: int, dollars: float) -> float:
        """Return half of what it costs to go and to come back: the same in both directions, so that the dearer cache does
        not draw conversations to the cheaper tier and the share that goes deep stays what was asked for."""
        backend = self._backends.get(here.bound.backend)
        back = lost(tokens, backend.price) if backend is not None and backend.price is not None else dollars
        return (dollars + back) / 2


def thread_of(session: str, opening: Sequence[bytes]) -> str:
    """Name one conversation of a session: its agents and side calls begin differently, and are cached apart.

    Args:
        opening: System prompt and first user message. Only the latter is looked at: clients put changing lines into the
            former.

    Returns: "" where there is no session or no beginning.
    """
    if not session or not opening:
        return ""
    return f"{session}.{hashlib.blake2b(bounded(opening[-1:]), digest_size=6).hexdigest()}"


def _priced(backends: Sequence[Backend]) -> Backend | None:
    return next((backend for backend in backends if backend.price is not None and backend.price.caches), None)


def _cached(usage: Usage, backend: Backend, before: Bound | None) -> int:
    """Return how much of a prompt, its answer included, the backend holds in its cache after this call.

    All of it where the usage shows that the cache works, or cannot show it yet because this was the first call; nothing
    where a later call read nothing from it.
    """
    whole = usage.input_tokens + usage.output_tokens
    if usage.cached_tokens or usage.cache_write_tokens:
        return whole
    fresh = before is None or before.backend != backend.name
    automatic = backend.price is not None and backend.price.cache_write <= backend.price.input
    return whole if fresh and automatic else 0
