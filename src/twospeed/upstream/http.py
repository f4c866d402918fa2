"""The HTTP/1.1 client engine: `HttpTransport`, one per provider, hands out `HttpExchange`s, one per request.

It keeps connections alive, knows deadlines and framing, and says what went wrong as a Fault; it never retries,
redirects or decides. Parts: `dial` makes connections, `pool` keeps them, `connection` carries bytes, `response`
reads them, `head` writes ours, `inflate` undoes compression.

Faults: CONNECT_FAILED, TLS_FAILED (no connection), RESET (none or no complete head came), TRUNCATED (the body was
cut), PROTOCOL_ERROR (what came is not valid), ANSWER_TOO_LARGE (inflated), OVERLOADED (no connection came free,
or this process was too late to see it), DRAINING (closed), INTERNAL (we asked for something that must not be written). After any failure, timeout or cancellation the connection is gone at once.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence

import msgspec

from twospeed.errors import Fault, Kind
from twospeed.upstream.connection import Connection
from twospeed.upstream.dial import dial, endpoint
from twospeed.upstream.head import build_head
from twospeed.upstream.inflate import Inflater, inflater
from twospeed.upstream.pool import Pool

LATE = 0.1  # seconds after a deadline that are our own lateness: an idle process is told within one or two milliseconds
_ENCODED = (b"content-encoding", b"content-length")  # true of the compressed body only


class HttpTransport:
    """How one provider is reached over HTTP/1.1.

    Args:
        base_url: http(s)://host[:port][/path]; the path goes before that of each request.
        connections: Open at once at most; further requests wait in line until their deadline.
        keep_alive: Seconds that an idle connection is kept.
        tls: For https: own authorities or client certificates. None verifies against the system's authorities.
        proxy: http://[user:password@]host[:port] of the proxy that leads there, "" for none.

    Raises:
        ValueError: for a base_url or a proxy that is none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connections: int,
        keep_alive: float,
        tls: ssl.SSLContext | None = None,
        proxy: str = "",
    ) -> None:
        self._endpoint = endpoint(base_url, tls, proxy)
        self._pool = Pool(connections, keep_alive)

    @property
    def open_connections(self) -> int:
        """Connections there are, those being made included."""
        return self._pool.open

    @property
    def idle_connections(self) -> int:
        """Connections that wait for a request."""
        return self._pool.idle

    async def connect(self, deadline: float, fresh: bool = False) -> "HttpExchange":
        """Return an exchange on an idle or a new connection; `fresh` forbids a used one.

        Raises:
            TimeoutError: at `deadline`, an instant of loop.time().
            Fault: CONNECT_FAILED, TLS_FAILED; OVERLOADED, when the time was spent waiting in line; DRAINING after `close`.
        """
        connection = None if fresh else self._pool.take()
        if connection is None:
            connection = await self._place(fresh, deadline)
        return HttpExchange(self, connection, connection.served > 0)

    async def close(self) -> None:
        """Close idle connections and refuse new ones; exchanges under way go on to their end."""
        self._pool.close()

    async def _place(self, fresh: bool, deadline: float) -> Connection:
        crowded = self._pool.crowded
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    connection = await self._pool.place(fresh)
                    if connection is None:
                        return await self._dial()
                    if not connection.closed:
                        return connection
        except TimeoutError:
            if not crowded and asyncio.get_running_loop().time() - deadline > LATE:
                busy = "the server has too much to do; try again"
                raise Fault(Kind.OVERLOADED, busy, detail="this process was too late to see the connection") from None
            if not crowded:
                raise
            # We hold the line busy ourselves: that says nothing about the provider, and its breaker must not hear of it.
            busy = "the model provider is busy; try again"
            raise Fault(Kind.OVERLOADED, busy, detail="every connection to the provider is in use") from None

    async def _dial(self) -> Connection:
        connection = Connection()
        try:
            await dial(self._endpoint, connection)
        except BaseException:
            connection.abort()
            self._pool.vacate()
            raise
        connection.adopt(self._pool.lost)
        return connection


