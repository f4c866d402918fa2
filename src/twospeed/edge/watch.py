"""The config file being watched: looked at once a second, taken over when it has changed and is at rest (R25).

Editors and deployments write in several steps, so a change counts once two looks in a row see the same. Polling finds what
notification misses: replaced links (as Kubernetes does), network file systems.

Task: the looking, owned by `watching`, which ends it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

EVERY = 1.0  # seconds between two looks

Reload = Callable[[], str | Awaitable[str]]
Signature = tuple[int, int, int]  # of a file: inode, time of the last change, size


class Watch:
    """One file.

    Args:
        in_force: Returns the text that is served by.
    """

    def __init__(self, path: str, in_force: Callable[[], bytes]) -> None:
        self._path = Path(path)
        self._in_force = in_force
        self._seen: Signature | None = None  # at the last look
        self._judged: Signature | None = None  # whose contents are known

    def changed(self) -> bool:
        """Look once; say whether there is a text to take over that no look has found before."""
        now = self._signature()
        at_rest, self._seen = now == self._seen, now
        if now is None or now == self._judged or not at_rest:
            return False
        try:
            text = self._path.read_bytes()
        except OSError:
            return False  # it went away meanwhile: the next look tells
        self._judged = now
        return text != self._in_force()

    def _signature(self) -> Signature | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None  # replaced just now, or gone: what is in force stays
        return found.st_ino, found.st_mtime_ns, found.st_size


@asynccontextmanager
async def watching(
    path: str, in_force: Callable[[], bytes], reload: Reload, every: float = EVERY
) -> AsyncIterator[None]:
    """Call `reload` whenever the file has changed, until the block ends."""
    task = asyncio.create_task(_look(Watch(path, in_force), reload, every))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _look(watch: Watch, reload: Reload, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        if watch.changed():
            answer = reload()
            if not isinstance(answer, str):
                await answer
