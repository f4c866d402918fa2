"""Seats: requests under way and in line, counted in this process for all configuration snapshots at once (R17).

Who may sit is decided in `policy.overload`; here is who does. Owns no task: a request waits in its own, and whoever leaves
hands the seat on at once, to the fast tier first and in each tier in the order of coming.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable

from twospeed.errors import Fault, Kind
from twospeed.policy.overload import UNKNOWN, Caps, Lane, Wait, decide, departed, fits
from twospeed.types import TIERS, Tier


class Seats:
    """The seats of one process. `caps` may be changed at any time; who sits keeps the seat.

    `lanes`: what is under way, per tier. `refused`: requests turned away, per tier.

    Args:
        clock: Instants in seconds, on the event loop's clock.
    """

    def __init__(self, caps: Caps, clock: Callable[[], float]) -> None:
        self.caps = caps
        fast, deep = Lane(), Lane()
        self.lanes: dict[Tier, Lane] = {"fast": fast, "deep": deep}
        self._sides: dict[Tier, tuple[Lane, Lane]] = {"fast": (fast, deep), "deep": (deep, fast)}  # own, other
        self.refused: Counter[Tier] = Counter()
        self._clock = clock
        self._lines: dict[Tier, deque[asyncio.Future[None]]] = {tier: deque() for tier in TIERS}

    @property
    def full(self) -> bool:
        """Whether no request of any tier could begin, nor wait."""
        caps, fast, deep = self.caps, self.lanes["fast"], self.lanes["deep"]
        return fast.under_way + deep.under_way >= caps.total and min(fast.waiting, deep.waiting) >= caps.line

    def use(self, tier: Tier) -> float:
        """Return how full the tier or the whole house is, 0..1; 1 where anybody of the tier waits."""
        own, other = self._sides[tier]
        cap = self.caps.fast if tier == "fast" else self.caps.deep
        if own.waiting:
            return 1.0
        return max(own.under_way / cap, (own.under_way + other.under_way) / self.caps.total)

    async def take(self, tier: Tier, deadline: float) -> Tier:
        """Sit down, or stand in line where that is short; the caller `give`s the seat back.

        Args:
            deadline: Instant at which the request has failed anyway.

        Raises: Fault OVERLOADED.
        """
        own, other = self._sides[tier]
        if own.waiting or not fits(self.caps, tier, own, other):
            await self._stand_in_line(tier, own, deadline)
        own.under_way += 1
        return tier

    def give(self, seat: Tier | None) -> None:
        """Leave a seat, None for one never taken."""
        if seat is None:
            return
        own, other = self._sides[seat]
        own.under_way -= 1
        departed(own, self._clock())
        if own.waiting or other.waiting:
            self._call_next()

    async def _stand_in_line(self, tier: Tier, lane: Lane, deadline: float) -> None:
        decision = decide(self.caps, lane, self._clock(), deadline)
        if not isinstance(decision, Wait):
            raise self._refusal(tier, decision.retry_after)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._lines[tier]
        line.append(turn)
        lane.waiting += 1
        try:
            async with asyncio.timeout(decision.until - self._clock()):
                await asyncio.shield(turn)
        except TimeoutError:
            self._leave_line(tier, turn)
            raise self._refusal(tier, UNKNOWN) from None
        except asyncio.CancelledError:
            self._leave_line(tier, turn)
            raise
        lane.under_way -= 1  # the seat that was held for it; it sits down in the very same step

    def _leave_line(self, tier: Tier, turn: "asyncio.Future[None]") -> None:
        if turn.done():  # called in the very moment of leaving
            self.lanes[tier].under_way -= 1
            self._call_next()
        else:
            self._lines[tier].remove(turn)
            self.lanes[tier].waiting -= 1

    def _call_next(self) -> None:
        for tier in TIERS:
            line, (own, other) = self._lines[tier], self._sides[tier]
            while line and fits(self.caps, tier, own, other):
                own.waiting -= 1
                own.under_way += 1  # held for it until its task runs, so that nobody overtakes
                line.popleft().set_result(None)

    def _refusal(self, tier: Tier, retry_after: float) -> Fault:
        self.refused[tier] += 1
        detail = f"{self.lanes[tier].under_way} {tier} requests under way, {self.lanes[tier].waiting} in line"
        message = "the server has as many requests under way as it takes; try again"
        return Fault(Kind.OVERLOADED, message, detail=detail, retry_after=retry_after)
