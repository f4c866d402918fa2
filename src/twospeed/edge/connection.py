"""One client connection: takes requests off it in order, one at a time, and always knows whether the client is there.

    READING -> (BODY ->) SERVING -> READING ...        an answer that closes, or a fault: -> LINGERING -> CLOSED

Each request is served in one task, owned by its connection, cancelled when the client goes and awaited by
`HttpServer.close`. Reading goes on meanwhile, so that a client that leaves is noticed at once; what it pipelines is held
up to a bound. Deadlines are instants that the server's sweep compares; nothing here arms a timer.
"""

import asyncio
from typing import cast

from twospeed.dialects import Refusal
from twospeed.edge.app import Call, reported
from twospeed.edge.body import ChunkedBody, SizedBody
from twospeed.edge.heads import Heads
from twospeed.edge.line import NEVER, Line
from twospeed.edge.reply import Reply, reply_to
from twospeed.edge.serving import Serving
from twospeed.edge.shared import Shared
from twospeed.edge.wire import Head
from twospeed.errors import Fault, Kind
from twospeed.policy.headers import Headers

HOLD_LIMIT = 65_536  # bytes of pipelined requests held while one is served
LINGER = 5.0  # seconds for a refused client to read its answer while it still sends
LINGER_BYTES = 1 << 26  # and how much it may send meanwhile
GRACE = 0.5  # seconds for requests on their way once the server stops, and for clients too many to take their answer
# Where a connection is; plain numbers, because an enum's members cost 0.1 us a look.
_READING, _BODY, _SERVING, _LINGERING, _CLOSED = range(5)
_NO_HEAD = Head("GET", "/", "", Headers(), keep_alive=False)  # stands in for a head that could not be read


