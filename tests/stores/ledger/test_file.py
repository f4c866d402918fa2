"""The ledger file: it only grows, survives what happens to its writers, and tells when somebody was at it."""

import asyncio
import os
import signal
import sqlite3
import stat
import sys

import pytest

from twospeed.policy.audit import Entry, proof
from twospeed.stores.ledger.file import Book

MANY = """
import sys
from pathlib import Path
from twospeed.policy.audit import Entry
from twospeed.stores.ledger.file import Book
book = Book(Path(sys.argv[1]))
print("begun", flush=True)
for n in range(int(sys.argv[3])):
    book.append([(Entry(float(n), "rollout", sys.argv[2], "advance", reason="x" * 200), b"")])
"""


def entry(event="start", key="", evidence=None, **more):
    """An entry and its evidence, as `append` takes them."""
    digest, body = proof(evidence)
    return Entry(1.5, "rollout", "r", event, evidence=digest, key=key, **more), body


@pytest.fixture
def book(tmp_path):
    """A ledger in a folder that is not there yet."""
    book = Book(tmp_path / "state" / "ledger.db")
    yield book
    book.close()


def tampered(book, *statements):
    """Do what the triggers forbid, as somebody with an editor would."""
    with sqlite3.connect(book.path) as connection:
        connection.executescript("DROP TRIGGER line_stays; DROP TRIGGER line_kept;")
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def writer(path, name, count):
    """Another process that appends."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MANY, str(path), name, str(count)), stdout=asyncio.subprocess.PIPE
    )


def test_what_was_entered_is_read_back(book):
    """Entries come back as they were, oldest first, with their numbers and evidence."""
    book.append([entry("start", actor="ann", reason="go"), entry("advance", step=1, share=0.25, evidence={"e": 3.5})])
    first, second = book.lines()
    assert (first.number, first.entry.actor, first.entry.reason) == (1, "ann", "go")
    assert (second.number, second.entry.step, second.entry.share) == (2, 1, 0.25)
    assert book.evidence(second.entry.evidence) == b'{"e":3.5}'
    assert book.lines(after=1) == [second]
    assert book.lines(subject="other") == []
    assert book.latest("rollout", "start") == first
    assert book.newest() == 2
    assert book.verify() is None


def test_the_file_is_its_owners(book):
    """Nobody else of the machine reads it."""
    book.append([entry()])
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(book.path.parent.stat().st_mode) == 0o700


def test_what_is_told_twice_is_entered_once(book):
    """Two workers that tell of the same transition leave one line."""
    book.append([entry(key="r:1:1"), entry(key="r:1:1")])
    book.append([entry(key="r:1:1"), entry("advance", key="r:1:2")])
    assert [line.entry.event for line in book.lines()] == ["start", "advance"]


def test_nothing_is_changed_or_removed(book):
    """The file itself refuses, to whoever opens it."""
    book.append([entry()])
    with sqlite3.connect(book.path) as connection:
        for statement in ("UPDATE line SET actor = 'x'", "DELETE FROM line"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("UPDATE line SET reason = 'fine' WHERE number = 2", 2),
        ("DELETE FROM line WHERE number = 2", 2),
        ("DELETE FROM line WHERE number = 3", 3),
        ("UPDATE evidence SET body = '{}'", 3),
        ("DELETE FROM evidence", 3),
    ],
)
def test_the_first_broken_link_is_found(book, statement, number):
    """Whoever goes round the triggers is found, at the line concerned."""
    book.append([entry(), entry("pause"), entry("advance", evidence={"e": 1})])
    tampered(book, statement)
    assert book.verify().number == number


async def test_several_processes_append_to_one_chain(book):
    """Workers that start together on a new file leave one whole chain."""
    processes = [await writer(book.path, f"w{n}", 25) for n in range(3)]
    async with asyncio.timeout(60):
        assert [await process.wait() for process in processes] == [0, 0, 0]
    assert book.newest() == 75
    assert book.verify() is None


async def test_a_killed_writer_leaves_a_whole_chain(book):
    """kill -9 in the middle of writing: what was committed is there, and the next goes on from it."""
    process = await writer(book.path, "doomed", 100_000)
    async with asyncio.timeout(60):
        while not (book.path.exists() and book.newest() > 20):
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    there = book.newest()
    book.append([entry("abort")])
    assert book.newest() == there + 1
    assert book.verify() is None


def test_a_file_that_was_removed_is_made_anew(book):
    """Entries never go into a file that nobody can find any more."""
    book.append([entry()])
    for path in book.path.parent.iterdir():
        os.remove(path)
    book.append([entry("pause")])
    assert [line.entry.event for line in book.lines()] == ["pause"]


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    """Something else under that name is left as it is."""
    path = tmp_path / "ledger.db"
    path.write_text("not a database, but long enough to look like something " * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Book(path).append([entry()])
    assert path.read_text().startswith("not a database")
