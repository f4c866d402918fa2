"""Which requests are listened to and copied, what becomes of a copy, and who is told: the whole life of shadow traffic."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from twospeed.dialects import Dialect
from twospeed.dialects.translation.ear import MARKS, Ear
from twospeed.dialects.translation.offered import Offer, offered
from twospeed.errors import MEANING, Fault, Kind, Source
from twospeed.mirror.bounded import BoundedTransport
from twospeed.mirror.tap import Kept, Reply, Tap
from twospeed.mirror.trial import Tried, trial
from twospeed.policy.answers import LONGEST_REFUSAL, STALLS, refused, tool_call_valid
from twospeed.policy.arms import Assigned
from twospeed.policy.completing import completing
from twospeed.policy.drilling import MARK
from twospeed.policy.language import language
from twospeed.policy.limit import Ask, Limit, Limits, Permit
from twospeed.policy.money import cost
from twospeed.policy.pairing import LONGEST, Pair, Side, agreement, finish_of, similarity
from twospeed.policy.plan import speaks
from twospeed.policy.rollout import Scope
from twospeed.policy.scope import repo, within
from twospeed.policy.scope import speaks as about
from twospeed.policy.shadow import Books, Shadow
from twospeed.types import Backend, Candidate, Heard, Plan, Record, Request, Sink, Trace, Usage
from twospeed.upstream.client import Job, Link

PAUSE = 0.1  # seconds between the client's last byte and the copy
POOL = "shadow"  # copies a minute are counted under this name, apart from every provider's requests
KEPT_BYTES = 262_144  # of the stable answer; of a longer one only this much is compared
FEWEST_BYTES, MOST_BYTES = 2 << 20, 8 << 20  # of a candidate's answer that are read, between these
FAR_LONGER = 16  # times the stable answer
SLOW_CLIENT = 0.05  # share of the time spent waiting for the client, above which the duration says nothing
_THEIRS = frozenset({Source.BACKEND, Source.OPERATOR})  # faults that tell of a version
_LIMITED = frozenset({Kind.PROVIDER_RATE_LIMITED, Kind.RATE_LIMITED})


class Twin(msgspec.Struct, frozen=True):
    """The candidate of one rollout. `link`: to it alone, over connections of its own. `minds_tools`: valid tool calls are
    among what the rollout is judged by."""

    rollout: str
    candidate: Backend
    link: Link
    scope: Scope
    minds_tools: bool = False


class Copy(msgspec.Struct):
    """A request on its way to be copied. `reserved`: bytes of the budget that it holds until it is let go."""

    twin: Twin
    dialect: Dialect
    headers: Mapping[bytes, bytes]
    body: bytes
    plan: Plan
    tap: Tap
    kept: Kept
    reserved: int


class Witness(msgspec.Struct):
    """Listens to one request. `reply`: to be used instead of the client's own."""

    reply: Reply
    ear: Ear | None = None
    offer: Offer | None = None
    copy: Copy | None = None

    def testify(self, record: Record) -> None:
        """Fill in what was heard, before the record is told."""
        if self.ear is None or not 200 <= record.status < 300:
            return
        heard = self.ear.heard(record.finish)
        if not heard.deaf:
            record.refusal = refused(heard)
        record.tool_call_valid = tool_call_valid(heard, self.offer.tools if self.offer else {})


