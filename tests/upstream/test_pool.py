"""Who gets which connection: fakes that were never dialled, so that only the pool decides."""

import asyncio

import pytest
from tests.upstream.test_connection import Line
from tests.wire import ok

from twospeed.errors import Fault, Kind
from twospeed.upstream.connection import Connection
from twospeed.upstream.pool import Pool

KEEP_ALIVE = 20.0


def dialled(pool: Pool) -> Connection:
    connection = Connection()
    Line(connection)
    connection.adopt(pool.lost)
    return connection


async def opened(pool: Pool) -> Connection:
    assert await pool.place(fresh=False) is None
    return dialled(pool)


def serve(connection: Connection, *headers: bytes) -> None:
    connection.ask("POST", b"", b"")
    connection.data_received(ok(b"", *headers))


async def line_up(pool: Pool, fresh: bool = False) -> asyncio.Task[Connection | None]:
    task = asyncio.create_task(pool.place(fresh))
    await asyncio.sleep(0)
    return task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_last_used_is_used_first():
    """Warm connections are used again and spare ones are left to expire."""
    pool = Pool(3, KEEP_ALIVE)
    first, second = await opened(pool), await opened(pool)
    pool.give(first)
    pool.give(second)
    assert (pool.take(), pool.take(), pool.take()) == (second, first, None)


async def test_closed_connection_is_never_handed_out():
    """A connection that closed a moment ago is skipped even before the loop has told the pool."""
    pool = Pool(2, KEEP_ALIVE)
    connection = await opened(pool)
    pool.give(connection)
    connection.abort()
    assert pool.take() is None
    await settle()
    assert (pool.open, pool.idle) == (0, 0)


async def test_unfinished_connection_is_not_kept():
    """A connection with an answer under way cannot serve anybody else."""
    pool = Pool(2, KEEP_ALIVE)
    connection = await opened(pool)
    connection.ask("POST", b"", b"")
    pool.give(connection)
    await settle()
    assert (connection.closed, pool.open) == (True, 0)


async def test_line_is_first_come_first_served():
    """At the limit requests wait, and the one that waited longest is next."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    first, second = await line_up(pool), await line_up(pool)
    pool.give(connection)
    assert await first is connection
    assert not second.done()
    pool.give(connection)
    assert await second is connection
    assert pool.open == 1


async def test_nobody_overtakes_the_line():
    """Who comes while others wait does not snatch the connection that becomes free."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    waiting = await line_up(pool)
    pool.give(connection)
    assert pool.take() is None
    assert await waiting is connection


async def test_lost_connection_makes_room_for_a_dial():
    """When a connection breaks, the first in line may make a new one."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    waiting = await line_up(pool)
    connection.abort()
    assert await waiting is None
    assert pool.open == 1
    pool.vacate()
    assert pool.open == 0


async def test_fresh_takes_the_place_of_an_idle_connection():
    """Who must not have a used connection gets one made even at the limit, as long as one is idle."""
    pool = Pool(2, KEEP_ALIVE)
    old, new = await opened(pool), await opened(pool)
    pool.give(old)
    pool.give(new)
    assert await pool.place(fresh=True) is None
    assert (old.closed, new.closed, pool.open, pool.idle) == (True, False, 2, 1)


async def test_fresh_in_line_is_not_given_a_used_connection():
    """A used connection that becomes free is closed when the first in line needs a new one."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    waiting = await line_up(pool, fresh=True)
    pool.give(connection)
    assert await waiting is None
    assert (connection.closed, pool.open) == (True, 1)


async def test_who_leaves_the_line_leaves_nothing_behind():
    """A cancelled wait takes no connection with it."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    leaving, staying = await line_up(pool), await line_up(pool)
    leaving.cancel()
    await settle()
    pool.give(connection)
    assert await staying is connection


@pytest.mark.parametrize("broken", [False, True])
async def test_grant_in_the_moment_of_leaving_goes_to_the_next(broken):
    """Cancelled in the very moment its turn came: the turn passes on."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    leaving, staying = await line_up(pool), await line_up(pool)
    if broken:
        pool.lost(connection)
    else:
        pool.give(connection)
    leaving.cancel()
    assert await staying is (None if broken else connection)
    assert leaving.cancelled()
    assert pool.open == 1


async def test_grant_in_the_moment_of_leaving_with_nobody_next_is_idle():
    """The same with an empty line: the connection waits for whoever comes."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    leaving = await line_up(pool)
    pool.give(connection)
    leaving.cancel()
    await settle()
    assert pool.take() is connection


@pytest.mark.parametrize(
    ("header", "lifetime"),
    [
        (b"keep-alive: timeout=5", 4.0),
        (b"keep-alive: timeout=1, max=100", 0.5),
        (b"keep-alive: timeout=600", KEEP_ALIVE),
        (b"keep-alive: max=100", KEEP_ALIVE),
        (b"x-a: 1", KEEP_ALIVE),
    ],
)
async def test_idle_ends_before_the_providers_limit(header, lifetime):
    """A connection is dropped before the provider drops it, where the provider says when that is."""
    pool = Pool(1, KEEP_ALIVE)
    connection = await opened(pool)
    serve(connection, header)
    before = asyncio.get_running_loop().time()
    pool.give(connection)
    assert connection._deadline - before == pytest.approx(lifetime, abs=0.1)


async def test_closed_pool_turns_everybody_away():
    """After closing, idle connections go, nobody waits, and what comes back is closed."""
    pool = Pool(2, KEEP_ALIVE)
    idle, busy = await opened(pool), await opened(pool)
    waiting = await line_up(pool)
    pool.close()
    with pytest.raises(Fault) as caught:
        await waiting
    assert caught.value.kind is Kind.DRAINING
    pool.give(idle)
    pool.give(busy)
    await settle()
    assert (pool.open, pool.idle) == (0, 0)
    for fresh in (True, False):
        with pytest.raises(Fault):
            await pool.place(fresh)
