"""One request, read top to bottom: decode, name, choose, plan, race, relay, record.

    client -> dialect -> classify -> plan -> (admit -> attempt) -> relay -> client, and one record whatever happens

Rules live below (dialects, policy); connections, limits and clocks are handed in. `handle` is driven by the
listener, one call per request, and is cancelled when the client leaves.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from twospeed.dialects import Dialect
from twospeed.errors import Fault, Kind
from twospeed.policy.access import Caller
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.choose import choose, pinned_tier
from twospeed.policy.classify import Classifier
from twospeed.policy.headers import Pair, to_client
from twospeed.policy.plan import Needs, Planner, Route
from twospeed.policy.session import identify
from twospeed.relay import Reply, relay
from twospeed.seats import Seats
from twospeed.types import Backend, Plan, Record, Request, Sink, Tier, Trace, Verdict
from twospeed.upstream.attempt import BYTES_PER_TOKEN, Attempts
from twospeed.upstream.client import Job, Try


class Call(msgspec.Struct):
    """One inbound request, past the door: its path is known and its caller may call."""

    dialect: Dialect
    endpoint: str
    caller: Caller
    headers: Mapping[bytes, bytes]
    body: bytes
    started_at: float


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

    `serving`: requests under way; a snapshot that was replaced may be closed when there are none.
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
    ) -> None:
        self.catalogue = catalogue
        self._planner = planner
        self._classifier = classifier
        self._attempts = attempts
        self._sinks = sinks
        self._clock = clock
        self._wall = wall
        self._new_id = new_id
        self._begin_trace = begin_trace
        self._version = version
        self._seats = seats
        self.serving = 0

    async def handle(self, call: Call, reply: Reply) -> None:
        """Serve one request. Every path out of here leaves exactly one Record."""
        record = self._opened(call)
        attempt: Try | None = None
        seat: Tier | None = None
        try:
            request = call.dialect.decode(call.body, call.endpoint)
            self._name(record, call, request)
            verdict, backends = self._choose(call, request)
            plan = self._plan(record, request, verdict, backends)
            seat = await self._seats.take(plan.tier, plan.deadline)
            attempt = await self._attempts.run(plan, Job(call.dialect, request, call.headers, record.trace), record)
            self._planner.bind(plan.tier, record.session, attempt.row.backend.name)
            record.committed_at = attempt.row.first_token_at
            await relay(attempt, self._headers(record, attempt), reply, record, plan.deadline, self._clock)
            self._attempts.close(attempt, None)
        except Fault as fault:
            self._refuse(call, reply, record, fault)
        except asyncio.CancelledError:
            record.fault = Kind.CLIENT_GONE
            raise
        except BaseException as bug:
            record.fault, record.fault_detail = Kind.INTERNAL, type(bug).__name__
            raise
        finally:
            self._seats.give(seat)
            self._close(record, attempt)

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

    def _choose(self, call: Call, request: Request) -> tuple[Verdict, Sequence[Backend]]:
        """Find the tier, and the backends of it that this caller may use."""
        pinned = pinned_tier(call.headers)
        route = self.catalogue.route(request.model)
        if route is None or not call.caller.may_use(request.model, *route.names):
            raise unknown_model(request.model)
        if pinned:
            route = Route(pinned, reason="header")
        verdict = choose(route, lambda: self._classifier.classify(call.dialect.conversation(request)))
        verdict, backends = self._planner.within_reach(verdict, route, call.caller)
        if not backends:
            raise unknown_model(request.model)
        return verdict, backends

    def _plan(self, record: Record, request: Request, verdict: Verdict, backends: Sequence[Backend]) -> Plan:
        record.tier, record.reasons = verdict.tier, verdict.reasons
        record.score, record.gain = verdict.score, verdict.gain
        needs = Needs(tokens=len(request.body) // BYTES_PER_TOKEN)
        return self._planner.plan(verdict.tier, backends, record.session, needs, request, self._clock())

    def _headers(self, record: Record, attempt: Try | None) -> list[Pair]:
        """Every answer says which request this was and where it went."""
        passed = to_client(attempt.headers) if attempt else []
        backend = record.backend
        return [
            *passed,
            (b"x-request-id", record.id.encode()),
            (b"x-twospeed-tier", record.tier.encode()),
            (b"x-twospeed-backend", backend.encode("latin-1", "replace")),
            (b"x-twospeed-reason", ",".join(record.reasons[:3]).encode("latin-1", "replace")),
            (b"x-twospeed-attempts", b"%d" % len(record.attempts)),
        ]

    def _refuse(self, call: Call, reply: Reply, record: Record, fault: Fault) -> None:
        """Record a fault and, where nothing was sent yet, answer it in the caller's dialect."""
        record.fault, record.fault_detail = fault.kind, fault.detail
        if reply.started:
            return
        refusal = call.dialect.refuse(fault)
        record.status, record.bytes_out = refusal.status, len(refusal.body)
        known = [pair for pair in self._headers(record, None) if pair[1]]
        reply.send(refusal.status, [*refusal.headers, *known], refusal.body)

    def _close(self, record: Record, attempt: Try | None) -> None:
        """Settle what is open and tell everyone who listens."""
        self.serving -= 1
        if attempt is not None:
            self._attempts.close(attempt, record.fault, record.fault_detail)
            reader = attempt.reader
            record.finish = reader.finish if reader else attempt.finish
            record.usage = attempt.usage
        record.ended_at = self._clock()
        for sink in self._sinks:
            sink(record)


def unknown_model(model: str) -> Fault:
    """A model that does not exist and one that is forbidden are told apart by nobody (R32)."""
    shown = model[:100]
    return Fault(Kind.MODEL_NOT_FOUND, f"the model '{shown}' does not exist or you may not use it", param="model")
