"""Trial: one copy put to the candidate, read to its end, and what came of it. Nobody is told but the caller."""

from collections.abc import Callable
from typing import NamedTuple, cast

from twospeed.errors import Fault, Kind
from twospeed.mirror.tap import Listener
from twospeed.policy.breaker import Health
from twospeed.policy.estimate import BYTES_PER_TOKEN
from twospeed.policy.limit import Limits
from twospeed.types import Attempt, Candidate, Usage
from twospeed.upstream.client import Job, Link, Try


class Unheard:
    """Stands in for the breaker of real requests, which hears nothing of copies."""

    def succeeded(self, backend: str, first_token: float | None) -> None:
        """Pass over it."""

    def failed(self, backend: str, kind: Kind) -> None:
        """Pass over it."""

    def released(self, backend: str) -> None:
        """Pass over it."""


class Tried(NamedTuple):
    """What came of a copy. `fault`: None for a whole answer. `ended_at`: instant of its last event, as of the answer's end
    that a client sees."""

    row: Attempt
    fault: Fault | None
    usage: Usage
    finish: str
    ended_at: float


async def trial(
    job: Job, candidate: Candidate, link: Link, span: str, listener: Listener, clock: Callable[[], float]
) -> Tried:
    """Ask the candidate and read its answer as the client would have got it. Raises nothing but cancellation and bugs."""
    row = Attempt(candidate.backend, started_at=clock(), span=span)
    attempt = Try(job, candidate, link, row, None)
    fault: Fault | None = Fault(Kind.DRAINING)  # unless it comes to its end
    ended_at = row.started_at
    try:
        try:
            await _ask(attempt, row.started_at + candidate.timeouts.total, listener, clock)
            fault = None
        except Fault as found:
            fault = found
        ended_at = clock()
    finally:
        # No permit: the limits are never asked.
        nobody = cast(Health, Unheard())
        attempt.close(fault.kind if fault else None, clock(), cast(Limits, None), nobody, fault.detail if fault else "")
    reader = attempt.reader
    usage = attempt.usage or (reader.usage if reader else None) or _estimated(attempt)
    return Tried(row, fault, usage, (reader.finish if reader else attempt.finish) or "", ended_at)


async def _ask(attempt: Try, deadline: float, listener: Listener, clock: Callable[[], float]) -> None:
    timeouts = attempt.candidate.timeouts
    try:
        await attempt.connect(min(clock() + timeouts.connect, deadline), clock)
    except TimeoutError:
        raise Fault(Kind.CONNECT_TIMEOUT) from None
    streamed = attempt.job.request.stream
    try:
        await attempt.begin(min(clock() + timeouts.first_token, deadline) if streamed else deadline, clock)
    except TimeoutError:
        raise Fault(Kind.FIRST_TOKEN_TIMEOUT if streamed else Kind.TOTAL_TIMEOUT) from None
    if attempt.row.span:
        attempt.name()
    if attempt.reader is None:
        listener.whole(attempt.held[0])
        return
    try:
        await _stream(attempt, deadline, listener, clock)
    except TimeoutError:
        raise Fault(Kind.TOTAL_TIMEOUT if clock() >= deadline else Kind.IDLE_TIMEOUT) from None


async def _stream(attempt: Try, deadline: float, listener: Listener, clock: Callable[[], float]) -> None:
    reader, idle = attempt.reader, attempt.candidate.timeouts.idle
    assert reader is not None
    for held in attempt.held:
        listener.feed(held)
    attempt.held = ()
    if attempt.broken:
        raise attempt.broken
    while not reader.ended:
        data = await attempt.read(min(clock() + idle, deadline))
        listener.feed(reader.feed(data) if data else reader.end())
        if not data:
            return


def _estimated(attempt: Try) -> Usage:
    """What was used where the candidate never said; nothing where it was never asked."""
    if not attempt.sent:
        return Usage(estimated=True)
    return Usage(int(attempt.body_bytes / BYTES_PER_TOKEN), attempt.estimate().output_tokens, estimated=True)