class Dropped(Exception):
    """A copy came to nothing. `reason`: one of `policy.shadow.DROPPED`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Mirror:
    """Listens and copies, for one configuration snapshot.

    Args:
        twins: What may be copied; whether it is, and how often, `books.shares` and flags say.
        books: Outlives the snapshot.
        limits: Where copies a minute are counted, by all that share them.
        begin_trace: Begins a trace of its own for each copy.
        sinks: Who hears of the record of a copy.
        clock: Instants in seconds, on the event loop's clock.
        wall: Seconds since the epoch.
        roll: Chance in [0, 1).
    """

    def __init__(
        self,
        twins: Sequence[Twin],
        settings: Shadow,
        books: Books,
        limits: Limits,
        begin_trace: Callable[[], Trace | None],
        sinks: Sequence[Sink],
        clock: Callable[[], float],
        wall: Callable[[], float],
        roll: Callable[[], float],
    ) -> None:
        self.books = books
        self.closed = False
        self._twins = {twin.rollout: twin for twin in twins}
        self._settings = settings
        self._limits = limits
        self._rate = Limit(rpm=settings.rpm)
        self._begin_trace = begin_trace
        self._sinks = sinks
        self._clock = clock
        self._wall = wall
        self._roll = roll
        self._tasks: set[asyncio.Task[None]] = set()

    def attend(
        self,
        assigned: Assigned,
        dialect: Dialect,
        headers: Mapping[bytes, bytes],
        request: Request,
        record: Record,
        plan: Plan,
        reply: Reply,
    ) -> Witness | None:
        """Listen to a request that a rollout is about, and perhaps take a copy of it; None for neither.

        The chance of being copied is that of a flag, where one says it, else what the rollout wants.
        """
        twin = self._twins.get(assigned.split.rollout)
        if twin is None or dialect.name not in MARKS:
            return None
        witness: Witness | None = None
        if record.arm:
            ear = Ear(dialect.name, LONGEST_REFUSAL + 1)
            tools = offered(dialect.name, request.body) if twin.minds_tools else None
            witness = Witness(Tap(reply, ear, self._clock), ear, tools)
        turned = plan.switches.shadow if plan.switches is not None else None
        share = self.books.shares.get(twin.rollout, 0.0) if turned is None else turned
        if share > 0.0 and self._roll() < share and self._suits(twin, assigned, headers, request, record, plan):
            kept = Kept(KEPT_BYTES)
            tap = Tap(witness.reply if witness else reply, kept, self._clock)
            reserved = _needed(request)
            self.books.held += reserved
            copy = Copy(twin, dialect, headers, request.body, plan, tap, kept, reserved)
            witness = Witness(tap, witness.ear, witness.offer, copy) if witness else Witness(tap, copy=copy)
        return witness

    def offer(self, copy: Copy, record: Record) -> None:
        """Take over a copy whose client has been served; what cannot be compared or has no room is dropped."""
        try:
            stable = self._stable(copy, record)
            if len(self._tasks) >= self._settings.concurrency:
                raise Dropped("busy")
        except Dropped as dropped:
            self._release(copy, dropped.reason)
            return
        task = asyncio.create_task(self._run(copy, record, stable))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drop(self) -> None:
        """End all copies at once, and take no more."""
        self.closed = True
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """End all copies, wait until they have ended, and close their connections."""
        self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for twin in self._twins.values():
            await twin.link.transport.close()

    def _suits(
        self,
        twin: Twin,
        assigned: Assigned,
        headers: Mapping[bytes, bytes],
        request: Request,
        record: Record,
        plan: Plan,
    ) -> bool:
        """Say whether a request that was picked may be copied; what may not is counted."""
        split = assigned.split
        if split.candidate.name != twin.candidate.name or plan.candidates[0].backend.name != split.stable.name:
            return False
        reason = ""
        named = repo(headers)
        if named == MARK or not within(twin.scope, record.caller, named):
            reason = "scope"
        elif request.stateful or request.bound:
            reason = "stateful"
        elif self.closed:
            reason = "stopped"
        elif self.books.held + _needed(request) > self._settings.memory:
            reason = "memory"
        if reason:
            self.books.dropped[reason] += 1
        return not reason

    def _release(self, copy: Copy, reason: str = "") -> None:
        self.books.held -= copy.reserved
        copy.kept.clear()
        if reason:
            self.books.dropped[reason] += 1

    def _stable(self, copy: Copy, record: Record) -> Side:
        """Say what the stable version made of a request. Raises: Dropped, where that says nothing about it."""
        if self.closed:
            raise Dropped("stopped")
        if record.fault is not None and MEANING[record.fault].source is Source.CLIENT:
            raise Dropped("client")
        if not record.attempts:
            raise Dropped("unserved")
        row = record.attempts[0]
        if row.backend.name != copy.plan.candidates[0].backend.name:
            raise Dropped("elsewhere")
        if row.kind is not None:
            return Side(fault=_told(row.kind), stall=record.stream and row.kind in STALLS)
        tap, began = copy.tap, row.connected_at
        if began is None or not tap.ended_at:
            raise Dropped("unserved")
        lasted = tap.ended_at - began
        first = row.first_token_at - began if record.stream and row.first_token_at is not None else None
        told = record.usage is not None and not record.usage.estimated
        return Side(
            latency=lasted if tap.waited <= SLOW_CLIENT * lasted else None,
            first_token=first,
            output_tokens=record.usage.output_tokens if record.usage and told else None,
            finish=record.finish,
        )

    async def _run(self, copy: Copy, record: Record, stable: Side) -> None:
        reason = "stopped"
        try:
            await self._compare(copy, record, stable)
            reason = ""
        except Dropped as dropped:
            reason = dropped.reason
        except Fault:  # of a body that was read before and now is not, or cannot be said to the candidate at all
            reason = "unserved"
        finally:
            self._release(copy, reason)

    async def _compare(self, copy: Copy, record: Record, stable: Side) -> None:
        await asyncio.sleep(PAUSE)
        request, offer = self._asked(copy, record)
        tongue = record.language or language(copy.headers, copy.body)
        if not about(copy.twin.scope, tongue):
            raise Dropped("scope")
        await self._afford()
        heard = _heard(copy, record) if stable.ok else Heard(deaf=True)
        copy.kept.clear()
        ear = Ear(copy.dialect.name, LONGEST)
        tried = await self._try(copy, request, record, ear)
        await asyncio.sleep(0)  # the comparison is another turn's work
        pair = _pair(copy.twin.rollout, tongue, record, offer, (stable, heard), (tried, ear))
        self._tell(copy.twin, pair)

    def _asked(self, copy: Copy, record: Record) -> tuple[Request, Offer]:
        """Read the request anew, and see that the candidate may have it. Raises: Dropped; Fault BAD_REQUEST."""
        offer = offered(copy.dialect.name, copy.body)
        if offer.acts:
            raise Dropped("acts")
        candidate = copy.twin.candidate
        if not speaks(candidate, copy.dialect.served_by):
            raise Dropped("unserved")
        request = copy.dialect.decode(copy.body, record.endpoint)
        if request.completion is not None:
            completing([candidate], request.completion)
        return request, offer

    async def _afford(self) -> None:
        """Pay for one more copy. Raises: Dropped."""
        empty = self.books.purse.empty(self._settings, self._wall())
        if empty:
            raise Dropped(empty)
        permit = await self._limits.take(Ask(POOL, self._rate, 0, 0))
        if not isinstance(permit, Permit):
            raise Dropped("rpm")
        self._limits.settle(permit, 0, 0)

    async def _try(self, copy: Copy, request: Request, record: Record, ear: Ear) -> Tried:
        books, twin = self.books, copy.twin
        trace = self._begin_trace()
        if trace is not None and record.trace is not None:
            trace = replace(trace, sampled=record.trace.sampled)
        candidate = Candidate(twin.candidate, copy.plan.candidates[0].timeouts)
        link = replace(twin.link, transport=BoundedTransport(twin.link.transport, _most(record)))
        job = Job(copy.dialect, request, copy.headers, trace, record.id, record.started_wall)
        books.sent[twin.rollout] += 1
        books.under_way += 1
        began, began_wall = self._clock(), self._wall()
        try:
            tried = await trial(job, candidate, link, trace.span if trace else "", ear, self._clock)
        finally:
            books.under_way -= 1
        self._spend(twin.candidate, tried.usage)
        self._record(copy, record, tried, trace, (began, began_wall))
        return tried

    def _spend(self, candidate: Backend, usage: Usage) -> None:
        price = candidate.price
        paid = cost(usage, price) if price is not None else 0.0
        self.books.purse.spend(usage.input_tokens + usage.output_tokens, paid, self._wall())
        self.books.tokens["input"] += usage.input_tokens
        self.books.tokens["output"] += usage.output_tokens

    def _record(
        self, copy: Copy, record: Record, tried: Tried, trace: Trace | None, began: tuple[float, float]
    ) -> None:
        """Tell of the copy in a record of its own, linked to the original's."""
        told = Record(
            id=record.id,
            started_at=began[0],
            started_wall=began[1],
            endpoint=record.endpoint,
            dialect=record.dialect,
            session=record.session,
            stream=record.stream,
            tier=record.tier,
            attempts=[tried.row],
            fault=tried.fault.kind if tried.fault else None,
            committed_at=tried.row.first_token_at,
            ended_at=tried.ended_at,
            finish=tried.finish,
            usage=tried.usage,
            operation=record.operation,
            config=record.config,
            trace=trace,
            rollout=copy.twin.rollout,
            arm="shadow",
            linked=record.trace,
        )
        for sink in self._sinks:
            sink(told)

    def _tell(self, twin: Twin, pair: Pair) -> None:
        books = self.books
        if pair.candidate.fault:
            books.faults[twin.rollout, pair.candidate.fault] += 1
        books.compared[twin.rollout] += 1
        for what in pair.differs():
            books.differed[twin.rollout, what] += 1
        books.pairs(pair)


