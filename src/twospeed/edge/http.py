"""The HTTP/1.1 server engine: sockets in, whole requests to an App, answers out.

It knows connections, deadlines, limits, back-pressure and clients that leave; it knows no path, no key and no error
shape: those are the app's. `wire`, `heads` and `body` read, `reply` and `line` write, `connection` holds one client,
`serving` runs the app; here is the listener, the sweep over all connections' deadlines, and stopping.

Tasks: each request has one (see `serving`); `close` awaits them all.
"""

import asyncio
import socket
import ssl
from functools import partial

from twospeed.edge.app import App, Call
from twospeed.edge.connection import Connection
from twospeed.edge.heap import keep_freed_memory
from twospeed.edge.line import NEVER
from twospeed.edge.reply import Reply
from twospeed.edge.shared import Shared
from twospeed.edge.wire import Head
from twospeed.policy.listen import Listen

_BACKLOG = 4_096
_SWEEP = 0.25  # seconds between looks at the deadlines, at most
_FLUSH = 1.0  # seconds for last words of cancelled requests to leave
_UNSENT = 131_072  # bytes the kernel takes beyond what the client's window allows


class HttpServer:
    """Serves `app` on one address. Belongs to the event loop that runs `start`."""

    def __init__(self, app: App, listen: Listen) -> None:
        self._app = app
        self._listen = listen
        self._shared: Shared | None = None
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._address = (listen.host, listen.port)
        shortest = min(listen.head_timeout, listen.body_timeout, listen.keep_alive, listen.stall_timeout)
        self._every = min(_SWEEP, shortest / 4)

    async def start(
        self, sock: socket.socket | None = None, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False
    ) -> None:
        """Listen, on `sock` when given (bound, owned by the server from here on), else on the configured address.

        Also tells the process's C heap to keep what bodies free (see `heap`).

        Args:
            tls: Serve HTTPS with this context.
            reuse_port: Share the port with other processes that ask for the same (SO_REUSEPORT).

        Raises: OSError when the address cannot be bound.
        """
        keep_freed_memory()
        loop = asyncio.get_running_loop()
        shared = Shared(self._app, self._listen, loop)
        if sock is None:
            sock = await self._bound(loop, reuse_port)
        # Inherited by accepted sockets: a client that does not read costs this much of kernel memory, not 4 MB.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        timeout = self._listen.head_timeout if tls else None
        client = partial(_secured if tls else Connection, shared)
        self._server = await loop.create_server(
            client, sock=sock, backlog=_BACKLOG, ssl=tls, ssl_handshake_timeout=timeout
        )
        host, port = sock.getsockname()[:2]
        self._address = (host, port)
        self._shared = shared
        self._timer = loop.call_later(self._every, self._sweep)

    async def _bound(self, loop: asyncio.AbstractEventLoop, reuse_port: bool) -> socket.socket:
        found = await loop.getaddrinfo(
            self._listen.host, self._listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # A name with several addresses is served on one: IPv4 where there is one, which every client tries.
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
        except BaseException:
            sock.close()
            raise
        return sock

    @property
    def address(self) -> tuple[str, int]:
        """Host and port really bound; stays readable after stopping."""
        return self._address

    @property
    def connections(self) -> int:
        """Connections open now, those turned away not counted."""
        return len(self._shared.open) if self._shared else 0

    @property
    def handshakes(self) -> int:
        """Clients on their way to TLS; they count against `max_connections` too."""
        return len(self._shared.shaking) if self._shared else 0

    @property
    def in_flight(self) -> int:
        """Requests from the end of their head until they are served."""
        return sum(connection.busy for connection in self._shared.open) if self._shared else 0

    def stop_accepting(self) -> None:
        """Close the listener and idle connections; the others close after the answer under way.

        A connection that was used in the last half second may have a request on its way and is given as long again.
        """
        if self._shared is None or self._server is None or self._shared.stopping:
            return
        self._shared.stopping = True
        self._server.close()
        for connection in list(self._shared.open):
            connection.wind_down()

    async def drained(self, deadline: float) -> bool:
        """Wait, after `stop_accepting`, until every answer has left and its connection is closed.

        Args:
            deadline: Instant to give up at, on the event loop's clock.

        Returns: Whether that came before `deadline`.
        """
        shared = self._shared
        try:
            async with asyncio.timeout_at(deadline):
                while shared is not None and shared.open:
                    shared.left.clear()
                    await shared.left.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Cancel what is still served, let what that wrote leave for a second, close everything."""
        shared = self._shared
        if shared is None:
            return
        self.stop_accepting()
        tasks = [connection.serving.task for connection in shared.open if connection.serving.task]
        for connection in list(shared.open):
            connection.serving.cut()
        if tasks:
            await asyncio.wait(tasks)
        for connection in list(shared.open):
            connection.close()
        await self.drained(shared.loop.time() + _FLUSH)
        for connection in [*shared.open, *shared.crowd]:
            connection.line.abort()
        while shared.open or shared.crowd:
            shared.left.clear()
            await shared.left.wait()
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        shared = self._shared
        assert shared is not None
        # Armed first, so that a fault in one connection cannot stop the sweep for the others.
        self._timer = shared.loop.call_later(self._every, self._sweep)
        now = shared.loop.time()
        for connections in (shared.open, shared.crowd):
            for due in [c for c in connections if c.deadline <= now or c.line.stall_deadline < NEVER]:
                due.tick(now)


def _secured(shared: Shared) -> Connection:
    """Begin with a client that must finish its handshake before it can say anything."""
    connection = Connection(shared)
    shared.shaking.add(connection)
    return connection


__all__ = ["App", "Call", "Head", "HttpServer", "Reply"]
