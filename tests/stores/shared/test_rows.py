"""Rows in a mapped file: found by name, the same for all, safe from the dead and the stopped."""

import os
import signal
import stat
from pathlib import Path

import pytest
from tests.stores.shared.conftest import Spawn

from twospeed.stores.shared import Tables, attach, create
from twospeed.stores.shared.rows import FIRST, HEAD, KEY, Region, Table, allocate, digest


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Four rows of two cells each."""
    where = str(tmp_path / "rows")
    allocate(where, Table.cells(4, HEAD + 2))
    return Table(Region(where), FIRST, 4, HEAD + 2)


def test_names_find_their_rows(table: Table):
    """A name leads to the same row each time, and two names to two rows."""
    first, second = table.claim("a"), table.claim("b")
    assert first != second
    assert table.claim("a") == first == table.peek("a")
    assert sorted(table.name(number) for number in table.taken()) == ["a", "b"]


def test_no_name_is_taken_for_another():
    """However many names come by, each is known by two numbers of its own, the second time as the first."""
    names = [f"s{number}" for number in range(3_000)]
    first = [digest(name) for name in names]
    assert len(set(first)) == len(names)
    assert [digest(name) for name in names] == first


def test_looking_does_not_claim(table: Table):
    """Asking about an unknown name leaves no row behind."""
    assert table.peek("a") is None
    assert list(table.taken()) == []


def test_long_names_are_kept_apart(table: Table):
    """Names too long to be stored are still two rows."""
    assert table.claim("x" * 500 + "1") != table.claim("x" * 500 + "2")
    assert {table.name(number) for number in table.taken()} == {"x" * 136}


def test_a_name_half_given_is_given_again(table: Table):
    """A worker killed while it named a row leaves nothing that is seen, and the row to the next who wants it."""
    number = table.claim("a")
    assert number is not None
    table.row(number)[KEY] = 0
    assert list(table.taken()) == []
    assert table.claim("a") == number
    assert list(table.taken()) == [number]


def test_a_full_table_gives_private_cells(table: Table):
    """When all rows are taken, a new name gets cells of its own that nobody else sees."""
    for name in "abcd":
        table.claim(name)
    assert table.claim("e") is None
    table.open("e")[HEAD] = 7
    assert table.open("e")[HEAD] == 0


def test_file_is_private(path: str):
    """Only the owner may read the file."""
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_an_existing_file_is_not_overwritten(path: str):
    """Starting a second supervisor on the same file is refused."""
    with pytest.raises(FileExistsError):
        create(path, 8)


def test_a_foreign_file_is_refused(tmp_path: Path):
    """A file that is something else is not taken for a store."""
    (tmp_path / "other").write_bytes(b"x" * 4096)
    with pytest.raises(ValueError, match="not a shared store"):
        attach(str(tmp_path / "other"))


HOLD = "tables.pools.region.lock(); ready()"


def test_a_killed_worker_frees_the_lock(tables: Tables, spawn: Spawn):
    """A worker killed while it changes a row keeps nobody waiting."""
    worker = spawn(HOLD)
    assert worker.stdout
    worker.stdout.readline()
    assert not tables.pools.region.lock()
    worker.kill()
    worker.wait()
    assert tables.pools.region.lock()
    tables.pools.region.unlock()


def test_a_stopped_worker_is_not_waited_for(tables: Tables, spawn: Spawn):
    """A worker stopped while it holds the lock makes the others go on without it."""
    worker = spawn(HOLD)
    assert worker.stdout
    worker.stdout.readline()
    worker.send_signal(signal.SIGSTOP)
    assert [tables.pools.region.lock() for _ in range(3)] == [False] * 3