def _most(record: Record) -> int:
    """Return how many bytes of the candidate's answer are read."""
    return min(max(FEWEST_BYTES, FAR_LONGER * record.bytes_out), MOST_BYTES)


def _needed(request: Request) -> int:
    """Return the bytes to set aside: for the body as it came and as it goes to the candidate, and for the stable answer."""
    return 2 * len(request.body) + KEPT_BYTES


def _told(kind: Kind) -> str:
    """Name a fault that tells of a version. Raises: Dropped for one that does not."""
    if kind in _LIMITED:
        raise Dropped("limited")
    if MEANING[kind].source not in _THEIRS:
        raise Dropped("elsewhere")
    return kind.value


def _heard(copy: Copy, record: Record) -> Heard:
    """Listen to what the client was told."""
    ear, kept = Ear(copy.dialect.name, LONGEST), copy.kept
    if kept.streamed:
        for part in kept.parts:
            ear.feed(part)
    elif kept.parts:
        ear.whole(kept.parts[0])
    heard = ear.heard(record.finish)
    return replace(heard, deaf=True) if kept.over else heard


def _pair(
    rollout: str,
    tongue: str,
    record: Record,
    offer: Offer,
    stable: tuple[Side, Heard],
    candidate: tuple[Tried, Ear],
) -> Pair:
    """Compare two answers. Raises: Dropped, where the candidate's says nothing about it."""
    side, heard = stable
    tried, ear = candidate
    other = ear.heard(tried.finish)
    if side.ok:
        judged = refused(heard), tool_call_valid(heard, offer.tools)
        side = replace(side, finish=finish_of(side.finish, heard), refusal=judged[0], tool_call_valid=judged[1])
    too_large = tried.fault is not None and tried.fault.kind is Kind.ANSWER_TOO_LARGE
    if too_large and _most(record) == MOST_BYTES:  # else it is far longer than the stable answer: the candidate's fault
        raise Dropped("too_large")
    against = _side(tried, other, offer, record.stream)
    both = side.ok and against.ok
    tools, arguments = agreement(heard, other) if both else ("", None)
    return Pair(
        rollout,
        record.started_wall,
        side,
        against,
        record.session,
        tongue,
        record.stream,
        tools,
        arguments,
        similarity(heard.text, other.text) if both else None,
    )


def _side(tried: Tried, heard: Heard, offer: Offer, stream: bool) -> Side:
    row, fault = tried.row, tried.fault
    if fault is not None:
        kind = fault.kind
        if kind in _LIMITED:
            raise Dropped("limited")
        return Side(fault=kind.value, stall=stream and kind in STALLS)
    began = row.connected_at if row.connected_at is not None else row.started_at
    return Side(
        latency=tried.ended_at - began,
        first_token=row.first_token_at - began if stream and row.first_token_at is not None else None,
        output_tokens=None if tried.usage.estimated else tried.usage.output_tokens,
        finish=finish_of(tried.finish, heard),
        refusal=refused(heard),
        tool_call_valid=tool_call_valid(heard, offer.tools),
    )
