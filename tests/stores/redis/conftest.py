"""A real Redis server for the tests of this folder."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.stores.contract import BREAKER, LEASE, SIZE, TTL
from tests.stores.redis.server import Server

from twospeed.stores import RedisStore
from twospeed.stores.memory import Clock, MemoryAffinity
from twospeed.stores.redis import RedisStores, connect
from twospeed.stores.redis.limits import NONE

Open = Callable[..., Awaitable[RedisStores]]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that do it no harm."""
    server = Server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(shared_server: Server) -> Server:
    """That server, empty."""
    shared_server.do("FLUSHALL")
    return shared_server


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[Server]:
    """A server of one's own, to be maltreated; not started."""
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens the stores of one replica; all are closed at the end.

    With a clock of the test, Redis goes by that clock too.
    """
    every: list[RedisStores] = []

    async def start(server: Server, clock: Clock = time.monotonic, settings: RedisStore | None = None) -> RedisStores:
        instant = (lambda: NONE) if clock is time.monotonic else (lambda: round(clock() * 1_000_000))
        memory = MemoryAffinity(clock, TTL, SIZE)
        settings = settings or RedisStore(url=server.url)
        stores = connect(settings, settings.url, BREAKER, clock, lambda: 0.5, memory, lease=LEASE, instant=instant)
        every.append(stores)
        await stores.start()
        return stores

    yield start
    await asyncio.gather(*(stores.close() for stores in every))


async def until(happened: Callable[[], object]) -> None:
    """Wait until something is so; hangs are cut after a long while."""
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0.005)
