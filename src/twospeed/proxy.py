"""One request, read top to bottom: decode, name, choose, plan, race, relay, record.

    client -> dialect -> classify -> plan -> (admit -> attempt) -> relay -> client, and one record whatever happens

Rules live below (dialects, policy); connections, limits and clocks are handed in. `handle` is driven by the
listener, one call per request, and is cancelled when the client leaves.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec
from msgspec.structs import replace

from twospeed.dialects import Dialect, Emptying, Estimating, Reader
from twospeed.errors import Fault, Kind
from twospeed.heartbeat import Heartbeat
from twospeed.keystrokes import Keystrokes
from twospeed.mirror import Mirror, Witness
from twospeed.policy import patience
from twospeed.policy.access import Caller
from twospeed.policy.allowance import restated, without_limits
from twospeed.policy.arms import Arms, Asked, Assigned
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.choose import PLAIN, Case, Chooser, Policy, unserved
from twospeed.policy.classify import Classifier
from twospeed.policy.completing import completing, family_notes
from twospeed.policy.content import open_all
from twospeed.policy.down import down, note
from twospeed.policy.estimate import BYTES_PER_TOKEN
from twospeed.policy.explaining import header, scored, sentences
from twospeed.policy.flags import Asked as Wanted
from twospeed.policy.flags import Flags
from twospeed.policy.headers import Pair, to_client, without_dialect
from twospeed.policy.keystroke import CancelOlder, Stroke
from twospeed.policy.language import language
from twospeed.policy.limit import Permit, Refusal
from twospeed.policy.marks import has_image
from twospeed.policy.money import bill
from twospeed.policy.plan import Needs, Planner, fitting
from twospeed.policy.race import MAX_ATTEMPTS
from twospeed.policy.scope import repo
from twospeed.policy.session import identify
from twospeed.policy.signals import signals
from twospeed.policy.switching import thread_of
from twospeed.quotas import Quotas, refused
from twospeed.relay import Reply, interrupt, relay
from twospeed.resume import Resume, may_resume
from twospeed.seats import Seats
from twospeed.types import Backend, Offer, Plan, Record, Request, Sink, Switches, Tier, Trace, Verdict
from twospeed.upstream.attempt import Attempts
from twospeed.upstream.client import Job, Try

EVENT_STREAM = (b"content-type", b"text/event-stream")


_UNSURE = frozenset({b"x-twospeed-backend", b"x-twospeed-attempts"})  # not known before the commit point


class Call(msgspec.Struct):
    """One inbound request, past the door: its path is known and its caller may call."""

    dialect: Dialect
    endpoint: str
    caller: Caller
    headers: Mapping[bytes, bytes]
    body: bytes
    started_at: float
    query: str = ""
    allowance: Sequence[Pair] = ()  # rate-limit headers of the caller's key, once it was asked


class Nothing(Exception):
    """No backend can serve, and the answer is an empty one. `fault`: why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kind.value)
        self.fault = fault


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
        self._chooser = Chooser(catalogue, planner, policy)
        self._switching = policy.switching
        self._classifier = classifier
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
            switches = self._turned(call, record, request) if self.flags is not None else None
            verdict, backends = self._choose(call, record, request, switches)
            if not backends:
                self._estimate(call, request, reply, record)
                return
            assigned = self._assign(call, record, request, verdict, switches) if self.arms else None
            plan = self._plan(call, record, request, verdict, backends, assigned)
            if switches is not None:
                plan = replace(plan, switches=switches, hedge=None if switches.hedge is False else plan.hedge)
            if assigned is not None:
                witness = self._mirror.attend(assigned, call.dialect, call.headers, request, record, plan, reply)
                reply = witness.reply if witness else reply
            record.told = call.headers.get(b"x-twospeed-explain") == b"1"
            if record.told or (record.trace is not None and record.trace.sampled):
                self._explain(call, record, request, verdict, plan)
            if request.completion is not None and request.stream:
                await self._keystrokes.begin(record.id, _stroke(record, request), self._rule(plan))
            if call.caller.limit is not None:
                due = await self._due(call, request, plan, record)
            seat = await self._seats.take(plan.tier, plan.deadline)
            if plan.hedge is not None and self._seats.use(plan.tier) > plan.hedge.busy:
                plan = replace(plan, hedge=None)
            heartbeat = self._heartbeat(call, plan, reply, record)
            try:
                attempt = await self._attempts.run(plan, self._job(call, request, record), record)
            except Fault as fault:
                plan = self._elsewhere(call, request, record, verdict, plan, fault)
                self._seats.give(seat)
                seat = None
                seat = await self._seats.take(plan.tier, plan.deadline)
                attempt = await self._attempts.run(plan, self._job(call, request, record), record)
            if heartbeat:
                heartbeat.stop()
            self._planner.bind(plan.tier, record.session, attempt.row.backend.name, self._clock())
            if assigned is not None and self.arms is not None:
                self.arms.served(assigned.split, record.session, attempt.row.backend.name)
            if may_resume(plan, call.dialect, request) and attempt.reader is not None:
                resume = Resume(self._attempts, plan, attempt.job, record, attempt, self._clock)
            else:
                _let_go(call, request)
            record.committed_at = attempt.row.first_token_at
            await relay(
                attempt,
                self._headers(record, attempt, call.allowance),
                reply,
                record,
                plan.deadline,
                self._clock,
                resume,
            )
        except Fault as fault:
            self._refuse(call, reply, record, fault)
        except Nothing as empty:
            self._empty(call, request, reply, record, empty.fault)
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
        dialect = call.dialect
        session = identify(call.caller.name, call.headers, dialect.declared(request), dialect.opening(request))
        record.session, record.session_source = session
        record.requested_model, record.stream = request.model[:128], request.stream
        if b"idempotency-key" in call.headers:
            request.stateful = True  # another provider does not know the key, so a replay may act twice (R3)

    def _turned(self, call: Call, record: Record, request: Request) -> Switches | None:
        """Ask the flags, and write down which there were."""
        assert self.flags is not None
        headers, body = call.headers, request.body
        asked = Wanted(
            call.caller.name, record.client, record.session, lambda: language(headers, body), lambda: repo(headers)
        )
        switches = self.flags.turned(asked)
        if switches is not None:
            record.notes += [f"flag:{name}" for name in switches.flags]
        return switches

    def _choose(
        self, call: Call, record: Record, request: Request, switches: Switches | None
    ) -> tuple[Verdict, Sequence[Backend]]:
        """Find tier and backends; none where the answer can be estimated here instead."""
        dialect = call.dialect
        case = Case(
            request,
            call.headers,
            call.caller,
            dialect.served_by,
            lambda: self._classifier.classify(dialect.conversation(request)),
            lambda: dialect.conversation(request),
            record.session,
            switches=switches,
        )
        if self._switching is not None:
            case.thread = record.thread = thread_of(record.session, dialect.opening(request))
            case.now, case.line = self._clock(), self._classifier.line
        verdict, backends = self._chooser.choose(case)
        record.observed, record.weighed = verdict.observed, verdict.weighed
        auto = verdict.observed or verdict
        if auto.score is not None:
            self._classifier.adapt(auto.tier)
        if not backends and not hasattr(dialect, "estimate"):
            raise unserved(request)
        return verdict, backends

    def _explain(self, call: Call, record: Record, request: Request, verdict: Verdict, plan: Plan) -> None:
        """Put the decision into words, where the client or the trace wants them."""
        classifier = self._classifier
        if not scored(verdict):
            record.explained = sentences(verdict, None, (), plan.candidates)
            return
        told = signals(classifier.learned, classifier.reader, call.dialect.conversation(request))
        record.explained = sentences(verdict, classifier.line, told, plan.candidates)

    def _estimate(self, call: Call, request: Request, reply: Reply, record: Record) -> None:
        """Answer here what no provider answers, and say that it is an estimate."""
        body = cast(Estimating, call.dialect).estimate(request)
        record.status, record.bytes_out = 200, len(body)
        record.notes.append("estimated")
        headers = [pair for pair in self._headers(record, None) if pair[1]]
        reply.send(200, [(b"content-type", b"application/json"), (b"x-twospeed-estimated", b"1"), *headers], body)

    def _assign(
        self, call: Call, record: Record, request: Request, verdict: Verdict, switches: Switches | None
    ) -> Assigned | None:
        """Ask the rollouts where this goes."""
        assert self.arms is not None
        dialect = call.dialect
        served_by = (request.dialect,) if request.bound else dialect.served_by
        return self.arms.assign(
            self.catalogue.route((switches and switches.model) or request.model),
            verdict,
            Asked(
                call.caller.name,
                record.session,
                call.headers,
                lambda: dialect.opening(request),
                bool(request.bound),
                request.wishes is not None,
            ),
            lambda route: self._planner.within_reach(verdict, route, call.caller, served_by)[1],
        )

    def _plan(
        self,
        call: Call,
        record: Record,
        request: Request,
        verdict: Verdict,
        backends: Sequence[Backend],
        assigned: Assigned | None = None,
    ) -> Plan:
        record.tier, record.reasons = verdict.tier, verdict.reasons
        record.score, record.gain = verdict.score, verdict.gain
        waits = patience.total(call.headers), patience.idle(call.headers)
        needs = Needs(int(len(request.body) / BYTES_PER_TOKEN), _shows(call, request, backends), *waits)
        offer: Offer | None = None
        if assigned is not None:
            backends, offer = self._armed(assigned, record, request, needs)
        if request.completion is not None:
            backends = completing(backends, request.completion)
            record.notes += family_notes(request.completion)
        plan = self._planner.plan(
            verdict.tier,
            backends,
            record.session,
            needs,
            request,
            self._clock(),
            assigned is not None,
            offer,
        )
        # Two versions are compared by themselves: what a second backend made faster says nothing of either.
        return replace(plan, hedge=None) if record.arm and plan.hedge is not None else plan

    def _armed(
        self, assigned: Assigned, record: Record, request: Request, needs: Needs
    ) -> tuple[Sequence[Backend], Offer | None]:
        """Write down which version a request meets; one that only one of the two can serve is not counted."""
        split, backends = assigned.split, assigned.backends
        able: Sequence[Backend] = (split.candidate, *backends)
        if request.completion is not None:
            able = completing(able, request.completion)
        able = fitting(able, needs)
        if split.candidate not in able or split.stable not in able:
            return [backend for backend in backends if backend is not split.candidate], None
        if assigned.arm or assigned.offer is not None:
            record.rollout = split.rollout
        record.arm, record.step, record.offer = assigned.arm, split.step, split.offer
        record.language, record.repo = assigned.language, assigned.repo
        return backends, assigned.offer

    async def _due(self, call: Call, request: Request, plan: Plan, record: Record) -> Permit:
        """Ask what the caller's key may still use. Raises: Fault RATE_LIMITED."""
        answer = await self._quotas.take(call.caller, request, plan, record)
        refusal = answer if isinstance(answer, Refusal) else None
        call.allowance = self._quotas.headers(call.caller, call.dialect.name.startswith("anthropic"), refusal)
        if isinstance(answer, Refusal):
            raise refused(call.caller, answer)
        return answer

    def _elsewhere(
        self, call: Call, request: Request, record: Record, verdict: Verdict, plan: Plan, fault: Fault
    ) -> Plan:
        """Plan anew in the other tier, where this one is down and the operator wants that.

        Raises: the fault, or Nothing for a completion that gets an empty answer.
        """
        if not down(fault, plan, record.attempts):
            raise fault
        wanted = self.catalogue.lanes[plan.tier].when_down
        if wanted == "empty" and _may_be_empty(call, request):
            record.notes.append(note(plan.tier, wanted))
            record.reasons = (f"down:{plan.tier}", *record.reasons)
            raise Nothing(fault)
        moved = self._moved(call, record, request, verdict, plan) if wanted == "other_tier" else None
        record.notes.append(note(plan.tier, "other_tier" if moved else "refuse"))
        if moved is None:
            raise fault
        return moved

    def _moved(self, call: Call, record: Record, request: Request, verdict: Verdict, plan: Plan) -> Plan | None:
        tried = [candidate.backend for candidate in plan.candidates]
        decided = record.tier, record.reasons
        try:
            verdict, backends = self._chooser.elsewhere(
                request, call.headers, call.caller, call.dialect.served_by, verdict, tried
            )
            if not backends:
                return None
            moved = self._plan(call, record, request, verdict, backends)
        except Fault:
            record.tier, record.reasons = decided
            return None  # nobody there can serve it either; what the client hears is why its own tier could not
        deadline = min(moved.deadline, record.started_at + patience.total(call.headers))
        return replace(moved, most=max(1, MAX_ATTEMPTS - len(record.attempts)), deadline=deadline)

    def _empty(self, call: Call, request: Request, reply: Reply, record: Record, fault: Fault) -> None:
        """Answer a completion without text; the record says what was wrong."""
        body = cast(Emptying, call.dialect).nothing(request, record.id, int(self._wall()))
        record.fault, record.fault_detail = fault.kind, fault.detail
        record.status, record.bytes_out = 200, len(body)
        headers = [pair for pair in self._headers(record, None, call.allowance) if pair[1]]
        if request.stream:
            if not reply.started:  # else the head went out early, with a keep-alive
                reply.start(200, [EVENT_STREAM, *headers])
            reply.finish(body)
        else:
            reply.send(200, [(b"content-type", b"application/json"), *headers], body)

    def _heartbeat(self, call: Call, plan: Plan, reply: Reply, record: Record) -> Heartbeat | None:
        after = self.catalogue.lanes[plan.tier].keepalive_after
        if not (plan.stream and after):
            return None
        return Heartbeat(reply, lambda: self._early(call, record), call.dialect.keep_alive, after)

    def _early(self, call: Call, record: Record) -> list[Pair]:
        """Headers for a head that goes out before it is known who will serve."""
        return [pair for pair in self._headers(record, None, call.allowance) if pair[0] not in _UNSURE]

    def _job(self, call: Call, request: Request, record: Record) -> Job:
        return Job(call.dialect, request, call.headers, record.trace, record.id, record.started_wall, call.query)

    def _headers(self, record: Record, attempt: Try | None, allowance: Sequence[Pair] = ()) -> list[Pair]:
        """Every answer says which request this was and where it went; a limited key hears of its own limits only."""
        passed = self._passed(attempt) if attempt else []
        if allowance:
            passed = [*without_limits(passed), *allowance]
        backend = record.backend
        return [
            *passed,
            (b"x-request-id", record.id.encode()),
            (b"x-twospeed-tier", record.tier.encode()),
            (b"x-twospeed-backend", backend.encode("latin-1", "replace")),
            (b"x-twospeed-reason", ",".join(record.reasons[:3]).encode("latin-1", "replace")),
            (b"x-twospeed-attempts", b"%d" % len(record.attempts)),
            *(_arm_headers(record) if record.arm else ()),
            *(((b"x-twospeed-explain", header(record.explained)),) if record.told else ()),
        ]

    def _passed(self, attempt: Try) -> list[Pair]:
        """Return the provider's headers for the client and, where asked for, what its translation left out."""
        passed = to_client(attempt.headers)
        if not attempt.translated:
            return passed
        anthropic = attempt.job.dialect.name.startswith("anthropic")
        passed = without_dialect(without_limits(passed)) + restated(attempt.headers, anthropic, self._wall())
        if anthropic:
            passed.append((b"request-id", attempt.job.id.encode()))  # where Anthropic's SDKs look for it
        if attempt.dropped and attempt.job.headers.get(b"x-twospeed-explain") == b"1":
            passed.append((b"x-twospeed-dropped", ", ".join(attempt.dropped).encode("ascii", "replace")))
        return passed

    def _refuse(self, call: Call, reply: Reply, record: Record, fault: Fault) -> None:
        """Record a fault and, where nothing was sent yet, answer it in the caller's dialect."""
        record.fault, record.fault_detail = fault.kind, fault.detail
        if fault.kind is Kind.DENIED:
            record.reasons = (fault.detail,)
        if reply.started:
            if not reply.done:  # the head went out early, with a keep-alive: only the stream can say it now (R1)
                record.status = reply.status
                reply.finish(call.dialect.interrupt(fault))
            return
        refusal = call.dialect.refuse(fault, record.id)
        record.status, record.bytes_out = refusal.status, len(refusal.body)
        known = [pair for pair in self._headers(record, None, call.allowance) if pair[1]]
        reply.send(refusal.status, [*refusal.headers, *known], refusal.body)

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
        last = reader.interrupt(fault)
        record.status, record.bytes_out = 200, len(last)
        if not reply.started:  # else the head went out early, with a keep-alive
            reply.start(200, [EVENT_STREAM, *[pair for pair in self._headers(record, None) if pair[1]]])
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
            record.notes += [f"dropped:{what}" for what in attempt.dropped]
            record.cost = bill(record.attempts)
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


def _may_be_empty(call: Call, request: Request) -> bool:
    return request.completion is not None and request.completion.whole and hasattr(call.dialect, "nothing")


def _shows(call: Call, request: Request, backends: Sequence[Backend]) -> bool:
    """Say whether images are in a request, as far as that makes a difference to where it may go."""
    if b"image" not in request.body or len({backend.images for backend in backends}) < 2:
        return False
    return has_image(open_all(call.dialect.conversation(request).messages))


def _arm_headers(record: Record) -> tuple[Pair, Pair]:
    return (b"x-twospeed-rollout", record.rollout.encode()), (b"x-twospeed-arm", record.arm.encode())


def _stroke(record: Record, request: Request) -> Stroke:
    assert request.completion is not None
    return Stroke(record.session, record.session_source, request.endpoint, request.model, request.completion)


def _let_go(call: Call, request: Request) -> None:
    """Free the body once no attempt will need it again: a stream may last for minutes."""
    call.body = request.body = b""
    request.parsed = None
