"""Drives the race: does what it commands with connections, limits and a clock, and reports back. Decides nothing.

Without a hedge everything happens in the request's own task, one await at a time; cancellation (the client left)
closes the attempt under way and goes on up.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from twospeed.errors import Fault, Kind
from twospeed.policy.advice import remaining
from twospeed.policy.breaker import Health
from twospeed.policy.budget import Spending
from twospeed.policy.estimate import Estimates
from twospeed.policy.hedge import HedgedRace, Purse
from twospeed.policy.limit import Ask, Limits, Permit, Refusal
from twospeed.policy.race import (
    TICK,
    Admit,
    Admitted,
    Begin,
    Cancel,
    Command,
    Committed,
    Connected,
    Event,
    Failed,
    Lose,
    Open,
    Race,
    Refused,
)
from twospeed.policy.tracing import child
from twospeed.types import Attempt, Candidate, Hedging, Offer, Plan, Record, Tier
from twospeed.upstream.client import Job, Link, Try
from twospeed.upstream.hedged import Hedged
from twospeed.upstream.vigil import Vigil


class Attempts:
    """Runs races. One per configuration snapshot.

    Args:
        links: How each backend is reached, by backend name.
        estimates: What requests will use; outlives the snapshot.
        clock: Instants in seconds, on the event loop's clock.
        roll: Chance in [0, 1).
    """

    def __init__(
        self,
        links: Mapping[str, Link],
        limits: Limits,
        health: Health,
        estimates: Estimates,
        clock: Callable[[], float],
        roll: Callable[[], float],
    ) -> None:
        self._links = links
        self._limits = limits
        self._health = health
        self._estimates = estimates
        self._spendings: dict[str, Spending] = {}
        self._purses: dict[Tier, Purse] = {}
        self._clock = clock
        self._roll = roll
        self._vigil = Vigil(limits)

    def run(self, plan: Plan, job: Job, record: Record) -> Coroutine[Any, Any, Try]:
        """Race the plan's candidates and return the attempt whose answer goes to the client, at its commit point.

        The caller closes it. Every attempt leaves its row in the record. Raises: Fault, the one to tell the client.
        """
        if plan.hedge is not None and (plan.switches is None or plan.switches.hedge is not False):
            return self._run_hedged(plan, plan.hedge, job, record)
        return _Course(self, plan, job, record).run()

    async def _run_hedged(self, plan: Plan, hedging: Hedging, job: Job, record: Record) -> Try:
        purse = self._purses.get(plan.tier)
        if purse is None:
            purse = self._purses[plan.tier] = Purse(hedging.extra)
        purse.asked()

        def delay(backend: str) -> float | None:
            return self._estimates.first_token_p95(backend) if hedging.after is None else hedging.after

        race = HedgedRace(plan, self._roll(), delay)
        hedged = Hedged(race, lambda: _Leg(self, plan, job, record), self._clock)
        won: Try | None = None
        try:
            won = await hedged.run()
            return won
        finally:
            if hedged.hedge is not None and hedged.hedge.current is not None:
                outcome = "won" if hedged.hedge.current is won else "lost"
                record.notes.append(f"hedge:{plan.tier}:{outcome}")

    def may_hedge(self, plan: Plan, backend: str) -> bool:
        """Say whether a second backend may be asked: it has room to spare, and a hedge has been earned."""
        assert plan.hedge is not None
        levels = self._limits.levels(self._links[backend].pool)
        return all(level.used < plan.hedge.busy * level.limit for level in levels) and self._purses[plan.tier].spend()

    def close(self, attempt: Try, kind: Kind | None, detail: str = "") -> None:
        """End an attempt: `kind` None when its whole answer was delivered."""
        if not attempt.close(kind, self._clock(), self._limits, self._health, detail):
            return
        permit, used = attempt.permit, attempt.usage
        if permit is not None:
            self._vigil.end(permit)
        if kind is None and used is not None and not used.estimated:
            backend = attempt.row.backend.name
            self._estimates.observe(backend, attempt.body_bytes, used.input_tokens, used.output_tokens)

    def link(self, candidate: Candidate) -> Link:
        """Return how a candidate is reached."""
        return self._links[candidate.backend.name]


class _Course:
    """One race being run."""

    hedge = False
    current: Try | None = None
    _permit: Permit | None = None
    _left = False  # the version on trial, while it was asked

    def __init__(self, attempts: Attempts, plan: Plan, job: Job, record: Record) -> None:
        self._attempts = attempts
        self._plan = plan
        self._job = job
        self._record = record

    async def run(self) -> Try:
        clock, race = self._attempts._clock, Race(self._plan, self._attempts._roll())
        command = race.start(clock())
        try:
            while True:
                event = await self._obeyed(race, command)
                if event is None:
                    assert self.current is not None
                    return self.current
                now = clock()
                # A loop's timers are coarser than its clock: the Tick that was waited for is never early.
                *cancelled, command = race.on(event, now if event is not TICK else max(now, race.deadline))
                if cancelled:
                    self._cancel(cancelled[0])
        except BaseException as error:
            if self.current is not None:
                self._attempts.close(self.current, error.kind if isinstance(error, Fault) else Kind.CLIENT_GONE)
            raise

    async def _obeyed(self, race: Race, command: Command) -> Event | None:
        """Do what a command says, an attempt as far as it goes; return what came of it, None for an answer that has begun."""
        if not isinstance(command, Admit):
            return await self._rested(race, command)
        attempts, candidate = self._attempts, command.candidate
        clock, link = attempts._clock, attempts._links[candidate.backend.name]
        refused = await self._admit(candidate, link)
        if refused is not None:
            return Refused(command.attempt, refused)
        attempt = self._opened(candidate, link)
        try:
            await attempt.connect(race.admitted(clock()), clock)
            await self._begun(attempt, race.connected(clock()))
        except TimeoutError:
            return TICK
        except Fault as fault:
            return self._failed(command.attempt, attempt, fault)
        if link.metered:
            self._learn(attempt)
        return None

    async def _rested(self, race: Race, command: Command) -> Event:
        if isinstance(command, Lose):
            raise command.fault
        await asyncio.sleep(max(0.0, race.deadline - self._attempts._clock()))
        return TICK

    def _cancel(self, command: Command) -> None:
        if isinstance(command, Cancel) and self.current is not None:
            self._attempts.close(self.current, command.kind)

    async def _admit(self, candidate: Candidate, link: Link) -> Fault | None:
        """Ask whether an attempt may be made; keep the permit, or return why not."""
        attempts, name, request = self._attempts, candidate.backend.name, self._job.request
        barred = self._barred(candidate, link)
        if barred is not None:
            return barred
        read, written = attempts._estimates.expected(name, len(request.body), request.max_tokens)
        within = link.deep_limit if self._plan.tier == "deep" else None
        answer: Permit | Refusal | None = None
        try:
            answer = await attempts._limits.take(Ask(link.pool, link.limit, read, written, within))
        finally:
            if candidate.probe and not isinstance(answer, Permit):
                attempts._health.released(name)  # the probe it claimed will find nothing out
        if isinstance(answer, Refusal):
            self._record.notes.append(f"limited:{link.pool}:{answer.dimension}")
            detail = f"{link.pool}: {answer.dimension}"
            return Fault(Kind.RATE_LIMITED, "rate limit reached", detail=detail, retry_after=answer.retry_after)
        if link.limit.concurrency is not None:
            attempts._vigil.begin(answer)
        self._permit = answer
        return None

    def _barred(self, candidate: Candidate, link: Link) -> Fault | None:
        """Say why a candidate is passed over before its limits are asked, None when it is not."""
        if candidate.offer is not None and candidate.offer.withdrawn:
            return self._withdrawn(candidate.offer)
        if candidate.probe and not self._may_probe(candidate):
            name = candidate.backend.name
            self._record.notes.append(f"breaker_open:{name}")
            wait = self._attempts._health.wait(name)
            return Fault(Kind.BREAKER_OPEN, "no backend can serve this now", retry_after=wait)
        attempts, provider = self._attempts, candidate.backend.provider
        spending = attempts._spendings.get(provider)
        if spending is None:
            spending = attempts._spendings[provider] = Spending(link.budget)
        if not self._record.attempts:
            spending.asked(attempts._clock())
        elif self._repeats(candidate) and not spending.again(attempts._clock()):
            self._record.notes.append(f"budget:{provider}")
            if candidate.probe:
                attempts._health.released(candidate.backend.name)
            return Fault(Kind.OVERLOADED, "no retry is left for now", retry_after=1.0)
        return None

    def _may_probe(self, candidate: Candidate) -> bool:
        health, name = self._attempts._health, candidate.backend.name
        if health.probe(name):
            return True
        return candidate is self._plan.candidates[-1] and health.last_resort(name)

    def _repeats(self, candidate: Candidate) -> bool:
        """Say whether one more attempt goes to a provider that is failing (R5); a healthy spare costs nothing."""
        tried, first = self._record.attempts, self._plan.candidates[0]
        if first.offer is not None and candidate is not first:
            # what a version on trial did not answer is nobody's repeat
            tried = [attempt for attempt in tried if attempt.backend is not first.backend]
        return candidate.probe or any(attempt.backend.provider == candidate.backend.provider for attempt in tried)

    def _opened(self, candidate: Candidate, link: Link) -> Try:
        """Begin an attempt that was let in, and its row in the record."""
        record = self._record
        row = Attempt(candidate.backend, self._attempts._clock(), hedge=self.hedge)
        record.attempts.append(row)
        if record.trace is not None:
            row.span = child(record.trace, len(record.attempts))
        attempt = self.current = Try(self._job, candidate, link, row, self._permit)
        self._permit = None
        return attempt

    def _begun(self, attempt: Try, deadline: float) -> Coroutine[Any, Any, None]:
        """Return what to await until the commit point."""
        offer = attempt.candidate.offer
        if offer is not None and self._plan.replayable:
            return self._on_trial(attempt, offer, deadline)
        return attempt.begin(deadline, self._attempts._clock)

    async def _on_trial(self, attempt: Try, offer: Offer, deadline: float) -> None:
        """Come to the commit point unless the version on trial is taken back meanwhile. Raises: as `begin`; Fault WITHDRAWN."""
        if offer.withdrawn:
            raise self._withdrawn(offer)
        offer.waiting.add(self._leave)
        try:
            await attempt.begin(deadline, self._attempts._clock)
        except Fault:
            if self._left:
                raise self._withdrawn(offer) from None
            raise
        finally:
            offer.waiting.discard(self._leave)

    def _leave(self) -> None:
        """The version on trial is taken back while its answer is awaited: the next candidate is asked at once."""
        self._left = True
        if self.current is not None and self.current.exchange is not None:
            self.current.exchange.close()

    def _withdrawn(self, offer: Offer) -> Fault:
        self._record.notes.append(f"withdrawn:{offer.rollout}")
        return Fault(Kind.WITHDRAWN, "the version that was to answer has been taken back; try again", retry_after=1.0)

    def _learn(self, attempt: Try) -> None:
        """Take the provider's word for what is left of its limits (R21)."""
        for left in remaining(attempt.headers, self._job.wall):
            self._attempts._limits.learn(attempt.link.pool, *left)

    def _failed(self, number: int, attempt: Try, fault: Fault) -> Failed:
        if fault.kind is Kind.PROVIDER_RATE_LIMITED and fault.retry_after:
            self._attempts._limits.cool(attempt.link.pool, fault.retry_after)
            if attempt.link.metered:
                self._learn(attempt)
        self._attempts.close(attempt, fault.kind, fault.detail)
        return Failed(number, fault.bare(), attempt.sent)