class HttpExchange(msgspec.Struct, eq=False):
    """One request and its response.

    `reused`: the connection had served a request before. `answered`: at least one byte of a response came; a reused
    connection that breaks without one was probably closed by the provider before the request reached it.
    `headers`: names in lower case; without Content-Encoding and Content-Length when `read` inflates the body.
    """

    _transport: HttpTransport
    _connection: Connection | None
    reused: bool
    status: int = 0
    headers: Sequence[tuple[bytes, bytes]] = ()
    answered: bool = False
    _inflater: Inflater | None = None

    async def send(
        self,
        path: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        deadline: float,
        *,
        method: str = "POST",
    ) -> None:
        """Write the request and wait for the response head, interim ones (1xx) skipped.

        Args:
            path: Put behind the path of the base_url; visible ASCII, with a leading "/", query allowed.
            headers: Without those that `head.RESERVED` names.

        Raises:
            TimeoutError: at `deadline`.
            Fault: RESET, PROTOCOL_ERROR; INTERNAL for a path or header that must not be written.
        """
        connection = self._connection
        if connection is None:
            raise _closed()
        at = self._transport._endpoint
        if at.origin and at.via and at.via.authorization:
            headers = [*headers, (b"proxy-authorization", at.via.authorization)]
        head = build_head(method, at.path + path, at.authority, headers, len(body), at.origin)
        connection.ask(method, head, body)
        response = connection.response
        try:
            await connection.news(deadline)
            while not response.status:
                if response.failure is not None:
                    kind, detail = response.failure
                    raise Fault(kind, detail=detail)
                await connection.news(deadline)
            self.status = response.status
            self.headers = response.headers
            if b"content-encoding" in response.told:
                self._decode(response.told[b"content-encoding"])
        except BaseException:  # cancelled and timed out as well
            connection.abort()
            raise
        finally:
            self.answered = response.heard

    async def read(self, deadline: float) -> bytes:
        """Return all body bytes that have come, at least one; b"" is the whole and proper end of the body.

        Raises:
            TimeoutError: at `deadline`.
            Fault: TRUNCATED, PROTOCOL_ERROR, ANSWER_TOO_LARGE; bytes that came before are returned first.
        """
        connection, inflater = self._connection, self._inflater
        if connection is None:
            raise _closed()
        response = connection.response
        try:
            while True:
                if inflater is not None and (data := inflater.pull()):
                    return data
                if response.parts:
                    data = connection.take()
                    if inflater is None:
                        return data
                    inflater.push(data)
                elif response.complete:
                    if inflater is not None:
                        inflater.finish()
                    return b""
                elif response.failure is not None:
                    kind, detail = response.failure
                    raise Fault(kind, detail=detail)
                else:
                    await connection.news(deadline)
        except BaseException:  # cancelled and timed out as well
            connection.abort()
            raise

    async def pour(self, sink: Callable[[bytes], bool], idle: float, deadline: float) -> bool:
        """Hand on all body bytes as they come; return True at the end of the body, False once `sink` has returned False.

        Args:
            sink: Called from within the loop as well: it waits for nothing.
            idle: Seconds to wait for bytes at most.

        Raises:
            TimeoutError: after `idle` and at `deadline`.
            Fault: as `read`, and what `sink` raises.
        """
        loop = asyncio.get_running_loop()
        while data := await self.read(min(loop.time() + idle, deadline)):
            if not sink(data) or (self._inflater is None and await self._poured(sink, idle, deadline)):
                return False
        return True

    async def _poured(self, sink: Callable[[bytes], bool], idle: float, deadline: float) -> bool:
        """Hand bytes on until `sink` wants no more, True, or `read` knows what has happened."""
        connection = self._connection
        if connection is None or connection.response.over:
            return False
        try:
            return await connection.pour(sink, idle, deadline)
        except BaseException:  # cancelled and timed out as well
            connection.abort()
            raise

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else abort it at once. Safe to call again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport._pool.give(connection)

    def _decode(self, coding: bytes) -> None:
        self._inflater = inflater(coding)
        if self._inflater is not None:
            self.headers = [header for header in self.headers if header[0] not in _ENCODED]


def _closed() -> Fault:
    return Fault(Kind.RESET, detail="the exchange is closed")
