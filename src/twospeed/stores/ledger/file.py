"""The ledger as a file: SQLite in WAL mode, one table that only grows, and the evidence by its hash.

Any number of processes of one host append to it: each takes the write lock, reads the last hash and chains to it. What was
committed survives a killed process, and (synchronous=FULL) a machine that lost power.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/autoinc.html
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from twospeed.policy.audit import ORIGIN, Break, Entry, Line, broken, chained

PATIENCE = 5.0  # seconds to wait for another process that writes
TRIES = 50  # within that
COLUMNS = Entry.__struct_fields__
Pair = tuple[Entry, bytes]  # an entry and the JSON of its evidence

_TABLES = """
CREATE TABLE IF NOT EXISTS line (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, event TEXT NOT NULL,
    before TEXT NOT NULL, after TEXT NOT NULL, step INTEGER NOT NULL, share REAL NOT NULL, attempt INTEGER NOT NULL,
    actor TEXT NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL, key TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS line_once ON line (key) WHERE key != '';
CREATE INDEX IF NOT EXISTS line_of ON line (kind, subject, number);
CREATE TABLE IF NOT EXISTS evidence (hash TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS line_stays BEFORE UPDATE ON line BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
CREATE TRIGGER IF NOT EXISTS line_kept BEFORE DELETE ON line BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
"""
_INSERT = f"INSERT INTO line ({', '.join(COLUMNS)}, hash) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
_SELECT = f"SELECT number, hash, {', '.join(COLUMNS)} FROM line"


class Book:
    """One ledger file, made when it is not there: mode 0600, in a folder of mode 0700. Used by one thread at a time.

    Every method raises sqlite3.Error or OSError when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def append(self, pairs: Sequence[Pair]) -> None:
        """Write entries, all or none, and wait until they are on the disk. One whose key is known is passed over."""
        connection = self._open()
        with closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                number, last = self._last(cursor)
                for entry, evidence in pairs:
                    if entry.key and cursor.execute("SELECT 1 FROM line WHERE key = ?", (entry.key,)).fetchone():
                        continue
                    number, last = number + 1, chained(last, number + 1, entry)
                    cursor.execute(_INSERT, [*(getattr(entry, name) for name in COLUMNS), last])
                    if evidence:
                        cursor.execute("INSERT OR IGNORE INTO evidence VALUES (?, ?)", (entry.evidence, evidence))
                cursor.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    def lines(self, after: int = 0, limit: int = 1_000, kind: str = "", subject: str = "") -> list[Line]:
        """Return lines with higher numbers than `after`, oldest first; of one kind and subject where named."""
        asked = {"kind": kind, "subject": subject}
        which = "".join(f" AND {name} = ?" for name, value in asked.items() if value)
        values = [after, *(value for value in asked.values() if value), limit]
        return [
            _line(row)
            for row in self._open().execute(f"{_SELECT} WHERE number > ?{which} ORDER BY number LIMIT ?", values)
        ]

    def latest(self, kind: str, event: str = "") -> Line | None:
        """Return the newest line of a kind, and of one event where named."""
        which, values = (" AND event = ?", [kind, event]) if event else ("", [kind])
        row = self._open().execute(f"{_SELECT} WHERE kind = ?{which} ORDER BY number DESC LIMIT 1", values).fetchone()
        return _line(row) if row else None

    def evidence(self, digest: str) -> bytes | None:
        """Return the JSON of some evidence, None when it is not here."""
        row = self._open().execute("SELECT body FROM evidence WHERE hash = ?", (digest,)).fetchone()
        return bytes(row[0]) if row else None

    def newest(self) -> int:
        """Return the number of the last line, 0 when there is none."""
        with closing(self._open().cursor()) as cursor:
            return self._last(cursor)[0]

    def verify(self) -> Break | None:
        """Read everything and find the first break: of the chain, or in the evidence of a line."""
        connection = self._open()
        connection.execute("BEGIN")  # one snapshot, though others append meanwhile
        try:
            given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'line'").fetchone()
            found = broken(_all(connection), given[0] if given else 0)
            odd = self._odd_evidence(connection)
        finally:
            connection.execute("ROLLBACK")
        return min((one for one in (found, odd) if one), default=None)

    def close(self) -> None:
        """Close the file; what was appended is in it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _odd_evidence(self, connection: sqlite3.Connection) -> Break | None:
        kept = {
            name: hashlib.sha256(body).hexdigest()
            for name, body in connection.execute("SELECT hash, CAST(body AS BLOB) FROM evidence")
        }
        named = connection.execute("SELECT number, evidence FROM line WHERE evidence != '' ORDER BY number")
        for number, name in named:
            if kept.get(name, name) != name:
                return Break(number, f"the evidence of line {number} is not what was written")
            if name not in kept:
                return Break(number, f"the evidence of line {number} is missing")
        return None

    def _last(self, cursor: sqlite3.Cursor) -> tuple[int, str]:
        row = cursor.execute("SELECT number, hash FROM line ORDER BY number DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (0, ORIGIN)

    def _open(self) -> sqlite3.Connection:
        """Return the connection; a file that was moved away or removed under it is made anew rather than written to."""
        if self._connection is not None and self._file != _identity(self.path):
            self.close()
        if self._connection is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self.path, PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._file = connection, _identity(self.path)
        return self._connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the file a ledger. Two processes may meet here, and not every step waits for the other by itself."""
    for tried in range(TRIES):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'line_kept'").fetchone():
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            return
        except sqlite3.OperationalError:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if tried == TRIES - 1:
                raise
            time.sleep(PATIENCE / TRIES)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _all(connection: sqlite3.Connection) -> Iterator[Line]:
    return (_line(row) for row in connection.execute(f"{_SELECT} ORDER BY number"))


def _line(row: Sequence[Any]) -> Line:
    return Line(row[0], Entry(*row[2:]), row[1])
