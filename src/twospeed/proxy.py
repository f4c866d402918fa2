"""One request, read top to bottom: decode, name, choose, plan, race, relay, record.

    client -> dialect -> classify -> plan -> (admit -> attempt) -> relay -> client, and one record whatever happens

Rules live below (dialects, policy); connections, limits and clocks are handed in. `handle` is driven by the
listener, one call per request, and is cancelled when the client leaves.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from twospeed.answering import EVENT_STREAM, Answering
from twospeed.deciding import Call, Deciding, Nothing
from twospeed.dialects import Reader
from twospeed.errors import Fault, Kind
from twospeed.heartbeat import Heartbeat
from twospeed.keystrokes import Keystrokes
from twospeed.mirror import Mirror, Witness
from twospeed.policy.arms import Arms
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.choose import PLAIN, Policy
from twospeed.policy.classify import Classifier
from twospeed.policy.flags import Flags
from twospeed.policy.keystroke import CancelOlder, Stroke
from twospeed.policy.limit import Permit, Refusal
from twospeed.policy.money import bill
from twospeed.policy.plan import Planner
from twospeed.policy.session import named, opened
from twospeed.policy.tracing import exported
from twospeed.quotas import Quotas, refused
from twospeed.relay import Reply, interrupt, relay
from twospeed.resume import Resume, may_resume
from twospeed.seats import Seats
from twospeed.types import Plan, Record, Request, Sink, Tier, Trace
from twospeed.upstream.attempt import Attempts
from twospeed.upstream.client import Job, Try


class Proxy:
    """Serves requests by one configuration snapshot.

    Args:
        sinks: Who hears of finished requests, in order.
        clock: Instants in seconds, on the event loop's clock.
        wall: Seconds since the epoch.
        new_id: Makes a request id.
        begin_trace: Joins the caller's trace or begins one, by the request's headers.
        version: Of the configuration, for the record.
        seats: Who may be under way at once.
        quotas: What callers' keys may use.
        policy: What the operator has written about routing.
        mirror: Listens to requests that a rollout is about, and copies some of them once they are served.

    `serving`: requests under way; a snapshot that was replaced may be closed when there are none. `arms`: the rollouts that
    have a say, `flags`: those that are on, both None for none and replaced whenever one has moved.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        planner: Planner,
        classifier: Classifier,
        attempts: Attempts,
        sinks: Sequence[Sink],
        clock: Callable[[], float],
        wall: Callable[[], float],
        new_id: Callable[[], str],
        begin_trace: Callable[[Mapping[bytes, bytes]], Trace | None],
        version: str,
        seats: Seats,
        quotas: Quotas,
        mirror: Mirror,
        policy: Policy = PLAIN,
    ) -> None:
        self.catalogue = catalogue
        self._planner = planner
        self._deciding = Deciding(catalogue, planner, classifier, policy, clock)
        self._answering = Answering(wall)
        self._switching = policy.switching
        self._attempts = attempts
        self._sinks = sinks
        self._clock = clock
        self._wall = wall
        self._new_id = new_id
        self._begin_trace = begin_trace
        self._version = version
        self._seats = seats
        self._quotas = quotas
        self._mirror = mirror
        self._keystrokes = Keystrokes()
        self.serving = 0
        self.arms: Arms | None = None
        self.flags: Flags | None = None

    async def handle(self, call: Call, reply: Reply) -> None:
        """Serve one request. Every path out of here leaves exactly one Record."""
        record = self._opened(call)
        attempt: Try | None = None
        seat: Tier | None = None
        heartbeat: Heartbeat | None = None
        due: Permit | None = None
        resume: Resume | None = None
        witness: Witness | None = None
        try:
            request = call.dialect.decode(call.body, call.endpoint)
            self._name(record, call, request)
            decision = self._deciding.decide(call, record, request, self.arms, self.flags)
            if decision is None:
                self._answering.estimate(call, request, reply, record)
                return
            plan, assigned = decision.plan, decision.assigned
            if assigned is not None:
                witness = self._mirror.attend(assigned, call.dialect, call.headers, request, record, plan, reply)
                reply = witness.reply if witness else reply
            if request.completion is not None and request.stream:
                await self._keystrokes.begin(record.id, _stroke(record, request), self._rule(plan))
            if call.caller.limit is not None:
                due = await self._due(call, request, plan, record)
            seat = await self._seats.take(plan.tier, plan.deadline)
            if plan.hedge is not None and self._seats.use(plan.tier) > plan.hedge.busy:
                plan = replace(plan, hedge=None)
            if plan.stream:
                heartbeat = self._heartbeat(call, plan, reply, record)
            try:
                attempt = await self._attempts.run(plan, _job(call, request, record), record)
            except Fault as fault:
                plan = self._deciding.elsewhere(call, request, record, decision.verdict, plan, fault)
                self._seats.give(seat)
                seat = None
                seat = await self._seats.take(plan.tier, plan.deadline)
                attempt = await self._attempts.run(plan, _job(call, request, record), record)
            if heartbeat:
                heartbeat.stop()
            self._planner.bind(plan.tier, record.session, attempt.row.backend.name, self._clock())
            if assigned is not None and self.arms is not None:
                self.arms.served(assigned.split, record.session, attempt.row.backend.name)
            if plan.resume and attempt.reader is not None and may_resume(plan, call.dialect, request):
                resume = Resume(self._attempts, plan, attempt.job, record, attempt, self._clock)
            else:
                _let_go(call, request)
            record.committed_at = attempt.row.first_token_at
            headers = self._answering.headers(record, attempt, call.allowance)
            await relay(attempt, headers, reply, record, plan.deadline, self._clock, resume)
        except Fault as fault:
            self._answering.refuse(call, reply, record, fault)
        except Nothing as empty:
            self._answering.empty(call, request, reply, record, empty.fault)
        except asyncio.CancelledError:
            if not self._keystrokes.superseded(record.id):
                self._cut(reply, record, resume.attempt if resume else attempt)
                raise
            self._supersede(call.dialect.reader(request), reply, record, resume.attempt if resume else attempt)
        except BaseException as bug:
            record.fault, record.fault_detail = Kind.INTERNAL, type(bug).__name__
            raise
        finally:
            if heartbeat:
                heartbeat.stop()
            self._seats.give(seat)
            self._close(record, resume.attempt if resume else attempt, due, witness, resume)

    def _opened(self, call: Call) -> Record:
        self.serving += 1
        return Record(
            id=self._new_id(),
            started_at=call.started_at,
            started_wall=self._wall(),
            endpoint=call.endpoint,
            dialect=call.dialect.name,
            caller=call.caller.name,
            client=call.headers.get(b"user-agent", b"")[:80].decode("latin-1"),
            bytes_in=len(call.body),
            operation=call.dialect.operation,
            config=self._version,
            trace=self._begin_trace(call.headers),
        )

    def _name(self, record: Record, call: Call, request: Request) -> None:
        """Say whose request this is and which session it belongs to."""
        dialect, caller, headers = call.dialect, call.caller.name, call.headers
        session = named(caller, headers, dialect.declared(request))
        record.session, record.session_source = session or opened(caller, headers, dialect.opening(request))
        record.requested_model, record.stream = request.model[:128], request.stream
        if b"idempotency-key" in headers:
            request.stateful = True  # another provider does not know the key, so a replay may act twice (R3)

    async def _due(self, call: Call, request: Request, plan: Plan, record: Record) -> Permit:
        """Ask what the caller's key may still use. Raises: Fault RATE_LIMITED."""
        answer = await self._quotas.take(call.caller, request, plan, record)
        refusal = answer if isinstance(answer, Refusal) else None
        call.allowance = self._quotas.headers(call.caller, call.dialect.name.startswith("anthropic"), refusal)
        if isinstance(answer, Refusal):
            raise refused(call.caller, answer)
        return answer

    def _heartbeat(self, call: Call, plan: Plan, reply: Reply, record: Record) -> Heartbeat | None:
        after = self.catalogue.lanes[plan.tier].keepalive_after
        if not after:
            return None
        return Heartbeat(reply, lambda: self._answering.early(call, record), call.dialect.keep_alive, after)

    def _rule(self, plan: Plan) -> CancelOlder:
        return self.catalogue.lanes[plan.tier].cancel_older

    def _supersede(self, reader: Reader, reply: Reply, record: Record, attempt: Try | None) -> None:
        """The editor has typed on: end the stream without an error, begun or not."""
        if self._was_whole(reply, attempt):
            return
        fault = Fault(Kind.SUPERSEDED, detail="a newer keystroke")
        record.fault, record.fault_detail = fault.kind, fault.detail
        if attempt is not None:
            interrupt(attempt, reply, record, fault)
            return
        if record.attempts:
            record.attempts[-1].kind = fault.kind
        last = reader.interrupt(fault, record.id)
        record.status, record.bytes_out = 200, len(last)
        if not reply.started:  # else the head went out early, with a keep-alive
            reply.start(200, [EVENT_STREAM, *self._answering.known(record)])
        reply.finish(last)

    def _was_whole(self, reply: Reply, attempt: Try | None) -> bool:
        """Say whether the client has its whole answer, and only the provider's last bytes were still awaited."""
        if attempt is None or not reply.done or reply.gone:
            return False
        self._attempts.close(attempt, None)
        return True

    def _cut(self, reply: Reply, record: Record, attempt: Try | None) -> None:
        """The client left; or the server stops, and then a stream already begun still ends honestly (R24)."""
        if self._was_whole(reply, attempt):
            return
        if reply.gone:
            record.fault = Kind.CLIENT_GONE
            return
        fault = Fault(Kind.DRAINING, "the server is shutting down; try again")
        record.fault = fault.kind
        if reply.started and attempt is not None and attempt.reader is not None:
            interrupt(attempt, reply, record, fault)

    def _close(
        self,
        record: Record,
        attempt: Try | None,
        due: Permit | None,
        witness: Witness | None,
        resume: Resume | None,
    ) -> None:
        """Settle what is open and tell everyone who listens."""
        self.serving -= 1
        self._keystrokes.end(record.id)
        if attempt is not None:
            self._attempts.close(attempt, record.fault, record.fault_detail)
            reader = attempt.reader
            record.finish = reader.finish if reader else attempt.finish
            record.usage = attempt.usage if resume is None else resume.total(attempt.usage)
            if attempt.dropped:
                record.notes += [f"dropped:{what}" for what in attempt.dropped]
            record.cost = bill(record.attempts)
            if exported(record):
                attempt.name()
            if record.thread and self._switching is not None:
                self._switching.served(record)
        if due is not None:
            self._quotas.settle(due, record)
        record.ended_at = self._clock()
        if witness is not None:
            witness.testify(record)
        for sink in self._sinks:
            sink(record)
        if witness is not None and witness.copy is not None:
            self._mirror.offer(witness.copy, record)


def _stroke(record: Record, request: Request) -> Stroke:
    assert request.completion is not None
    return Stroke(record.session, record.session_source, request.endpoint, request.model, request.completion)


def _job(call: Call, request: Request, record: Record) -> Job:
    return Job(call.dialect, request, call.headers, record.trace, record.id, record.started_wall, call.query)


def _let_go(call: Call, request: Request) -> None:
    """Free the body once no attempt will need it again: a stream may last for minutes."""
    call.body = request.body = b""
    request.parsed = None
