"""Resume: a stream of plain text that broke after its commit point goes on at the next backend (R1), where a tier wants that.

One `Resume` belongs to one request. It writes down what the client gets, within bounds, and when the stream breaks asks
the next backend to go on from there, as an attempt of its own with limits, breaker and deadlines. Where that cannot be or
does not succeed, the client gets the one honest error event as ever.
"""

from collections.abc import Callable

from msgspec.structs import replace

from twospeed.dialects import Dialect
from twospeed.dialects.resuming import KITS, Heard, Prefill, Spliced, continued
from twospeed.errors import Fault, Kind
from twospeed.policy.race import MAX_ATTEMPTS
from twospeed.types import Candidate, Plan, Record, Request, Usage
from twospeed.upstream.attempt import Attempts
from twospeed.upstream.client import Job, Try

PATIENCE = 10.0  # seconds for the first token of whoever goes on: the shortest idle timer seen in a client is 15
_NO_MATTER_WHO = frozenset({Kind.CLIENT_GONE, Kind.CLIENT_STALLED, Kind.TOTAL_TIMEOUT, Kind.ANSWER_TOO_LARGE})


class Resume:
    """What it takes to go on with one request's stream.

    Args:
        job: What its attempts share; the body is kept as long as this is.

    `attempt`: the one that serves now. `before`: what those before it have used, None while there were none.
    """

    def __init__(
        self, attempts: Attempts, plan: Plan, job: Job, record: Record, attempt: Try, clock: Callable[[], float]
    ) -> None:
        assert attempt.reader is not None
        self._attempts = attempts
        self._plan = plan
        self._job = job
        self._record = record
        self._clock = clock
        self._kit = KITS[job.dialect.name]
        self._scribe = self._kit.scribe()
        self._events = 0
        self.before: Usage | None = None
        self.attempt = attempt
        held = b"".join(attempt.held)
        attempt.reader = reader = Heard(attempt.reader, self._scribe)
        self._scribe.hear(held)
        if attempt.broken is not None:
            reader.broke()

    @property
    def events(self) -> int:
        """Content events of all attempts."""
        reader = self.attempt.reader
        return self._events + (reader.output_events if reader else 0)

    async def __call__(self, fault: Fault) -> Try | None:
        """Return the attempt that goes on, at its commit point; None where the stream ends with this fault.

        The attempt that broke is closed in any case.
        """
        broken = self.attempt
        assert broken.reader is not None
        left = broken.reader.good
        self._attempts.close(broken, fault.kind, fault.detail)
        if fault.kind in _NO_MATTER_WHO or not fault.meaning.fallback or not self._scribe.resumable:
            return None
        used = broken.usage or broken.estimate()
        before = _sum(self.before, used)
        for candidate in self._others():
            attempt = await self._go_on(candidate, before)
            if attempt is not None:
                self.before, self._events = before, self.events
                self.attempt = attempt
                attempt.held = (self._scribe.owed(left), *attempt.held)
                self._record.notes += [f"resumed:{candidate.backend.name}", f"resume:{self._plan.tier}:ok"]
                return attempt
        self._record.notes.append(f"resume:{self._plan.tier}:failed")
        return None

    def total(self, usage: Usage | None) -> Usage | None:
        """Return the usage of all attempts, given that of the last one."""
        return usage if self.before is None or usage is None else _sum(self.before, usage)

    def _others(self) -> list[Candidate]:
        """Return whom nobody has asked yet, as far as attempts are left (R4)."""
        asked = {attempt.backend.name for attempt in self._record.attempts}
        left = max(0, MAX_ATTEMPTS - len(self._record.attempts))
        others = [c for c in self._plan.candidates if c.backend.name not in asked]
        return [c for c in others if self._job.request.completion is not None or self._prefill(c) != "none"][:left]

    def _prefill(self, candidate: Candidate) -> Prefill:
        """Return how a backend is shown the beginning of an answer; a translation carries the plain way only."""
        link, dialect = self._attempts.link(candidate), self._job.dialect
        prefill = link.quirks.prefill
        if not link.dialects or dialect.name in link.dialects:
            return prefill
        target = next((name for name in dialect.served_by if name in link.dialects), "")
        return "plain" if prefill == "plain" and target in KITS else "none"

    async def _go_on(self, candidate: Candidate, before: Usage) -> Try | None:
        job, scribe = self._job, self._scribe
        spent = before.output_tokens
        made = continued(job.request, scribe.text, spent, self._prefill(candidate))
        if made is None:
            return None
        body, shown = made
        timeouts = candidate.timeouts
        hurried = replace(timeouts, first_token=min(timeouts.first_token, PATIENCE))
        plan = replace(
            self._plan, candidates=(replace(candidate, timeouts=hurried),), most=1, hedge=None, limit_wait=0.0
        )
        try:
            request = job.dialect.decode(body, job.request.endpoint)
            again = Job(job.dialect, request, job.headers, job.trace, job.id, job.wall)
            attempt = await self._attempts.run(plan, again, self._record)
        except Fault:
            return None  # its row in the record says why; the client hears of the break itself
        attempt.row.resumed = True
        if attempt.row.span:
            attempt.name()  # before what is held is joined to what another one said
        assert attempt.reader is not None
        reader = Spliced(attempt.reader, scribe, self._kit.splice(scribe, shown, before))
        try:
            joined = reader.join(b"".join(attempt.held))
        except Fault as fault:
            self._attempts.close(attempt, fault.kind, fault.detail)
            return None
        if attempt.broken is not None:
            reader.broke()
        attempt.reader, attempt.held = reader, (joined,)
        return attempt


def may_resume(plan: Plan, dialect: Dialect, request: Request) -> bool:
    """Say whether a stream may go on elsewhere when it breaks: plain text of a known dialect, not an answer in JSON."""
    if not plan.resume or (plan.switches is not None and plan.switches.resume is False):
        return False
    return dialect.name in KITS and len(plan.candidates) > 1 and not dialect.conversation(request).wants_schema


def _sum(before: Usage | None, used: Usage) -> Usage:
    if before is None:
        return used
    return Usage(
        before.input_tokens + used.input_tokens,
        before.output_tokens + used.output_tokens,
        before.cached_tokens + used.cached_tokens,
        before.reasoning_tokens + used.reasoning_tokens,
        before.estimated or used.estimated,
        before.cache_write_tokens + used.cache_write_tokens,
    )