class Connection(asyncio.Protocol):
    """One client connection. `deadline`: instant of the next `tick` that matters."""

    __slots__ = (
        "__weakref__",
        "_body",
        "_buffer",
        "_choked",
        "_discarded",
        "_head",
        "_head_begun",
        "_heads",
        "_phase",
        "_received_at",
        "_shared",
        "deadline",
        "line",
        "serving",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._phase = _READING
        self._buffer = b""  # READING: the beginning of a head; SERVING: what was pipelined
        self._head_begun = True  # the deadline of the first head runs from the start of the connection
        self._heads = Heads(shared.reader)
        self._head: Head | None = None  # of the body being read
        self._body: SizedBody | ChunkedBody | None = None
        self._received_at = 0.0
        self._choked = False  # reading is paused
        self._discarded = 0
        self.deadline = NEVER

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the first head, or turn away a connection too many."""
        shared = self._shared
        transport = cast(asyncio.Transport, transport)  # uvloop's has no base in common with asyncio's
        self.line = Line(transport, shared.loop, shared.listen.stall_timeout)
        self.serving = Serving(shared, self.line, self._served)
        shared.shaking.discard(self)
        if len(shared.open) + len(shared.shaking) >= shared.listen.max_connections:
            self._turn_away_unheard()
            return
        shared.open.add(self)
        self.deadline = shared.loop.time() + shared.listen.head_timeout
        if shared.stopping:
            self.wind_down()

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        phase = self._phase
        if phase == _READING and not self.line.paused:
            self._read_heads(self._buffer + data)
        elif phase == _BODY:
            self._buffer = self._read_body(data)
        elif phase in (_SERVING, _READING):
            self._hold(data)
        else:
            self._discard(len(data))

    def eof_received(self) -> bool:
        """A client that closes its side is gone, unless its answer is already written (R15)."""
        if self.serving.owes():
            self._leave()
        else:
            self.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way for this client."""
        self._phase = _CLOSED
        self.line.lost = True
        self.line.stall_deadline = self.deadline = NEVER
        self._buffer = b""
        self._head = self._body = None
        self.serving.leave()
        if self.serving.task is None:
            self._shared.forget(self)

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self.line.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.line.resume()
        if self._phase == _READING:
            self._read_on()

    # What the server says

    @property
    def busy(self) -> bool:
        """Whether a request is under way, from the end of its head until it is served."""
        return self._phase == _BODY or self.serving.task is not None

    def tick(self, now: float) -> None:
        """Act on a deadline that has passed, and on a client that takes nothing."""
        if self.line.stall_deadline < NEVER and self.line.check(now) and self._phase != _SERVING:
            self.line.abort()
        elif self.deadline <= now:
            self.deadline = NEVER
            self._expired(now)

    def _expired(self, now: float) -> None:
        if self._phase == _SERVING:
            self._watch_choked(now)
        elif self._phase == _BODY or (self._phase == _READING and self._buffer and not self.line.paused):
            self._refuse(self._head, Fault(Kind.CLIENT_TIMEOUT, "The request did not arrive in time."))
        elif self._phase == _READING and not self._head_begun and self._heads.known and not self.line.closing:
            self._heads.forget()
            self.deadline = now + self._shared.keep_alive - self._shared.nap
        else:
            self.close()

    def wind_down(self) -> None:
        """The server stops: close when idle, unless the next request may be on its way; otherwise soon."""
        self.line.closing = True
        listen, now = self._shared.listen, self._shared.loop.time()
        quiet_since = self.deadline - (listen.head_timeout if self._head_begun else self._respite())
        if self._phase == _READING and not self._buffer and quiet_since < now - GRACE:
            self.close()
        elif self._phase in (_READING, _LINGERING):
            self.deadline = min(self.deadline, now + GRACE)

    def close(self) -> None:
        """Close after what is written has left; a client that does not take it is cut off by the sweep."""
        self._phase = _CLOSED
        self.deadline = NEVER
        self.line.watch()
        self.line.transport.close()

    # Reading requests

    def _read_heads(self, data: bytes) -> None:
        """Begin what is asked for in `data`, of which there is some, until a request is being served."""
        while True:
            try:
                head, end = self._heads.first(data)
            except Fault as fault:
                self._refuse(None, fault)
                return
            if head is None:
                self._await_head()
                break
            data = self._open(head, data, end)
            if not data or self._phase != _READING or self.line.paused:
                break
        self._buffer = data

    def _await_head(self) -> None:
        if not self._head_begun:
            self._head_begun = True
            self.deadline = self._shared.loop.time() + self._shared.listen.head_timeout

    def _open(self, head: Head, data: bytes, end: int) -> bytes:
        """Begin the request whose head ends at `end`; return what follows the request in `data`."""
        now = self._shared.loop.time()
        refusal, length = self._admit(head), head.length
        if length is None or end + length > len(data):
            if refusal is None:
                return self._begin_body(head, now, memoryview(data)[end:])
            self._turn_away(head, refusal)
            return b""
        body_end = end + length
        if refusal is None:
            self._deliver(Call(head, data[end:body_end], now))
        else:
            self._answer(head, refusal)
        return data[body_end:]

    def _admit(self, head: Head) -> Refusal | None:
        shared = self._shared
        try:
            try:
                refusal = shared.app.admit(head)
            except Fault:
                raise
            except Exception as bug:
                raise reported(bug) from bug
            if refusal is None and (head.length or 0) > shared.body_limit:
                raise Fault(Kind.BODY_TOO_LARGE, f"The request body is larger than {shared.body_limit} bytes.")
        except Fault as fault:
            return shared.app.refuse(head, fault)
        return refusal

    def _begin_body(self, head: Head, now: float, first: memoryview) -> bytes:
        listen = self._shared.listen
        self._phase = _BODY
        self.deadline = now + listen.body_timeout
        self._head = head
        self._received_at = now
        self._body = ChunkedBody(listen.body_limit) if head.length is None else SizedBody(head.length)
        if first:
            return self._read_body(first)
        if not head.http10 and head.headers.get(b"expect", b"").lower() == b"100-continue":
            self.line.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return b""

    def _read_body(self, data: bytes | memoryview) -> bytes:
        body, head = self._body, self._head
        assert body is not None
        assert head is not None
        try:
            whole = body.feed(data)
        except Fault as fault:
            self._refuse(head, fault)
            return b""
        if not whole:
            return b""
        self._body = self._head = None
        self._deliver(Call(head, body.whole(), self._received_at))
        return body.rest

    def _hold(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > HOLD_LIMIT and not self._choked:
            self._choked = True
            self.line.transport.pause_reading()
            if self._phase == _SERVING:
                self.deadline = 0.0  # due at every sweep: see _watch_choked

    def _read_on(self) -> None:
        """Take up what was held."""
        if self._choked:
            self._choked = False
            self.line.transport.resume_reading()
        if self._buffer and not self.line.paused:
            held, self._buffer = self._buffer, b""
            self._read_heads(held)

    def _watch_choked(self, now: float) -> None:
        if self._choked and self.line.half_closed():
            self._leave()
        elif self._choked:
            self.deadline = now

    # Serving

    def _deliver(self, call: Call) -> None:
        self._phase = _SERVING
        self.deadline = NEVER
        self.serving.begin(call)

    def _served(self, reply: Reply) -> None:
        """A request is over: what becomes of the connection?"""
        line = self.line
        if line.lost:
            self._shared.forget(self)
        elif not reply.done or reply.gone or line.stalled:
            line.abort()
        elif self._phase == _SERVING:
            if reply.keep_alive and not line.closing:
                self._rest()
                if self._buffer or self._choked:
                    self._read_on()
            else:
                self._finish()

    def _rest(self) -> None:
        self._phase = _READING
        self._head_begun = False
        self.deadline = self._shared.loop.time() + self._respite()

    def _respite(self) -> float:
        """Seconds of rest until the next `tick`: a client that has not asked again for a while is forgotten first."""
        return self._shared.nap if self._heads.known else self._shared.keep_alive

    # Answers of the engine's own

    def _refuse(self, head: Head | None, fault: Fault) -> None:
        self._turn_away(head or _NO_HEAD, self._shared.app.refuse(head, fault))

    def _turn_away(self, head: Head, refusal: Refusal) -> None:
        reply = reply_to(head, self.line)
        reply.keep_alive = False
        reply.send(*refusal)
        self._linger(LINGER)

    def _answer(self, head: Head, refusal: Refusal) -> None:
        """Answer a request that was refused but has come whole, so that the connection can go on."""
        reply = reply_to(head, self.line)
        reply.send(*refusal)
        if reply.keep_alive:
            self._rest()
        else:
            self._finish()

    def _turn_away_unheard(self) -> None:
        shared = self._shared
        reply_to(_NO_HEAD, self.line).send(*shared.crowded())
        shared.crowd.add(self)
        if len(shared.crowd) > shared.listen.max_connections // 10 + 10:
            self.close()
        else:
            self._linger(GRACE)

    # Leaving

    def _leave(self) -> None:
        """The client is gone in the middle of a request."""
        self.line.abort()
        self.serving.leave()

    def _finish(self) -> None:
        if self._buffer or self._choked:
            self._linger(LINGER)
        else:
            self.close()

    def _linger(self, seconds: float) -> None:
        """Close in a way that lets the client read its answer although it still sends.

        Closing a socket with unread data in it resets the connection and may destroy the answer on its way.
        """
        self._phase = _LINGERING
        self._buffer = b""
        self._head = self._body = None
        self.deadline = self._shared.loop.time() + (GRACE if self.line.closing else seconds)
        if self._choked:
            self._choked = False
            self.line.transport.resume_reading()
        self.line.end_output()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.line.abort()
