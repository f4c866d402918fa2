"""A simulated provider in this process: `SimulatedTransport` plays answers of `upstream/script` against the loop's clock.

It speaks the same protocol as the HTTP client engine and fails with the same Faults: CONNECT_FAILED for a refused
connection, RESET before a head, TRUNCATED in a body, PROTOCOL_ERROR for bad framing; hanging and stalling end with
TimeoutError at the caller's deadline. No socket, no task, one timer while somebody waits.
"""

import asyncio
from collections.abc import Iterator, Sequence

from twospeed.errors import Fault, Kind
from twospeed.upstream.script.answer import NEVER, Answer, Ending, Timed
from twospeed.upstream.script.directive import HEADER
from twospeed.upstream.script.performer import Performer, Turn
from twospeed.upstream.script.settings import FaultKind, FaultRule, Simulation

__all__ = ["HEADER", "FaultKind", "FaultRule", "SimulatedExchange", "SimulatedTransport", "Simulation"]

READ_LIMIT = 65_536  # bytes handed out by one read, about what a socket would give
TICK = 0.0005  # seconds; what is due within it is due now, since loops keep time in milliseconds
LONGEST_SLEEP = 86_400.0  # seconds; timers of some loops cannot count further

KINDS = {
    Ending.CLOSED: Kind.TRUNCATED,
    Ending.RESET: Kind.TRUNCATED,
    Ending.GARBLED: Kind.PROTOCOL_ERROR,
    Ending.REFUSED: Kind.CONNECT_FAILED,
}


class SimulatedTransport:
    """How a provider of kind `simulated` is reached.

    `open_exchanges`: exchanges not closed yet. `served`: requests sent here, whatever came of them. `cancelled`:
    requests whose exchange was closed before the end of the answer was read.

    Args:
        name: The provider's name, as orders in the request header x-twospeed-simulate address it.
        simulation: How it answers.
    """

    def __init__(self, name: str, simulation: Simulation) -> None:
        self._performer = Performer(name, simulation)
        self._closed = False
        self.open_exchanges = 0
        self.served = 0
        self.cancelled = 0

    async def connect(self, deadline: float, fresh: bool = False) -> "SimulatedExchange":
        """Return a new exchange at once.

        Raises:
            Fault: CONNECT_FAILED where the settings say `refuse`; DRAINING after `close`.
        """
        if self._closed:
            raise Fault(Kind.DRAINING, detail="the simulated provider is closed")
        turn = self._performer.turn()
        if turn.rule is not None and turn.rule.kind is FaultKind.REFUSE:
            raise Fault(Kind.CONNECT_FAILED, detail="simulated: connection refused")
        self.open_exchanges += 1
        return SimulatedExchange(self, self._performer, turn)

    async def close(self) -> None:
        """Refuse new exchanges; those under way go on to their end."""
        self._closed = True


class SimulatedExchange:
    """One request and its answer. Instants inside are seconds after `send`, as in the answer's plan.

    `length`: bytes that the whole body would have, None for a stream. `ending`: what comes after the last byte. Both
    hold once `send` has begun.
    """

    __slots__ = (
        "_answer",
        "_began",
        "_body",
        "_closed",
        "_ended",
        "_full",
        "_next",
        "_performer",
        "_reached",
        "_transport",
        "_turn",
        "_waiter",
        "answered",
        "ending",
        "headers",
        "length",
        "reused",
        "status",
    )

    def __init__(self, transport: SimulatedTransport, performer: Performer, turn: Turn) -> None:
        self._transport = transport
        self._performer = performer
        self._turn = turn
        self._answer: Answer | None = None
        self._body: Iterator[Timed] = iter(())
        self._next: Timed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._began = self._reached = 0.0
        self._closed = self._ended = self._full = False
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.reused = self.answered = False
        self.length: int | None = None
        self.ending = Ending.WHOLE

    async def send(self, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, deadline: float) -> None:
        """Take the request and wait for the response head.

        Raises:
            TimeoutError: at `deadline`, an instant of loop.time().
            Fault: CONNECT_FAILED, RESET.
        """
        self._began = asyncio.get_running_loop().time()
        self._transport.served += 1
        orders = next((value.decode("latin-1") for name, value in headers if name == HEADER), "")
        answer = self._answer = self._performer.answer(self._turn, path, orders, body)
        self.length, self.ending = answer.length, answer.ending
        await self._until(answer.head_at, deadline)
        if not answer.status:
            await self._end(answer, deadline)
        self.status, self.headers, self._body = answer.status, answer.headers, answer.body
        self._next = next(self._body, None)
        self.answered = True

    async def read(self, deadline: float) -> bytes:
        """Return all body bytes that are due, at least one; b"" is the whole and proper end of the body.

        Raises:
            TimeoutError: at `deadline`.
            Fault: TRUNCATED, PROTOCOL_ERROR; RESET when there is no answer to read.
        """
        if self._answer is None or self._closed:
            raise Fault(Kind.RESET, detail="the exchange is closed")
        if self._full:
            await asyncio.sleep(0)  # a socket would let others run between two full buffers
        while self._next is not None:
            if data := self._due():
                return data
            await self._until(self._next[0], deadline)
        await self._end(self._answer, deadline)
        return b""

    def close(self) -> None:
        """End the exchange; a wait under way ends with Fault RESET. Safe to call again."""
        if self._closed:
            return
        self._closed = True
        self._transport.open_exchanges -= 1
        self._transport.cancelled += self._answer is not None and not self._ended
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _due(self) -> bytes:
        now = max(asyncio.get_running_loop().time() - self._began, self._reached) + TICK
        parts: list[bytes] = []
        size = 0
        while self._next is not None and self._next[0] <= now and size < READ_LIMIT:
            parts.append(self._next[1])
            size += len(self._next[1])
            self._next = next(self._body, None)
        self._full = size >= READ_LIMIT
        return b"".join(parts)

    async def _end(self, answer: Answer, deadline: float) -> None:
        """Come to the end of the answer: return when it is a proper one."""
        while answer.ending is Ending.SILENT:
            await self._until(NEVER, deadline)
        if answer.ending is not Ending.WHOLE:
            self._ended = True
            kind = Kind.RESET if not answer.status and answer.ending is Ending.RESET else KINDS[answer.ending]
            raise Fault(kind, detail=f"simulated: {answer.ending.name.lower()}")
        self._ended = True

    async def _until(self, instant: float, deadline: float) -> None:
        due = self._began + instant
        wait = min(due, deadline) - asyncio.get_running_loop().time()
        if wait > 0:
            await self._sleep(min(wait, LONGEST_SLEEP))
        if due > deadline:
            raise TimeoutError
        self._reached = instant  # timers may be a little early; what was waited for is due

    async def _sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        if self._closed:
            raise Fault(Kind.RESET, detail="the exchange is closed")


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
