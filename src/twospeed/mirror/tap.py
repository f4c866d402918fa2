"""Tap: a reply that lets somebody listen to what the client is told. It changes nothing of it, not even the order."""

from collections.abc import Callable, Sequence
from typing import Protocol

from twospeed.policy.headers import Pair


class Reply(Protocol):
    """Where the answer goes; as `relay.Reply`."""

    @property
    def started(self) -> bool: ...

    @property
    def status(self) -> int: ...

    @property
    def gone(self) -> bool: ...

    @property
    def done(self) -> bool: ...

    def send(self, status: int, headers: Sequence[Pair], body: bytes) -> None: ...

    def start(self, status: int, headers: Sequence[Pair]) -> None: ...

    def put(self, data: bytes) -> bool: ...

    async def drained(self) -> None: ...

    def finish(self, data: bytes = b"") -> None: ...

    def beat(self, data: bytes) -> None: ...

    def abort(self) -> None: ...


class Listener(Protocol):
    """Who listens."""

    def feed(self, block: bytes) -> None:
        """Take a piece of a stream: whole events."""

    def whole(self, body: bytes) -> None:
        """Take an answer in one piece."""


class Kept:
    """Keeps an answer as it is, up to `most` bytes. `over`: there was more. `streamed`: it came in pieces."""

    __slots__ = ("_most", "over", "parts", "size", "streamed")

    def __init__(self, most: int) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.over = False
        self.streamed = False
        self._most = most

    def feed(self, block: bytes) -> None:
        """Take a piece of a stream."""
        self.streamed = True
        self.whole(block)

    def whole(self, body: bytes) -> None:
        """Take an answer in one piece."""
        if self.over or self.size + len(body) > self._most:
            self.over = True
        else:
            self.parts.append(body)
            self.size += len(body)

    def clear(self) -> None:
        """Let go of it."""
        self.parts = []


class Tap:
    """A reply with a listener, who is told after the client.

    `waited`: seconds in which the client did not take what there was. `ended_at`: instant at which the answer was
    handed over whole, 0.0 before.
    """

    __slots__ = ("_clock", "_listener", "_reply", "ended_at", "waited")

    def __init__(self, reply: Reply, listener: Listener, clock: Callable[[], float]) -> None:
        self._reply = reply
        self._listener = listener
        self._clock = clock
        self.waited = 0.0
        self.ended_at = 0.0

    @property
    def started(self) -> bool:
        """As the reply."""
        return self._reply.started

    @property
    def status(self) -> int:
        """As the reply."""
        return self._reply.status

    @property
    def gone(self) -> bool:
        """As the reply."""
        return self._reply.gone

    @property
    def done(self) -> bool:
        """As the reply."""
        return self._reply.done

    def send(self, status: int, headers: Sequence[Pair], body: bytes) -> None:
        """Answer in one piece."""
        self._reply.send(status, headers, body)
        self.ended_at = self._clock()
        if 200 <= status < 300:
            self._listener.whole(body)

    def start(self, status: int, headers: Sequence[Pair]) -> None:
        """Begin a stream."""
        self._reply.start(status, headers)

    def put(self, data: bytes) -> bool:
        """Pass bytes on."""
        kept_up = self._reply.put(data)
        if data:
            self._listener.feed(data)
        return kept_up

    async def drained(self) -> None:
        """Wait while the client does not keep up."""
        before = self._clock()
        await self._reply.drained()
        self.waited += self._clock() - before

    def finish(self, data: bytes = b"") -> None:
        """Pass the last bytes on."""
        self._reply.finish(data)
        self.ended_at = self._clock()
        if data:
            self._listener.feed(data)

    def beat(self, data: bytes) -> None:
        """Pass a keep-alive on; it is no part of the answer."""
        self._reply.beat(data)

    def abort(self) -> None:
        """Cut the connection."""
        self._reply.abort()
