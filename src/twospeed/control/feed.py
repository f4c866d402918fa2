"""The moves of rollouts, told to whoever listens, in order; a listener that falls behind is cut off, not waited for."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from twospeed.policy.held import Move

WAITING = 200  # moves a listener may be behind


class Feed:
    """Tells listeners."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Move | None]] = set()

    @contextmanager
    def subscribe(self) -> Iterator["asyncio.Queue[Move | None]"]:
        """Listen; None is the end of what is told."""
        queue: asyncio.Queue[Move | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    def tell(self, move: Move) -> None:
        """Tell everybody of a move."""
        for queue in list(self._queues):
            if queue.qsize() < WAITING:
                queue.put_nowait(move)
            else:
                self._queues.discard(queue)
                queue.put_nowait(None)
