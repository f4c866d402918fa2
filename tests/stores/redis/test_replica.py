"""Replicas that share a Redis know of each other and pass on news."""

import asyncio

from tests.stores.contract import BACKEND, fail
from tests.stores.redis.conftest import Open, until
from tests.stores.redis.server import Server

from twospeed.errors import Kind
from twospeed.policy.breaker import Status
from twospeed.stores import RedisStore
from twospeed.stores.redis.link import Link
from twospeed.stores.redis.replica import Replica


async def test_replicas_count_each_other(server: Server, opened: Open):
    """Each replica knows how many there are, and those that leave are not counted."""
    one, other = await opened(server), await opened(server)
    await until(lambda: (one.replica.replicas, other.replica.replicas) == (2, 2))
    await other.close()
    await until(lambda: one.replica.replicas == 1)


async def test_the_count_outlives_redis(fragile: Server, opened: Open):
    """When Redis goes, the last known number of replicas holds."""
    fragile.start()
    one, _ = await opened(fragile), await opened(fragile)
    await until(lambda: one.replica.replicas == 2)
    fragile.kill()
    await until(lambda: one.replica.state == "degraded")
    assert one.replica.replicas == 2


async def test_breakers_are_passed_on(server: Server, opened: Open):
    """A backend that one replica found dead is left alone by all, until one finds it alive."""
    one, other = await opened(server), await opened(server)
    fail(one.health)
    await until(lambda: not other.health.usable(BACKEND))
    assert other.health.states() == {BACKEND: Status.OPEN}
    await until(lambda: one.health.last_resort(BACKEND))
    one.health.succeeded(BACKEND, None)
    await until(lambda: other.health.usable(BACKEND))


async def test_a_replica_that_reaches_a_backend_keeps_it(server: Server, opened: Open):
    """One replica with a broken network does not close a backend for those who reach it."""
    broken, well = await opened(server), await opened(server)
    for _ in range(3):
        well.health.succeeded(BACKEND, None)
    fail(broken.health)
    broken.health.failed("acme/other@eu", Kind.RESET)
    broken.affinity.put("after", BACKEND)
    await until(lambda: well.affinity.get("after"))
    assert well.health.usable(BACKEND)


async def test_sessions_are_passed_on(server: Server, opened: Open):
    """A session served by one replica is known to the others, also to those that start later."""
    one, other = await opened(server), await opened(server)
    one.affinity.put("caller:some session", BACKEND)
    await until(lambda: other.affinity.get("caller:some session") == BACKEND)
    other.affinity.put("caller:some session", "acme/deep@us")
    await until(lambda: one.affinity.get("caller:some session") == "acme/deep@us")
    late = await opened(server)
    await until(lambda: late.affinity.get("caller:some session") == "acme/deep@us")


async def test_news_without_redis_stay_at_home(fragile: Server, opened: Open):
    """Without Redis a replica goes by what it sees itself."""
    stores = await opened(fragile)
    stores.affinity.put("s", BACKEND)
    fail(stores.health)
    assert stores.affinity.get("s") == BACKEND
    assert not stores.health.usable(BACKEND)


async def test_a_host_hears_only_what_others_say(server: Server, opened: Open):
    """What a worker tells is not told back to its own host, which knows it already."""
    settings = RedisStore(url=server.url)
    heard: dict[str, list[str]] = {"here": [], "there": []}
    replicas = {host: [Replica(settings, server.url, 2, host, listens=not n) for n in (0, 1)] for host in heard}

    async def rejoin(link: Link, forgotten: float) -> None:
        return

    for host, pair in replicas.items():
        for replica in pair:
            await replica.start(rejoin, lambda what, about, age, host=host: heard[host].append(about))
    replicas["here"][1].say("session", "mine")
    replicas["there"][1].say("session", "theirs")
    await until(lambda: heard == {"here": ["theirs"], "there": ["mine"]})
    for replica in (*replicas["here"], *replicas["there"]):
        await replica.close()


async def test_a_bug_in_a_beat_does_not_part_a_replica_for_good(server: Server, caplog, monkeypatch):
    """It is told, and the replica comes back."""
    monkeypatch.setattr("twospeed.stores.redis.replica.AGAIN", 0.01)
    replica, beats = Replica(RedisStore(url=server.url), server.url), []

    async def rejoin(link: Link, forgotten: float) -> None:
        beats.append(forgotten)
        if len(beats) == 1:
            raise ZeroDivisionError

    await replica.start(rejoin, lambda what, about, age: None)
    await until(lambda: replica.state == "ok")
    assert len(beats) == 2
    assert "bug: ZeroDivisionError while speaking to redis" in caplog.text
    await replica.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
