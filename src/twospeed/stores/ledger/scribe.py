"""Writes and reads the ledger beside the event loop. A ledger that cannot be written is told of and never waited for.

Task: the one that writes what is waiting, ended and awaited by `close`. Writing and reading have a thread each, so that
a reader of a long history keeps nobody's entry waiting.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from twospeed.policy.audit import Entry, Line, proof
from twospeed.stores.ledger.file import Book, Pair

WAITING = 10_000  # entries kept while the file cannot be written; beyond them the oldest are dropped and counted
AGAIN_AFTER = 5.0  # seconds between two tries to write
GOODBYE = 2.0  # seconds for the last entries to be written
UNUSABLE = (sqlite3.Error, OSError)
T = TypeVar("T")
log = logging.getLogger("twospeed")


class Scribe:
    """The ledger of one process. `trouble`: why it cannot be written, "" when it can; `dropped`: entries lost to that.

    Args:
        path: The file; shared with every process of this host that names the same.
    """

    def __init__(self, path: Path, again_after: float = AGAIN_AFTER) -> None:
        self.path = path
        self.trouble = ""
        self.dropped = 0
        self._blind = self._closed = False
        self._again_after = again_after
        self._waiting: deque[Pair] = deque()
        self._settled = asyncio.Event()  # nothing waits, or it has to wait for long
        self._settled.set()
        self._writing: asyncio.Task[None] | None = None
        self._book, self._copy = Book(path), Book(path)
        self._pen, self._eye = ThreadPoolExecutor(1, "ledger"), ThreadPoolExecutor(1, "ledger-reader")

    def enter(self, entry: Entry, evidence: Any = None) -> None:
        """Take one entry, as `Audit.enter` says. To be called in the event loop."""
        digest, body = proof(evidence)
        self._waiting.append((replace(entry, evidence=digest or entry.evidence), body))
        if len(self._waiting) > WAITING:
            self._waiting.popleft()
            self.dropped += 1
        if not self.trouble:
            self._settled.clear()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def written(self) -> bool:
        """Wait until what was entered is on the disk; False when it cannot be written."""
        while self._waiting and not self.trouble:
            await self._settled.wait()
        return not self._waiting

    async def lines(self, after: int = 0, limit: int = 1_000, kind: str = "", subject: str = "") -> list[Line]:
        """Return lines as `Book.lines` does; none while the file cannot be read."""
        return await self._read(lambda book: book.lines(after, limit, kind, subject), [])

    async def latest(self, kind: str, event: str = "") -> Line | None:
        """Return the newest line of a kind, as `Book.latest` does."""
        return await self._read(lambda book: book.latest(kind, event), None)

    async def evidence(self, digest: str) -> bytes | None:
        """Return the JSON of some evidence."""
        return await self._read(lambda book: book.evidence(digest), None)

    async def newest(self) -> int:
        """Return the number of the last line, 0 when there is none."""
        return await self._read(lambda book: book.newest(), 0)

    async def close(self) -> None:
        """Write what is left, for two seconds at most, and let go of the file. Closing it again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._writing is not None:
            if not self.trouble:
                await asyncio.wait([self._writing], timeout=GOODBYE)
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._waiting:
            log.error("%d entries of the audit ledger %s are lost: %s", len(self._waiting), self.path, self.trouble)
        for thread, book in ((self._pen, self._book), (self._eye, self._copy)):
            thread.submit(book.close)
            thread.shutdown(wait=False)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = list(self._waiting)
            try:
                await loop.run_in_executor(self._pen, self._book.append, batch)
            except UNUSABLE as error:
                self._complain(error)
                await asyncio.sleep(self._again_after)
                continue
            for pair in batch:
                if self._waiting and self._waiting[0] is pair:  # else it was dropped while it was being written
                    self._waiting.popleft()
            if self.trouble:
                log.warning("the audit ledger %s is written again", self.path)
                self.trouble = ""
        self._settled.set()

    def _complain(self, error: Exception) -> None:
        if not self.trouble:
            log.error(
                "THE AUDIT LEDGER %s CANNOT BE WRITTEN: %s. Requests are served and rollouts go on; entries are kept in memory"
                " until it can. Free the disk, or name a writable file in stores.ledger.",
                self.path,
                _words(error),
            )
        self.trouble = _words(error)
        self._settled.set()

    async def _read(self, look: Callable[[Book], T], otherwise: T) -> T:
        if not self.path.exists():
            return otherwise
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._eye, look, self._copy)
        except UNUSABLE as error:
            if not self._blind:
                log.error("the audit ledger %s cannot be read: %s", self.path, _words(error))
            self._blind = True
            return otherwise
        self._blind = False
        return found


def _words(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
