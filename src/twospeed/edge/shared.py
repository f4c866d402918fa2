"""What the connections of one listener have in common."""

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakSet

from twospeed.dialects import Refusal
from twospeed.edge.app import App
from twospeed.edge.wire import HeadReader
from twospeed.errors import Fault, Kind
from twospeed.policy.listen import Listen

if TYPE_CHECKING:
    from twospeed.edge.connection import Connection

NAP = 10.0  # seconds after an answer until a connection forgets how its client asks


class Shared:
    """What the connections of one listener have in common.

    `open`: connections that count, each until it is closed and its task has ended. `crowd`: connections beyond
    `max_connections`, answered and about to close. `shaking`: those on their way to TLS. `left`: set whenever one of either has gone.
    """

    __slots__ = (
        "_crowded",
        "app",
        "body_limit",
        "crowd",
        "keep_alive",
        "left",
        "listen",
        "loop",
        "nap",
        "open",
        "reader",
        "shaking",
        "stopping",
    )

    def __init__(self, app: App, listen: Listen, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.listen = listen
        self.loop = loop
        self.reader = HeadReader(listen)
        self.body_limit = listen.body_limit  # beside `listen`, because a settings attribute costs twice a plain one
        self.keep_alive = listen.keep_alive
        self.nap = min(NAP, listen.keep_alive)
        self.open: set[Connection] = set()
        self.crowd: set[Connection] = set()
        self.shaking: WeakSet[Connection] = WeakSet()  # a handshake that fails is told to nobody
        self.left = asyncio.Event()
        self.stopping = False
        self._crowded: Refusal | None = None

    def forget(self, connection: "Connection") -> None:
        """Drop a connection that is closed and has no task."""
        self.open.discard(connection)
        self.crowd.discard(connection)
        self.left.set()

    def crowded(self) -> Refusal:
        """Return the answer for a connection too many; rendered once, because it is needed when there is no time."""
        if self._crowded is None:
            refusal = self.app.refuse(None, Fault(Kind.OVERLOADED, "Too many connections.", retry_after=1.0))
            if not any(name == b"retry-after" for name, _ in refusal.headers):
                refusal = refusal._replace(headers=(*refusal.headers, (b"retry-after", b"1")))
            self._crowded = refusal
        return self._crowded
