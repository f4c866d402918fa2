"""Drives the race: does what it commands with connections, limits and a clock, and reports back. Decides nothing.

Without a hedge everything happens in the request's own task, one await at a time; cancellation (the client left)
closes the attempt under way and goes on up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    Pause,
    Race,
    Refused,
    Win,
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

    async def run(self, plan: Plan, job: Job, record: Record) -> Try:
        """Race the plan's candidates and return the attempt whose answer goes to the client, at its commit point.

        The caller closes it. Every attempt leaves its row in the record. Raises: Fault, the one to tell the client.
        """
        if plan.hedge is not None and (plan.switches is None or plan.switches.hedge is not False):
            return await self._run_hedged(plan, plan.hedge, job, record)
        course = _Course(self, plan, job, record)
        try:
            return await course.run()
        except BaseException as error:
            if course.current is not None:
                self.close(course.current, Kind.CLIENT_GONE if not isinstance(error, Fault) else error.kind)
            raise

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
        if attempt.permit is not None:
            self._vigil.end(attempt.permit)
        used = attempt.usage
        if kind is None and used is not None and not used.estimated:
            name = attempt.candidate.backend.name
            self._estimates.observe(name, attempt.body_bytes, used.input_tokens, used.output_tokens)

    def link(self, candidate: Candidate) -> Link:
        """Return how a candidate is reached."""
        return self._links[candidate.backend.name]

    def spending(self, provider: str, link: Link) -> Spending:
        """What repeats have cost a provider lately."""
        known = self._spendings.get(provider)
        if known is None:
            known = self._spendings[provider] = Spending(link.budget)
        return known


class _Course:
    """One race being run."""

    hedge = False

    def __init__(self, attempts: Attempts, plan: Plan, job: Job, record: Record) -> None:
        self._attempts = attempts
        self._plan = plan
        self._job = job
        self._record = record
        self._race = Race(plan, attempts._roll())
        self._clock = attempts._clock
        self._permit: Permit | None = None
        self._candidate: Candidate | None = None
        self.current: Try | None = None
        self._left = False  # the version on trial, while it was asked

    async def run(self) -> Try:
        race, clock = self._race, self._clock
        commands: Sequence[Command] = (race.start(clock()),)
        while True:
            if len(commands) > 1:
                self._cancel(commands[0])
            command = commands[-1]
            if type(command) is Win:
                assert self.current is not None
                return self.current
            event = await _OBEY[type(command)](self, command)
            now = clock()
            # A loop's timers are coarser than its clock: the Tick that was waited for is never early.
            commands = race.on(event, now if event is not TICK else max(now, race.deadline))

    @property
    def _deadline(self) -> float:
        return self._race.deadline

    def _cancel(self, command: Command) -> None:
        if isinstance(command, Cancel) and self.current is not None:
            self._attempts.close(self.current, command.kind)

    async def _lose(self, command: Lose) -> Event:
        raise command.fault

    async def _pause(self, command: Pause) -> Event:
        await asyncio.sleep(max(0.0, self._race.deadline - self._clock()))
        return TICK

    async def _admit(self, command: Admit) -> Event:
        candidate = self._candidate = command.candidate
        backend = candidate.backend
        if candidate.offer is not None and candidate.offer.withdrawn:
            return Refused(command.attempt, self._withdrawn(candidate.offer))
        if candidate.probe and not self._may_probe(candidate):
            self._record.notes.append(f"breaker_open:{backend.name}")
            wait = self._attempts._health.wait(backend.name)
            return Refused(command.attempt, Fault(Kind.BREAKER_OPEN, "no backend can serve this now", retry_after=wait))
        link = self._attempts._links[backend.name]
        if not self._affords(candidate, link):
            self._record.notes.append(f"budget:{backend.provider}")
            return Refused(command.attempt, Fault(Kind.OVERLOADED, "no retry is left for now", retry_after=1.0))
        answer: Permit | Refusal | None = None
        try:
            answer = await self._attempts._limits.take(self._ask(backend.name, link))
        finally:
            if candidate.probe and not isinstance(answer, Permit):
                self._attempts._health.released(backend.name)  # the probe it claimed will find nothing out
        if isinstance(answer, Refusal):
            detail = f"{link.pool}: {answer.dimension}"
            fault = Fault(Kind.RATE_LIMITED, "rate limit reached", detail=detail, retry_after=answer.retry_after)
            self._record.notes.append(f"limited:{link.pool}:{answer.dimension}")
            return Refused(command.attempt, fault)
        if link.limit.concurrency is not None:
            self._attempts._vigil.begin(answer)
        self._permit = answer
        return Admitted(command.attempt)

    def _may_probe(self, candidate: Candidate) -> bool:
        health, name = self._attempts._health, candidate.backend.name
        if health.probe(name):
            return True
        return candidate is self._plan.candidates[-1] and health.last_resort(name)

    def _affords(self, candidate: Candidate, link: Link) -> bool:
        """Say whether the retry budget lets this attempt pass (R5); a first attempt and a healthy spare cost nothing."""
        provider = candidate.backend.provider
        spending, tried = self._attempts.spending(provider, link), self._record.attempts
        if not tried:
            spending.asked(self._clock())
            return True
        first = self._plan.candidates[0]
        if (
            first.offer is not None and candidate is not first
        ):  # what a version on trial did not answer is nobody's repeat
            tried = [attempt for attempt in tried if attempt.backend is not first.backend]
        again = candidate.probe or any(attempt.backend.provider == provider for attempt in tried)
        return not again or spending.again(self._clock())

    def _ask(self, backend: str, link: Link) -> Ask:
        request = self._job.request
        read, written = self._attempts._estimates.expected(backend, len(request.body), request.max_tokens)
        within = link.deep_limit if self._plan.tier == "deep" else None
        return Ask(link.pool, link.limit, read, written, within)

    async def _open(self, command: Open) -> Event:
        assert self._candidate is not None
        number, backend = command.attempt, self._candidate.backend
        record = self._record
        span = child(record.trace, len(record.attempts) + 1)
        row = Attempt(backend, started_at=self._clock(), span=span, hedge=self.hedge)
        record.attempts.append(row)
        attempt = Try(self._job, self._candidate, self._attempts._links[backend.name], row, self._permit)
        self.current, self._permit = attempt, None
        try:
            await attempt.connect(self._deadline, self._clock)
        except TimeoutError:
            return TICK
        except Fault as fault:
            return self._failed(number, attempt, fault)
        return Connected(number)

    async def _begin(self, command: Begin) -> Event:
        number, attempt = command.attempt, self.current
        assert attempt is not None
        offer = attempt.candidate.offer
        if offer is not None and self._plan.replayable:
            if offer.withdrawn:
                return self._failed(number, attempt, self._withdrawn(offer))
            offer.waiting.add(self._leave)
        try:
            await attempt.begin(self._deadline, self._clock)
        except TimeoutError:
            return TICK
        except Fault as fault:
            return self._failed(number, attempt, self._withdrawn(offer) if offer and self._left else fault)
        finally:
            if offer is not None:
                offer.waiting.discard(self._leave)
        self._learn(attempt)
        return Committed(number)

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
        if attempt.link.metered:
            for left in remaining(attempt.headers, self._job.wall):
                self._attempts._limits.learn(attempt.link.pool, *left)

    def _failed(self, number: int, attempt: Try, fault: Fault) -> Failed:
        if fault.kind is Kind.PROVIDER_RATE_LIMITED and fault.retry_after:
            self._attempts._limits.cool(attempt.link.pool, fault.retry_after)
            self._learn(attempt)
        self._attempts.close(attempt, fault.kind, fault.detail)
        return Failed(number, fault, attempt.sent)


class _Leg(_Course):
    """One attempt of a hedged race, which keeps the deadlines and ends what is late."""

    @property
    def _deadline(self) -> float:
        return self._plan.deadline

    async def obey(self, command: Command) -> Event:
        """Do what a command says; see `hedged.Leg`."""
        if isinstance(command, Admit) and command.hedge:
            self.hedge = True
            if not self._attempts.may_hedge(self._plan, command.candidate.backend.name):
                return Refused(command.attempt, Fault(Kind.OVERLOADED, "no hedge now", retry_after=1.0))
        event = await _OBEY[type(command)](self, command)
        if isinstance(event, Committed):
            self._waited()
        return event

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
            if self._candidate is not None and self._candidate.probe:
                attempts._health.released(self._candidate.backend.name)

    def _waited(self) -> None:
        assert self.current is not None
        row = self.current.row
        self._attempts._estimates.waited(row.backend.name, self._clock() - row.started_at)


_Obeyed = Callable[[_Course, Any], Awaitable[Event]]
_OBEY: dict[type, _Obeyed] = {
    Admit: _Course._admit,
    Open: _Course._open,
    Begin: _Course._begin,
    Lose: _Course._lose,
    Pause: _Course._pause,
}
