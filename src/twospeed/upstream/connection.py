"""One connection to a provider: an asyncio protocol that carries one request at a time.

No task and no callback of its own: `data_received` feeds the response and completes the one future that the
exchange waits on, or hands body bytes on at once to whoever wants all of them. Reading stops while more than UNREAD_LIMIT bytes wait to be taken (R16). One timer serves all
deadlines, those of waits and that of idleness: it is armed again only when it fires early or stands too late, so a
request costs no timer.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import cast

from twospeed.errors import Fault, Kind
from twospeed.upstream.cause import cause
from twospeed.upstream.response import Response

UNREAD_LIMIT = 262_144  # bytes held in this process before reading stops
JOIN_LIMIT = 16_384  # bytes of a body that is copied behind its head rather than written as a second piece
_TICK = 0.001  # seconds; loops keep time in milliseconds, and an earlier timer would spin


class Connection(asyncio.Protocol):
    """A connection, made by a dial and owned by a pool.

    `closed`: gone or going, of no further use. `asked`: a request was written and the connection not rested since.
    `served`: requests that were answered completely.
    """

    __slots__ = (
        "_deadline",
        "_idle",
        "_loop",
        "_on_lost",
        "_paused",
        "_sink",
        "_timer",
        "_timer_at",
        "_transport",
        "_until",
        "_waiter",
        "asked",
        "closed",
        "lost",
        "response",
        "served",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.response: Response  # from connection_made on
        self.asked = False
        self.closed = False
        self.lost = False
        self.served = 0
        self._transport: asyncio.Transport | None = None
        self._on_lost: Callable[[Connection], None] | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._sink: Callable[[bytes], bool] | None = None
        self._idle = self._until = 0.0  # of the sink
        self._paused = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf  # without one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop; a connection that was given up while it was made is closed again."""
        self.response = Response()
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not registered as such
        if self.closed:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop, once, when the connection is closed for whatever reason."""
        self.closed = self.lost = True
        self._end(cause(exc))
        self.response.drop()
        if self._on_lost is not None:
            self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Called by the loop with bytes off the wire."""
        if not self.asked:
            self.abort()  # whatever it is, nobody asked
            return
        response = self.response
        response.feed(data)
        if response.failure is not None or (response.complete and not response.reusable):
            self.abort()
            return
        self._wake()
        if response.held > UNREAD_LIMIT and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Called by the loop when the peer has said its last."""
        self.response.end()
        self.abort()

    def adopt(self, on_lost: Callable[["Connection"], None]) -> None:
        """Name who hears, once, that the connection is gone."""
        if self.lost:
            on_lost(self)
        else:
            self._on_lost = on_lost

    def ask(self, method: str, head: bytes, body: bytes) -> None:
        """Write a request. Raises: Fault RESET, with nothing written, when the connection is closed."""
        transport = self._transport
        if self.closed or transport is None:
            raise Fault(Kind.RESET, detail="the connection was closed before it was used")
        self.response.begin(method)
        self.asked = True
        self._sink = None
        if len(body) > JOIN_LIMIT:
            transport.writelines((head, body))
        else:
            transport.write(head + body)

    def news(self, deadline: float) -> asyncio.Future[bool]:
        """Return what to await until something happens: bytes, the end, a failure. Its result says nothing.

        It raises TimeoutError at `deadline`, an instant of loop.time(), the connection then being aborted. Whoever
        is cancelled while awaiting it aborts the connection.
        """
        self._deadline = deadline
        if deadline < self._timer_at:
            self._arm(deadline)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def pour(self, sink: Callable[[bytes], bool], idle: float, deadline: float) -> asyncio.Future[bool]:
        """Hand body bytes on as they come, waking nobody; return what to await until that is over.

        Its result is True when `sink` has returned False, else False: the end, a failure. A Fault that `sink` raises is
        raised by it, and TimeoutError when no bytes have come for `idle` seconds or at `deadline`, as by `news`.
        """
        self._sink, self._idle, self._until = sink, idle, deadline
        return self.news(min(self._loop.time() + idle, deadline))

    def take(self) -> bytes:
        """Return all body bytes that have come and let more come; there are some."""
        if self._paused:
            self._paused = False
            if not self.closed and self._transport is not None:
                self._transport.resume_reading()
        return self.response.take()

    def done(self) -> bool:
        """Say whether nothing stands between this connection and another request."""
        if self.closed or self._transport is None:
            return False
        if not self.asked:
            return True
        response = self.response
        # An answer may come before its request was written out: what is still to be written would foul the next one.
        return response.reusable and not response.parts and self._transport.get_write_buffer_size() == 0

    def rest(self, seconds: float) -> None:
        """Become idle; closes itself after so many seconds, or when anything comes."""
        if self.asked:
            self.served += 1
            self.asked = False
        self._deadline = until = self._loop.time() + seconds
        if until < self._timer_at:
            self._arm(until)

    def abort(self) -> None:
        """Close at once; who waits is told. Without effect when closed."""
        if self.closed:
            return
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
            self._end("connection given up by this side")

    def _end(self, why: str) -> None:
        self._disarm()
        self.response.lose(why)
        self._wake()

    def _wake(self) -> None:
        waiter, sink = self._waiter, self._sink
        if waiter is None or waiter.done():
            return
        if sink is None:
            waiter.set_result(False)
        else:
            self._hand_on(sink, waiter)

    def _hand_on(self, sink: Callable[[bytes], bool], waiter: asyncio.Future[bool]) -> None:
        response = self.response
        enough = False
        if response.parts:
            deadline = self._loop.time() + self._idle
            self._deadline = deadline if deadline < self._until else self._until
            try:
                enough = not sink(response.take())
            except BaseException as error:  # whose request it is must hear of it, and of a bug the loop as well
                self._stop_pouring(waiter, error)
                if not isinstance(error, Fault):
                    raise
                return
        if enough or response.complete or response.failure is not None:
            self._stop_pouring(waiter, enough)

    def _stop_pouring(self, waiter: asyncio.Future[bool], outcome: bool | BaseException) -> None:
        self._sink = None
        if waiter.done():
            return  # `sink` has given this connection up
        if isinstance(outcome, BaseException):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)

    def _arm(self, when: float) -> None:
        self._disarm()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, inf

    def _on_timer(self) -> None:
        self._disarm()
        waiting = self._waiter is not None and not self._waiter.done()
        if self.asked and not waiting:
            return  # nobody waits; the next wait arms it again
        now = self._loop.time()
        if now < self._deadline:
            self._arm(max(self._deadline, now + _TICK))
            return
        if self._waiter is not None and waiting:
            self._waiter.set_exception(TimeoutError())
        self.abort()
