"""One attempt at one backend: connect, send, read up to the commit point; later bytes are handed on by `pour`.

It never decides what follows a failure (that is the race) and never talks to the client. Every way out goes through
`close`, which gives the connection back or aborts it, settles the permit and tells the breaker, exactly once.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from twospeed.dialects import Dialect, Reader, Spoken, bridge
from twospeed.dialects.named import named
from twospeed.dialects.openai_completions import AS_CAME, Way, ask
from twospeed.dialects.quirks import NONE, Quirks
from twospeed.errors import MEANING, Fault, Kind
from twospeed.policy.breaker import Health
from twospeed.policy.budget import Budget
from twospeed.policy.headers import Pair, find, query_to_provider, to_provider, without_dialect
from twospeed.policy.limit import Limit, Limits, Permit
from twospeed.policy.tracing import outgoing
from twospeed.types import Attempt, Candidate, Exchange, Request, Trace, Transport, Usage
from twospeed.upstream.faults import fault_of_status, retold
from twospeed.upstream.http import HttpExchange

UNNAMED = ("", "")
ERROR_BODY_LIMIT = 65_536  # bytes of a provider's error answer that are read
# What the provider never worked on costs no tokens (R20).
_REFUNDED = frozenset(
    {Kind.PROVIDER_RATE_LIMITED, Kind.PROVIDER_REFUSED, Kind.PROVIDER_CONFLICT, Kind.UPSTREAM_AUTH_ERROR}
)
# Attempts that reached a provider and for which none asks money: it failed by itself before it answered.
_UNBILLED = frozenset({Kind.PROVIDER_ERROR, Kind.RESET, Kind.PROTOCOL_ERROR, Kind.BAD_ANSWER})


class Link(msgspec.Struct):
    """How one backend is reached: its provider's transport, headers and limits, resolved from the configuration.

    `metered`: requests or tokens are limited, so that what a provider says about them matters.
    """

    transport: Transport
    pool: str  # provider/family, the name its limits are counted under
    limit: Limit
    path: str = ""  # put before the dialect's own path
    headers: tuple[Pair, ...] = ()  # the provider's key among them
    forward: frozenset[bytes] = frozenset()
    answer_limit: int = 64_000_000  # bytes
    account: bool = True  # may be asked for usage on streams
    defaults: tuple[Pair, ...] = ()  # headers for requests whose client sent none of that name
    query: str = ""  # put behind every path, "?" included
    dialects: frozenset[str] = frozenset()  # names of those spoken without translation, none means any
    quirks: Quirks = NONE
    budget: Budget = Budget()
    deep_limit: Limit | None = (
        None  # what deep requests must fit into, where they leave a part of the limit to fast ones
    )
    under_way: int = 0  # attempts that are not closed yet
    completions: Way = AS_CAME
    metered: bool = False

    def __post_init__(self) -> None:
        limit = self.limit
        self.metered = not (limit.rpm is limit.tpm is limit.itpm is limit.otpm is None)


class Job(msgspec.Struct):
    """What every attempt of one request shares.

    `wall`: when it came, seconds since the epoch. `query`: what stood behind the path, without "?".
    """

    dialect: Dialect
    request: Request
    headers: Mapping[bytes, bytes]  # the client's
    trace: Trace | None = None
    id: str = ""
    wall: float = 0.0
    query: str = ""


class Try(msgspec.Struct, eq=False):
    """One attempt under way.

    `status`, `headers`: the provider's, names in lower case. `held`: bytes read up to the commit point, still owed to the
    client. `broken`: the stream failed in the very read that held its first content, so it is committed and broken at
    once. `translated`: the provider is spoken to in another dialect than the caller's; `dropped`: what that could not
    carry over. `body_bytes`: kept, because the body itself is let go once nobody needs it.
    """

    job: Job
    candidate: Candidate
    link: Link
    row: Attempt
    permit: Permit | None
    exchange: Exchange | None = None
    status: int = 0
    headers: Sequence[Pair] = ()
    translated: bool = False
    dropped: Sequence[str] = ()
    reader: Reader | None = None
    held: Sequence[bytes] = ()
    usage: Usage | None = None
    finish: str = ""
    broken: Fault | None = None
    body_bytes: int = 0
    sent: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        link, job = self.link, self.job
        link.under_way += 1
        self.body_bytes = len(job.request.body)
        if link.dialects:
            self.translated = job.dialect.name not in link.dialects

    async def connect(self, deadline: float, now: Callable[[], float]) -> None:
        """Get a connection. Raises: TimeoutError; Fault CONNECT_FAILED, TLS_FAILED."""
        fresh = self.job.request.stateful  # a used connection may die in a way that leaves doubt (R3)
        exchange = self.exchange = await self.link.transport.connect(deadline, fresh)
        row = self.row
        row.connected_at, row.reused = now(), exchange.reused

    async def begin(self, deadline: float, now: Callable[[], float]) -> None:
        """Send the request and read up to the commit point. Raises: TimeoutError; Fault of any backend kind."""
        spoken, path, written, body = self._put()
        exchange = self.exchange
        assert exchange is not None
        self.sent = True
        try:
            await exchange.send(path, written, body, deadline)
        except Fault as fault:
            if not self._stale(exchange, fault):
                raise
            exchange.close()
            exchange = self.exchange = await self.link.transport.connect(deadline, True)
            await exchange.send(path, written, body, deadline)
        del body  # a long one need not wait for the answer
        row = self.row
        row.status = self.status = exchange.status
        self.headers = headers = exchange.headers
        request_id = find(headers, b"x-request-id") or find(headers, b"request-id")
        row.request_id = request_id[:128].decode("latin-1")
        if not 200 <= exchange.status < 300:
            refusal = await self._refused(exchange, deadline)
            raise retold(refusal) if self.translated else refusal
        if self.job.request.stream:
            if not find(headers, b"content-type").lower().startswith(b"text/event-stream"):
                raise Fault(Kind.BAD_ANSWER, detail="a stream was asked for, the content type is not text/event-stream")
            await self._until_content(spoken, exchange, deadline)
        else:
            whole = await _read_all(exchange, deadline, self.link.answer_limit)
            answer = spoken.answer(whole)
            self.held, self.usage, self.finish = (answer.body or whole,), answer.usage, answer.finish
        row.first_token_at = now()

    def name(self) -> None:
        """Write into the row, once, what the answer calls itself and its model, as far as its beginning says."""
        if self.row.named == UNNAMED:
            self.row.named = named(b"".join(self.held))

    def _put(self) -> tuple[Spoken, str, list[Pair], bytes]:
        """Return how the request is put to this provider: in which words, its path, headers and body."""
        job, link = self.job, self.link
        spoken: Spoken = job.dialect
        passed = to_provider(job.headers, link.forward)
        query = link.query
        if self.translated:
            passed = without_dialect(passed)
            spoken, self.dropped = bridge(
                job.dialect, job.request, link.dialects, self.candidate.backend.provider, link.quirks, job.id, job.wall
            )
        else:
            if job.request.completion is not None:
                spoken = ask(job.request, link.completions)
            if job.query:
                query = query_to_provider(job.query, query)
        headers = [*link.headers, *passed]
        if job.trace is not None:
            headers += outgoing(job.trace, self.row.span)
        if link.defaults:
            headers += [default for default in link.defaults if not find(passed, default[0])]
        body = spoken.encode(job.request, self.candidate.backend.model, link.account)
        return spoken, link.path + spoken.upstream_path + query, headers, body

    def _stale(self, exchange: Exchange, fault: Fault) -> bool:
        """Say whether a kept-alive connection was closed by the provider just as it was used again: not its fault."""
        offer = self.candidate.offer
        withdrawn = offer is not None and offer.withdrawn
        return fault.kind is Kind.RESET and exchange.reused and not exchange.answered and not withdrawn

    async def _until_content(self, spoken: Spoken, exchange: Exchange, deadline: float) -> None:
        reader = self.reader = spoken.reader(self.job.request)
        held: list[bytes] = []
        while not (reader.committed or reader.ended):
            data = await exchange.read(deadline)
            try:
                held.append(reader.feed(data) if data else reader.end())
            except Fault as fault:
                self.broken = fault
                if not self.reader.committed:
                    raise
            if not data:
                break
        self.held = held

    async def _refused(self, exchange: Exchange, deadline: float) -> Fault:
        body = await self._error_body(exchange, deadline)
        return fault_of_status(exchange.status, exchange.headers, body, self.job.wall)

    async def _error_body(self, exchange: Exchange, deadline: float) -> bytes:
        try:
            return await _read_all(exchange, deadline, ERROR_BODY_LIMIT)
        except Fault:
            return b""  # the status alone says enough

    async def read(self, deadline: float) -> bytes:
        """Return the next body bytes after the commit point, b"" at the end. Raises: TimeoutError; Fault."""
        assert self.exchange is not None
        return await self.exchange.read(deadline)

    async def pour(self, sink: Callable[[bytes], bool], idle: float, deadline: float, now: Callable[[], float]) -> bool:
        """Hand on the body bytes after the commit point as they come; see `HttpExchange.pour`."""
        exchange = self.exchange
        assert exchange is not None
        if isinstance(exchange, HttpExchange):
            return await exchange.pour(sink, idle, deadline)
        while data := await exchange.read(min(now() + idle, deadline)):
            if not sink(data):
                return False
        return True

    def close(self, kind: Kind | None, now: float, limits: Limits, health: Health, detail: str = "") -> bool:
        """End the attempt: `kind` None for a whole answer. Only the first call counts, and it alone returns True."""
        if self.closed:
            return False
        self.closed = True
        self.link.under_way -= 1
        if self.exchange is not None:
            self.exchange.close()
        row, permit = self.row, self.permit
        row.ended_at, row.kind, row.detail = now, kind, detail
        if permit is not None:
            self._settle(permit, kind, limits)
        backend, first = row.backend.name, row.first_token_at
        if kind is None:
            health.succeeded(backend, None if first is None else first - row.started_at)
        elif MEANING[kind].trips:
            health.failed(backend, kind)
        elif self.candidate.probe:
            health.released(backend)
        return True

    def _settle(self, permit: Permit, kind: Kind | None, limits: Limits) -> None:
        if not self.sent or kind in _REFUNDED:
            limits.refund(permit)
            return
        usage = self.usage or (self.reader.usage if self.reader else None)
        if usage is None:
            usage = self.estimate()
        elif kind is not None and self.reader is not None and not self.reader.finish:
            usage = self._cut_off(usage)
        self.usage = usage
        if kind not in _UNBILLED or usage.output_tokens:
            self.row.usage = usage
        limits.settle(permit, usage.input_tokens, usage.output_tokens)

    def _cut_off(self, usage: Usage) -> Usage:
        """Return the usage of a stream that ended early: what it said at its start, and the output that came since."""
        written = self.estimate().output_tokens
        if written <= usage.output_tokens:
            return usage
        return replace(usage, output_tokens=written, estimated=True)

    def estimate(self) -> Usage:
        """What was used where the provider never said: the input estimate, and one token per content event."""
        reader = self.reader
        asked = self.permit.ask.input_tokens if self.permit else 0
        return Usage(asked, max(reader.output_events, reader.output_bytes // 64) if reader else 0, estimated=True)


async def _read_all(exchange: Exchange, deadline: float, limit: int) -> bytes:
    parts, size = [], 0
    while data := await exchange.read(deadline):
        parts.append(data)
        size += len(data)
        if size > limit:
            raise Fault(Kind.ANSWER_TOO_LARGE, detail=f"answer beyond {limit} bytes")
    return b"".join(parts)  # one part is not copied
