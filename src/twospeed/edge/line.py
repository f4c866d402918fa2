"""The way out to one client: how much waits for it, whether it takes any, and the ways to hang up.

The transport says when it holds too much (`pause`) and when that has gone (`resume`); the server's sweep calls `check`
while `stall_deadline` is set. Nothing here arms a timer.
"""

import asyncio
import math
import socket

from twospeed.errors import Fault, Kind

NEVER = math.inf
HIGH_WATER = 262_144  # bytes held for a client that does not read before the writer waits
LOW_WATER = 65_536
_ESTABLISHED = 1  # first byte of Linux's struct tcp_info
_LINGER_ZERO = b"\1\0\0\0\0\0\0\0"  # struct linger: on, 0 s


class Line:
    """The way out to one client.

    `paused`: more is held than HIGH_WATER. `stalled`: the client took nothing for `stall_timeout` seconds.
    `lost`: the connection is closed. `closing`: no further request is taken after the one under way.
    """

    __slots__ = (
        "_loop",
        "_stall_timeout",
        "_unsent",
        "_waiter",
        "closing",
        "lost",
        "paused",
        "stall_deadline",
        "stalled",
        "transport",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, stall_timeout: float) -> None:
        transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self.transport = transport
        self._loop = loop
        self._stall_timeout = stall_timeout
        self._unsent = 0
        self._waiter: asyncio.Future[None] | None = None  # a writer waits here
        self.stall_deadline = NEVER
        self.paused = self.stalled = self.lost = self.closing = False

    def pause(self) -> None:
        """The transport holds more than HIGH_WATER."""
        self.paused = True
        self.watch()

    def resume(self) -> None:
        """The transport holds less than LOW_WATER again."""
        self.paused = False
        if not self.transport.is_closing():
            self.stall_deadline = NEVER
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def drained(self) -> None:
        """Wait until the client has taken what the transport held. For one writer at a time.

        Raises: Fault CLIENT_STALLED when it took nothing for `stall_timeout`, CLIENT_GONE when it left.
        """
        while self.paused and not self.lost:
            if self.stalled:
                raise Fault(Kind.CLIENT_STALLED)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.lost:
            raise Fault(Kind.CLIENT_GONE)

    def watch(self) -> None:
        """Start the clock for what the transport holds now, if anything."""
        self._unsent = self.transport.get_write_buffer_size()
        if self._unsent:
            self.stall_deadline = self._loop.time() + self._stall_timeout

    def check(self, now: float) -> bool:
        """Say whether the client has just been found stalled; anything it took starts the clock anew."""
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent = unsent
            self.stall_deadline = now + self._stall_timeout
        elif self.stall_deadline <= now:
            self.stall_deadline = NEVER
            self.stalled = True
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(Fault(Kind.CLIENT_STALLED))
        return self.stalled

    def half_closed(self) -> bool:
        """Ask the kernel whether the client has closed its side; for when reading is paused and nobody tells."""
        sock = self.transport.get_extra_info("socket")
        return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED)

    def abort(self, reset: bool = False) -> None:
        """Close at once. `reset` sends RST, for answers whose end is told by closing."""
        if reset and not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.transport.abort()

    def end_output(self) -> None:
        """Send FIN once what is held has left, where the transport can; TLS cannot."""
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
