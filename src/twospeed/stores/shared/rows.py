"""Rows of integers in one file that the workers of a host map into memory, with one lock for writers.

The supervisor creates the file, each worker attaches to it by path (after it was started: a lock taken through an
inherited descriptor would be shared). A worker that is killed frees the lock, because the kernel closes its file.
Whatever it had half written is for the reader of the row to detect; single integers are never torn.

A worker that is stopped while it holds the lock must not stop the others: after PATIENCE they go on without it, which
may miscount by a request or two, and for a while they do not wait again.
"""

import mmap
import os
import sys
import time
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from functools import lru_cache
from hashlib import blake2b
from struct import Struct

PATIENCE = 0.05  # seconds
GRUDGE = 1.0  # seconds without waiting again
WORKERS = 64  # most workers of one host

KEY, ALSO, LENGTH, NAME, HEAD = 0, 1, 2, 3, 20
_NAME_BYTES = (HEAD - NAME) * 8
_WORD = 8
FIRST = 8  # cell at which tables may begin
_MAGIC = 0x7477_6F73_7065_6503  # "twospee" and the version of the layout
_PAIR = Struct("qq")
_TRY = LOCK_EX | LOCK_NB


class Region:
    """One mapped file. `cells`: all of it as int64, which is what tables are cut from."""

    __slots__ = ("_descriptor", "_grudge", "_map", "cells")

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._map = mmap.mmap(self._descriptor, 0)
        self.cells = memoryview(self._map).cast("q")
        self._grudge = 0.0
        if self.cells[0] != _MAGIC:
            raise ValueError(f"{path} is not a shared store of this version")

    def lock(self) -> bool:
        """Take the lock; False when its holder did not give it back in time and the caller goes on without."""
        try:
            flock(self._descriptor, _TRY)
        except BlockingIOError:
            return self._wait()
        return True

    def unlock(self) -> None:
        """Give the lock back; harmless when it is not held."""
        flock(self._descriptor, LOCK_UN)

    def _wait(self) -> bool:
        # Spins, because holders need a few microseconds; blocking would leave the event loop to a stopped process.
        now = time.monotonic()
        patience = now + PATIENCE if now > self._grudge else now
        while time.monotonic() < patience:
            os.sched_yield()
            try:
                flock(self._descriptor, _TRY)
            except BlockingIOError:
                continue
            return True
        self._grudge = max(self._grudge, patience + GRUDGE)
        return False


class Table:
    """Rows found by name; a row once named keeps its place for the life of the file.

    Before the rows lies a list of those that have a name, so that going through them touches no others.

    Args:
        base: First cell of the table in the region.
        rows: How many there are; names beyond that get no row.
        width: Cells per row, the HEAD of name cells included.
    """

    __slots__ = ("_base", "_list", "_rows", "_width", "region")

    def __init__(self, region: Region, base: int, rows: int, width: int) -> None:
        self.region = region
        self._list = base  # how many rows are listed, then their numbers
        self._base = base + 1 + rows
        self._rows = rows
        self._width = width

    @staticmethod
    def cells(rows: int, width: int) -> int:
        """Return how many cells a table takes."""
        return 1 + rows + rows * width

    def peek(self, name: str) -> int | None:
        """Return the number of the row with that name, None when there is none."""
        key = digest(name)
        number = self._search(key)
        return number if number is not None and self._key(number) == key else None

    def claim(self, name: str) -> int | None:
        """Return the number of the row with that name, a free one when it is new, None when the table is full."""
        key = digest(name)
        self.region.lock()
        try:
            number = self._search(key)
            if number is not None and self._key(number) != key:
                self._christen(number, key, name)
            return number
        finally:
            self.region.unlock()

    def open(self, name: str) -> memoryview:
        """Return the cells of the row with that name; cells of this process alone when the table is full."""
        number = self.claim(name)
        return self.row(number) if number is not None else memoryview(bytearray(self._width * _WORD)).cast("q")

    def row(self, number: int) -> memoryview:
        """Return the cells of a row."""
        start = self._base + number * self._width
        return self.region.cells[start : start + self._width]

    def name(self, number: int) -> str:
        """Return the name of a row, cut off where it was too long to be kept."""
        row = self.row(number)
        return bytes(row[NAME:HEAD].cast("B")[: row[LENGTH]]).decode(errors="ignore")

    def taken(self) -> Iterator[int]:
        """Go through the rows that have a name, each once."""
        cells, first = self.region.cells, self._list + 1
        listed = cells[first : first + cells[self._list]].tolist()
        yield from (number for number in dict.fromkeys(listed) if self._key(number)[0])

    def _key(self, number: int) -> tuple[int, int]:
        start = self._base + number * self._width
        return self.region.cells[start + KEY], self.region.cells[start + ALSO]

    def _search(self, key: tuple[int, int]) -> int | None:
        """Return the row of that key, else the first free one on its way."""
        for step in range(self._rows):
            number = (key[0] + step) % self._rows
            found = self._key(number)
            if found == key or not found[0]:
                return number
        return None

    def _christen(self, number: int, key: tuple[int, int], name: str) -> None:
        row, cells, listed = self.row(number), self.region.cells, self.region.cells[self._list]
        # Listed first: who is killed half way leaves a listed row without a name, which may come to be listed twice.
        if listed < self._rows:
            cells[self._list + 1 + listed] = number
            cells[self._list] = listed + 1
        text = name.encode()[:_NAME_BYTES]
        row.cast("B")[NAME * _WORD : NAME * _WORD + len(text)] = text
        row[LENGTH] = len(text)
        row[ALSO] = key[1]
        row[KEY] = key[0]  # last: a row without it is free


@lru_cache(maxsize=1024)  # one request asks for the name of its session several times
def digest(name: str) -> tuple[int, int]:
    """Return the two integers a name is known by, the same in every process; the first is never 0."""
    first, second = _PAIR.unpack(blake2b(name.encode(), digest_size=16).digest())
    return first or 1, second


def allocate(path: str, cells: int) -> None:
    """Make a file with room for that many cells, all zero, readable by its owner only.

    Raises:
        FileExistsError: Something is there already.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, (FIRST + cells) * _WORD)
        os.pwrite(descriptor, _MAGIC.to_bytes(_WORD, sys.byteorder), 0)
    finally:
        os.close(descriptor)
