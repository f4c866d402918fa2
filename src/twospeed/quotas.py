"""Quotas: what the caller's own key may use, asked before any backend is (R18).

A key's permit is apart from those of providers and is settled once, when the request has ended, by what the client got:
a request counts when any backend was asked for it, tokens as far as they were used. A request for which nobody was asked
leaves no trace. Keys without limits never come here.
"""

from collections.abc import Callable, Sequence

from twospeed.errors import Fault, Kind
from twospeed.policy.access import Caller
from twospeed.policy.allowance import own
from twospeed.policy.estimate import Estimates
from twospeed.policy.headers import Pair
from twospeed.policy.limit import Ask, Limits, Permit, Refusal
from twospeed.policy.window import WINDOW
from twospeed.types import Plan, Record, Request
from twospeed.upstream.vigil import Vigil

_LEFT = frozenset({Kind.CLIENT_GONE, Kind.CLIENT_STALLED, Kind.SUPERSEDED})


class Quotas:
    """The limits of callers' keys.

    Args:
        wall: Seconds since the epoch.
    """

    def __init__(self, limits: Limits, estimates: Estimates, wall: Callable[[], float]) -> None:
        self._limits = limits
        self._estimates = estimates
        self._wall = wall
        self._vigil = Vigil(limits)

    async def take(self, caller: Caller, request: Request, plan: Plan, record: Record) -> Permit | Refusal:
        """Ask for one request of a caller whose key is limited; `settle` the permit."""
        assert caller.limit is not None
        first = plan.candidates[0].backend.name if plan.candidates else ""
        read, written = self._estimates.expected(first, len(request.body), request.max_tokens)
        answer = await self._limits.take(Ask(caller.pool, caller.limit, read, written))
        if isinstance(answer, Refusal):
            record.notes.append(f"limited:{caller.pool}:{answer.dimension}")
        elif caller.limit.concurrency is not None:
            self._vigil.begin(answer)
        return answer

    def headers(self, caller: Caller, anthropic: bool, refusal: Refusal | None = None) -> Sequence[Pair]:
        """Return the rate-limit headers of a caller's key, in the words of the API it speaks."""
        levels = self._limits.levels(caller.pool)
        if refusal is None:
            return own(levels, anthropic, self._wall(), WINDOW)
        return own(levels, anthropic, self._wall(), WINDOW, refusal)

    def settle(self, permit: Permit, record: Record) -> None:
        """Count what a finished request has used."""
        self._vigil.end(permit)
        if not record.attempts:
            self._limits.refund(permit)
        elif record.usage is not None:
            self._limits.settle(permit, record.usage.input_tokens, record.usage.output_tokens)
        else:
            left = record.fault in _LEFT and record.attempts[-1].connected_at is not None
            self._limits.settle(permit, permit.ask.input_tokens if left else 0, 0)


def refused(caller: Caller, refusal: Refusal) -> Fault:
    """Return the fault of a key that has used up what it may."""
    message = f"the {_WORDS.get(refusal.dimension, 'rate')} limit of this API key is reached; try again later"
    detail = f"{caller.pool}: {refusal.dimension}"
    return Fault(Kind.RATE_LIMITED, message, detail=detail, retry_after=refusal.retry_after)


_WORDS = {
    "rpm": "request",
    "tpm": "token",
    "itpm": "input token",
    "otpm": "output token",
    "concurrency": "concurrency",
}
