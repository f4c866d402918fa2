"""The connections to one provider: which are idle, how many there may be, and who waits for one.

The connection used last is used first, so that spare ones expire. `open` counts connections and dials under way
and never exceeds the limit; who comes when it is reached stands in line, and whatever becomes free goes to the
first in line at once, so nobody overtakes. The pool dials nothing itself.
"""

import asyncio
import re
from collections import deque
from typing import NamedTuple

from twospeed.errors import Fault, Kind
from twospeed.upstream.connection import Connection

_KEEP_ALIVE_TIMEOUT = re.compile(rb"timeout=(\d{1,6})")


class _Waiter(NamedTuple):
    granted: asyncio.Future[Connection | None]  # None grants the right to dial
    fresh: bool


class Pool:
    """The pool of one provider.

    Args:
        limit: Connections open at once at most.
        keep_alive: Seconds that a connection may be idle; less where the provider announces less.
    """

    def __init__(self, limit: int, keep_alive: float) -> None:
        self.open = 0
        self.closed = False
        self._limit = limit
        self._keep_alive = keep_alive
        self._idle: dict[Connection, None] = {}  # in order of becoming idle
        self._line: deque[_Waiter] = deque()

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def crowded(self) -> bool:
        """Whether whoever needs a new connection must wait for one to end."""
        return self.open >= self._limit

    def take(self) -> Connection | None:
        """Return an idle connection, None when there is none. Raises: Fault DRAINING when closed."""
        if self.closed:
            raise _draining()
        while self._idle:
            connection, _ = self._idle.popitem()
            if not connection.closed:
                return connection
        return None

    async def place(self, fresh: bool) -> Connection | None:
        """Wait for a connection, or, returning None, for the right to dial one; `fresh` accepts only the latter.

        The right to dial ends in `vacate`, or in the `lost` of the connection that came of it.
        """
        connection = None if fresh else self.take()
        if connection is not None:
            return connection
        if self.closed:
            raise _draining()
        if self.open < self._limit:
            self.open += 1
            return None
        if self._idle:
            next(iter(self._idle)).abort()  # makes room
        return await self._stand_in_line(fresh)

    def give(self, connection: Connection) -> None:
        """Take back a connection; one that is not fit for another request is aborted."""
        if self.closed or not connection.done():
            connection.abort()
        elif not self._line:
            told = connection.response.told
            lifetime = self._lifetime(told[b"keep-alive"]) if b"keep-alive" in told else self._keep_alive
            connection.rest(lifetime)
            self._idle[connection] = None
        elif self._line[0].fresh:
            connection.abort()
        else:
            connection.rest(self._keep_alive)
            self._line.popleft().granted.set_result(connection)

    def lost(self, connection: Connection) -> None:
        """Hear that a connection is gone."""
        self._idle.pop(connection, None)
        self.vacate()

    def vacate(self) -> None:
        """Give back the place of one connection."""
        if self._line:
            self._line.popleft().granted.set_result(None)
        else:
            self.open -= 1

    def close(self) -> None:
        """Close what is idle, turn away who waits, take no more; connections in use end with their exchange."""
        self.closed = True
        for connection in list(self._idle):
            connection.abort()
        while self._line:
            self._line.popleft().granted.set_exception(_draining())

    async def _stand_in_line(self, fresh: bool) -> Connection | None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), fresh)
        self._line.append(waiter)
        try:
            return await asyncio.shield(waiter.granted)
        except asyncio.CancelledError:
            self._leave_line(waiter)
            raise

    def _leave_line(self, waiter: _Waiter) -> None:
        if not waiter.granted.done():
            self._line.remove(waiter)
        elif waiter.granted.exception() is None:  # granted in the very moment of the cancellation
            connection = waiter.granted.result()
            if connection is None:
                self.vacate()
            else:
                self.give(connection)

    def _lifetime(self, told: bytes) -> float:
        timeout = _KEEP_ALIVE_TIMEOUT.search(told)
        if timeout is None:
            return self._keep_alive
        limit = float(timeout[1])
        return min(self._keep_alive, limit - min(1.0, limit / 2))  # earlier than the provider


def _draining() -> Fault:
    return Fault(Kind.DRAINING, detail="the transport is closed")
