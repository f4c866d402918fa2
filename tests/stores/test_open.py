"""Which store a process remembers by."""

import time
from pathlib import Path

import pytest
from tests.stores.contract import BACKEND, BREAKER, admitted, ask, fail, refused
from tests.stores.redis.conftest import until
from tests.stores.redis.server import Server

from twospeed.policy.limit import Limit
from twospeed.stores import RedisStore
from twospeed.stores.open import Memory, open_memory
from twospeed.stores.shared import Host, attach, create


def opened(redis: tuple[RedisStore, str] | None, host: Host | None) -> Memory:
    """Open it with a real clock."""
    return open_memory(redis, host, BREAKER, time.monotonic, lambda: 0.5)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The mapped file of one host."""
    create(str(tmp_path / "tables"), 64)
    return str(tmp_path / "tables")


def worker(path: str, number: int, name: str = "here") -> Host:
    """One of two workers of that host."""
    return Host(name, attach(path), number, 2)


async def test_alone_it_is_this_process():
    """Without workers and Redis nothing is shared, and all is well."""
    one, other = opened(None, None), opened(None, None)
    assert (one.name, one.well()) == ("memory", True)
    await one.start()
    limit = Limit(rpm=1)
    for memory in (one, other):
        await admitted(memory.limits, ask(limit))
    await one.close()


async def test_workers_share_a_file(path: str):
    """Limits, breakers and sessions of one worker are those of the other."""
    one, other = (opened(None, worker(path, number)) for number in (0, 1))
    assert (one.name, one.well()) == ("shared", True)
    await admitted(one.limits, ask(Limit(rpm=1)))
    await refused(other.limits, ask(Limit(rpm=1)))
    fail(one.health)
    assert not other.health.usable(BACKEND)
    one.affinity.put("s", BACKEND)
    assert other.affinity.get("s") == BACKEND


@pytest.fixture
def server(tmp_path: Path):
    """A Redis of one's own."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


async def test_redis_wins_and_workers_stay_sharp(server: Server, path: str, tmp_path: Path):
    """With Redis, limits hold for all hosts; breakers and sessions are known on the host at once, elsewhere soon."""
    create(str(tmp_path / "far"), 64)
    settings = RedisStore(url=server.url)
    hosts = [worker(path, 0), worker(path, 1), worker(str(tmp_path / "far"), 0, "there")]
    one, other, far = memories = [opened((settings, server.url), host) for host in hosts]
    for memory in memories:
        await memory.start()
    assert (one.name, one.well()) == ("redis", True)
    await admitted(one.limits, ask(Limit(rpm=1)))
    await refused(far.limits, ask(Limit(rpm=1)))
    fail(other.health)
    assert not one.health.usable(BACKEND)
    other.affinity.put("s", BACKEND)
    assert one.affinity.get("s") == BACKEND
    await until(lambda: far.affinity.get("s") == BACKEND and not far.health.usable(BACKEND))
    for memory in memories:
        await memory.close()


async def test_redis_that_is_away_is_not_well(server: Server):
    """It opens all the same, admits its share and says that it is alone."""
    server.kill()
    memory = opened((RedisStore(url=server.url, replicas=2), server.url), None)
    await memory.start()
    assert not memory.well()
    await admitted(memory.limits, ask(Limit(rpm=2)))
    await refused(memory.limits, ask(Limit(rpm=2)))
    assert memory.alone() == 2
    await memory.close()