class _Leg(_Course):
    """One attempt of a hedged race, which keeps the deadlines and ends what is late."""

    _candidate: Candidate  # since it was to be admitted

    async def obey(self, command: Command) -> Event:
        """Do what a command says; see `hedged.Leg`."""
        if isinstance(command, Admit):
            refused = await self._enter(command)
            return Admitted(command.attempt) if refused is None else Refused(command.attempt, refused)
        assert isinstance(command, Open | Begin)
        clock, deadline = self._attempts._clock, self._plan.deadline
        candidate = self._candidate
        attempt = self.current or self._opened(candidate, self._attempts.link(candidate))
        try:
            if isinstance(command, Open):
                await attempt.connect(deadline, clock)
                return Connected(command.attempt)
            await self._begun(attempt, deadline)
        except TimeoutError:
            return TICK
        except Fault as fault:
            return self._failed(command.attempt, attempt, fault)
        if attempt.link.metered:
            self._learn(attempt)
        self._waited()
        return Committed(command.attempt)

    async def _enter(self, command: Admit) -> Fault | None:
        self._candidate = candidate = command.candidate
        if command.hedge:
            self.hedge = True
            if not self._attempts.may_hedge(self._plan, candidate.backend.name):
                return Fault(Kind.OVERLOADED, "no hedge now", retry_after=1.0)
        return await self._admit(candidate, self._attempts.link(candidate))

    def drop(self, kind: Kind) -> None:
        """Close it, or give back what it was admitted with."""
        attempts = self._attempts
        if self.current is not None:
            attempts.close(self.current, kind)
            if kind is Kind.HEDGE_LOST:  # it would have taken longer: forgetting that would make the delay ever shorter
                self._waited()
        elif self._permit is not None:
            attempts._vigil.end(self._permit)
            attempts._limits.refund(self._permit)
            if self._candidate.probe:
                attempts._health.released(self._candidate.backend.name)

    def _waited(self) -> None:
        assert self.current is not None
        row = self.current.row
        attempts = self._attempts
        attempts._estimates.waited(row.backend.name, attempts._clock() - row.started_at)
