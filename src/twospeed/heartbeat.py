"""Keep-alives while a stream waits for its first content, so that no client gives up on a model that thinks (R1).

After `after` seconds without content the response head goes out early, without the headers that name a backend, and a
keep-alive in the caller's dialect with it; from then on one every EVERY seconds until `stop`. A fallback is still
possible meanwhile. One timer, no task.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from twospeed.policy.headers import Pair

EVERY = 10.0  # seconds between two; the shortest idle timer seen in a client is 15
OK = 200
CONTENT_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")

Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


class Reply(Protocol):
    """What is needed of the reply."""

    @property
    def started(self) -> bool:
        """The head is fixed."""

    @property
    def gone(self) -> bool:
        """The client left or does not read."""

    def start(self, status: int, headers: Sequence[Pair]) -> None:
        """Begin a stream."""

    def beat(self, data: bytes) -> None:
        """Send one chunk now if the client reads, else nothing."""


def _later(delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay, call)


class Heartbeat:
    """Keeps one waiting client.

    Args:
        headers: Makes the head's headers when it is needed.
        sign: The keep-alive, whole events of the caller's dialect.
        after: Seconds until the first one.
        later: Calls something after so many seconds.
    """

    __slots__ = ("_headers", "_later", "_reply", "_sign", "_timer")

    def __init__(
        self, reply: Reply, headers: Callable[[], Sequence[Pair]], sign: bytes, after: float, later: Later = _later
    ) -> None:
        self._reply = reply
        self._headers = headers
        self._sign = sign
        self._later = later
        self._timer = later(after, self._beat)

    def stop(self) -> None:
        """Say no more; to be called before anything else is written."""
        self._timer.cancel()

    def _beat(self) -> None:
        reply = self._reply
        if reply.gone:
            return
        if not reply.started:
            reply.start(OK, [CONTENT_TYPE, *self._headers()])
        reply.beat(self._sign)
        self._timer = self._later(EVERY, self._beat)
