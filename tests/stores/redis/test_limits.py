"""Limits in Redis keep the promises of every store, across replicas and through every kind of trouble (R22)."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stores.contract import POOL, Clock, LimitsContract, admitted, ask, refused
from tests.stores.redis.conftest import Open, until
from tests.stores.redis.server import Server

from twospeed.policy.limit import Ask, Level, Limit, Permit
from twospeed.stores import RedisStore
from twospeed.stores.redis import RedisStores
from twospeed.stores.redis.limits import RECENT, RedisLimits

TEN = Limit(rpm=10)


class TestRedisLimits(LimitsContract):
    """Limits of one replica."""

    @pytest.fixture
    async def limits(self, server: Server, opened: Open, clock: Clock) -> RedisLimits:
        """A store that has seen nothing."""
        stores = await opened(server, clock)
        assert stores.replica.state == "ok"
        return stores.limits


async def take(stores: RedisStores, times: int, limit: Limit = TEN) -> int:
    """Return how many of so many were admitted."""
    return sum([isinstance(await stores.limits.take(ask(limit)), Permit) for _ in range(times)])


async def test_replicas_share_one_limit(server: Server, opened: Open):
    """Ten are admitted under rpm 10, however many replicas ask."""
    replicas = [await opened(server) for _ in range(3)]
    assert sum(await asyncio.gather(*(take(replica, 6) for replica in replicas))) == 10


async def test_replicas_share_slots_settlements_and_silence(server: Server, opened: Open):
    """What one replica settles, frees or silences holds for the others."""
    one, other = await opened(server), await opened(server)
    limit = Limit(tpm=100, concurrency=1)
    permit = await admitted(one.limits, ask(limit, 10, 90))
    assert await refused(other.limits, ask(limit, 1, 0))
    one.limits.settle(permit, 10, 20)
    await take(one, 0)
    await until(lambda: one.limits.usage())
    await admitted(one.limits, ask(Limit(), pool="acme/other"))  # in order after the settlement
    await admitted(other.limits, ask(limit, 70, 0))
    one.limits.cool(POOL, 30.0)
    await admitted(one.limits, ask(Limit(), pool="acme/other"))
    assert (await refused(other.limits, ask(Limit()))).dimension == "cooldown"


async def test_what_has_ended_is_no_longer_shown(server: Server, opened: Open):
    """Once nothing is under way the levels say so, without another request that asks."""
    stores = await opened(server)
    limit = Limit(concurrency=5, rpm=9)
    first, second = [await admitted(stores.limits, ask(limit)) for _ in range(2)]
    stores.limits.settle(first, 0, 0)
    stores.limits.refund(second)
    await until(lambda: {level.dimension: level.used for level in stores.limits.levels(POOL)}["concurrency"] == 0)
    assert {level.dimension: level.used for level in stores.limits.levels(POOL)} == {"concurrency": 0, "rpm": 1}


async def test_what_others_have_ended_is_no_longer_shown(server: Server, opened: Open):
    """A replica that asks for nothing itself still learns that the requests of another are over."""
    one, other = await opened(server), await opened(server)
    limit = Limit(concurrency=5)
    theirs = await admitted(other.limits, ask(limit))
    one.limits.settle(await admitted(one.limits, ask(limit)), 0, 0)
    await until(lambda: one.limits.levels(POOL)[0].used == 1)
    other.limits.settle(theirs, 0, 0)
    await until(lambda: one.limits.levels(POOL)[0].used == 0)


async def test_keys_of_a_provider_lie_together_and_expire(server: Server, opened: Open):
    """All keys of a provider share a hash tag, and none is kept for ever."""
    stores = await opened(server)
    await admitted(stores.limits, ask(Limit(rpm=5, concurrency=5)))
    keys = [key.decode() for key in server.do("KEYS", "*")]
    assert sorted(key for key in keys if "acme" in key) == [
        "twospeed:{acme}:acme/spark",
        "twospeed:{acme}:acme/spark:slots",
    ]
    assert all(server.do("PTTL", key) > 0 for key in keys)


async def test_an_admission_nobody_waits_for_is_given_back(server: Server, opened: Open):
    """A request that goes away while Redis decides uses up nothing."""
    stores = await opened(server)
    await take(stores, 1)
    server.stop()
    waiting = asyncio.create_task(stores.limits.take(ask(TEN)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    server.go_on()
    await until(lambda: stores.replica.state == "ok")
    assert await take(stores, 12) == 9


async def test_an_admission_that_comes_as_its_client_leaves_is_given_back(server: Server, opened: Open):
    """Where the answer of Redis and the end of the client are seen in the same turn, no slot stays taken."""
    stores = await opened(server)
    limit = Limit(concurrency=1)
    stores.limits.settle(await admitted(stores.limits, ask(limit)), 0, 0)
    link = stores.replica.link("acme")
    send = link.call

    def leaving(*words: object) -> "asyncio.Future[object]":
        answer = send(*words)
        answer.add_done_callback(lambda _: waiting.cancel())
        return answer

    link.call = leaving
    waiting = asyncio.create_task(stores.limits.take(ask(limit)))
    await asyncio.gather(waiting, return_exceptions=True)
    link.call = send
    assert waiting.cancelled()
    await admitted(stores.limits, ask(limit))


async def test_no_slot_is_lost_with_the_connection(server: Server, opened: Open):
    """What was being told when the connection broke is told again: an end, and an admission nobody waited for."""
    stores = await opened(server)
    limit = Limit(concurrency=2)
    ended = await admitted(stores.limits, ask(limit))
    server.stop()
    stores.limits.settle(ended, 0, 0)
    left = asyncio.create_task(stores.limits.take(ask(limit)))
    await asyncio.sleep(0.01)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    await until(lambda: stores.replica.state == "degraded")
    server.go_on()
    await until(lambda: stores.replica.state == "ok")
    slots = "twospeed:{acme}:acme/spark:slots"
    await until(lambda: server.do("ZCARD", slots) == 0)


# -- trouble: how it begins, and how it ends --

Cause = Callable[[Server], None]


def crash(server: Server) -> None:
    server.kill()


def hang(server: Server) -> None:
    server.stop()


def demote(server: Server) -> None:
    server.do("REPLICAOF", "127.0.0.1", "1")


def fill(server: Server) -> None:
    server.do("CONFIG", "SET", "maxmemory", "1")


def lock_out(server: Server) -> None:
    server.do("CONFIG", "SET", "requirepass", "secret")
    server.do("CLIENT", "KILL", "TYPE", "normal")


def lose_the_disk(server: Server) -> None:
    server.do("CONFIG", "SET", "save", "3600 1")
    shutil.rmtree(server.folder)
    server.do("BGSAVE")
    while server.do("INFO", "persistence")["rdb_last_bgsave_status"] == "ok":
        pass


TROUBLE: dict[str, tuple[Cause, Cause]] = {
    "killed": (crash, lambda server: server.start()),
    "hanging": (hang, lambda server: server.go_on()),
    "read-only": (demote, lambda server: server.do("REPLICAOF", "NO", "ONE")),
    "full": (fill, lambda server: server.do("CONFIG", "SET", "maxmemory", "0")),
    "locked": (lock_out, lambda server: server.do("CONFIG", "SET", "requirepass", "")),
    "disk lost": (lose_the_disk, lambda server: server.do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")),
}


@pytest.mark.parametrize(("begins", "ends"), TROUBLE.values(), ids=TROUBLE)
async def test_trouble_neither_opens_nor_closes_the_limit(
    fragile: Server, opened: Open, caplog: pytest.LogCaptureFixture, begins: Cause, ends: Cause
):
    """While Redis is in trouble a replica goes on within the limit; after it Redis knows all that was admitted."""
    fragile.start()
    stores = await opened(fragile)
    assert await take(stores, 4) == 4
    with caplog.at_level(logging.INFO, "twospeed"):
        begins(fragile)
        assert await take(stores, 3) == 3
        await until(lambda: stores.replica.state == "degraded")
        calls = stores.replica.counters()["calls"]
        assert await take(stores, 2) == 2
        assert stores.limits.alone >= 2
        assert stores.replica.counters()["calls"] - calls <= 2  # nothing but signs of life
        ends(fragile)
        await until(lambda: stores.replica.state == "ok")
    assert await take(stores, 5) == 1
    assert stores.limits.usage() == [Level(POOL, "rpm", 10, 10)]
    assert [record.message.split(":")[0] for record in caplog.records] == ["redis twospeed"] * 2
    assert "secret" not in caplog.text


async def test_starts_with_redis_down(fragile: Server, opened: Open, caplog: pytest.LogCaptureFixture):
    """A replica serves without Redis from the first request on, and joins when Redis comes."""
    stores = await opened(fragile)
    assert stores.replica.state == "degraded"
    assert await take(stores, 4) == 4
    assert len(caplog.records) == 1
    fragile.start()
    await until(lambda: stores.replica.state == "ok")
    assert await take(stores, 10) == 6


async def test_a_pool_may_be_used_first_while_debts_are_told(fragile: Server, opened: Open, monkeypatch, caplog):
    """Requests go on while Redis is told what it missed, those of pools that nobody used before included."""
    stores = await opened(fragile)
    assert await take(stores, 4) == 4
    merge = stores.limits._merge

    async def disturbed(*told):
        await stores.limits.take(Ask("acme/unheard", Limit(rpm=10), 1, 1))
        await merge(*told)

    monkeypatch.setattr(stores.limits, "_merge", disturbed)
    fragile.start()
    await until(lambda: stores.replica.state == "ok")
    assert await take(stores, 10) == 6
    assert "bug" not in caplog.text


async def test_without_redis_each_replica_keeps_to_its_share(fragile: Server, opened: Open):
    """Two replicas that lose Redis admit half of the limit each, what they used before included."""
    fragile.start()
    replicas = [await opened(fragile), await opened(fragile)]
    assert [await take(replica, 2) for replica in replicas] == [2, 2]
    await until(lambda: all(replica.replica.replicas == 2 for replica in replicas))
    fragile.kill()
    assert [await take(replica, 9) for replica in replicas] == [3, 3]
    assert replicas[0].limits.usage() == [Level(POOL, "rpm", 5, 5)]


async def test_configured_replicas_win(fragile: Server, opened: Open):
    """With `replicas: 5` a lonely process takes a fifth, even if it never saw the others."""
    stores = await opened(fragile, settings=RedisStore(url=fragile.url, replicas=5))
    assert await take(stores, 9) == 2


async def test_a_forgetful_redis_is_told_everything(server: Server, opened: Open):
    """When somebody empties Redis, the replicas tell it what they admitted in the last minute."""
    stores = await opened(server)
    assert await take(stores, 7, Limit(rpm=10, concurrency=10)) == 7
    server.do("FLUSHALL")
    await until(lambda: server.do("EXISTS", "twospeed:{acme}:acme/spark:slots"))
    assert await take(stores, 9, Limit(rpm=10, concurrency=10)) == 3


async def test_a_redis_that_went_back_in_time_is_told_what_came_since(fragile: Server, opened: Open):
    """After a restart with an old dump the replicas tell Redis what it has forgotten, and only that."""
    fragile.start()
    one, other = await opened(fragile), await opened(fragile)
    assert await take(one, 2) + await take(other, 2) == 4
    await asyncio.sleep(0.6)  # into the next bucket, with a beat between
    fragile.do("SAVE")
    await asyncio.sleep(0.6)
    assert await take(one, 1) + await take(other, 1) == 2
    beats = one.replica.counters()["calls"]
    await until(lambda: one.replica.counters()["calls"] >= beats + 4)
    fragile.kill()
    fragile.start()
    await until(lambda: one.replica.state == other.replica.state == "ok" and one.replica.counters()["downs"])
    await until(lambda: other.replica.counters()["downs"])
    assert 3 <= await take(one, 9) <= 4
    assert one.limits.usage() == [Level(POOL, "rpm", 10, 10)]


async def test_forgotten_scripts_are_sent_again(server: Server, opened: Open):
    """SCRIPT FLUSH goes unnoticed."""
    stores = await opened(server)
    assert await take(stores, 3) == 3
    server.do("SCRIPT", "FLUSH")
    assert await take(stores, 9) == 7
    assert stores.replica.state == "ok"
    assert stores.limits.alone == 0


async def test_what_was_admitted_alone_is_settled_where_it_is_known(fragile: Server, opened: Open):
    """Usage of requests admitted without Redis is right, whether they end before or after Redis is back."""
    limit = Limit(tpm=1000, concurrency=5)
    stores = await opened(fragile)
    before, after = [await admitted(stores.limits, ask(limit, 100, 300)) for _ in range(2)]
    stores.limits.settle(before, 100, 50)
    fragile.start()
    await until(lambda: stores.replica.state == "ok")
    assert (await refused(stores.limits, ask(limit, 451, 0))).dimension == "tpm"
    stores.limits.settle(after, 100, 50)
    await admitted(stores.limits, ask(limit, 700, 0))
    assert sorted(stores.limits.usage()) == [(POOL, "concurrency", 5, 1), (POOL, "tpm", 1000, 1000)]


async def test_what_ends_while_redis_hangs_is_settled_when_it_is_back(fragile: Server, opened: Open):
    """Usage and slots of requests that end during the trouble are not lost."""
    fragile.start()
    stores = await opened(fragile)
    limit = Limit(tpm=1000, concurrency=2)
    permits = [await admitted(stores.limits, ask(limit, 0, 500)) for _ in range(2)]
    fragile.stop()
    await until(lambda: stores.replica.state == "degraded")
    stores.limits.settle(permits[0], 0, 100)
    stores.limits.refund(permits[1])
    fragile.go_on()
    await until(lambda: stores.replica.state == "ok")
    await admitted(stores.limits, ask(limit, 0, 900))
    assert sorted(stores.limits.usage()) == [(POOL, "concurrency", 2, 1), (POOL, "tpm", 1000, 1000)]


async def test_slots_asked_for_in_a_hang_are_not_lost(fragile: Server, opened: Open):
    """Requests that asked while Redis hung leave no slot behind when it goes on."""
    fragile.start()
    stores = await opened(fragile)
    limit = Limit(concurrency=3)
    await admitted(stores.limits, ask(limit))
    fragile.stop()
    answers = await asyncio.gather(*(stores.limits.take(ask(limit)) for _ in range(4)))
    for permit in answers:
        if isinstance(permit, Permit):
            stores.limits.settle(permit, 0, 0)
    await until(lambda: stores.replica.state == "degraded")
    fragile.go_on()
    await until(lambda: stores.replica.state == "ok")
    assert await take(stores, 3, limit) == 2


async def test_loading_redis_is_waited_for(tmp_path: Path, opened: Open):
    """A Redis that still reads its dump counts as away until it has."""
    server = Server(tmp_path)
    server.start()
    for number in range(200):
        server.do("SET", f"k{number}", "x" * 100)
    server.do("SAVE")
    server.kill()
    server.start("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
    try:
        stores = await opened(server)
        assert stores.replica.state == "degraded"
        assert await take(stores, 1) == 1
        await until(lambda: stores.replica.state == "ok")
    finally:
        server.kill()


async def test_alone_nobody_takes_what_others_had_used_already(fragile: Server, opened: Open, clock: Clock):
    """A limit that one replica had used up is used up for the others too when Redis goes; a minute later each has its share."""
    fragile.start()
    settings = RedisStore(url=fragile.url, replicas=2)
    one, other = [await opened(fragile, clock, settings) for _ in range(2)]
    assert (await take(one, 10), await take(other, 3)) == (10, 0)
    fragile.kill()
    await until(lambda: {one.replica.state, other.replica.state} == {"degraded"})
    assert (await take(one, 10), await take(other, 10)) == (0, 0)
    clock.advance(61.0)
    assert (await take(one, 10), await take(other, 10)) == (5, 5)


async def test_alone_what_was_left_is_divided(fragile: Server, opened: Open, clock: Clock):
    """Of four that were left two replicas take two each, whoever had used the others."""
    fragile.start()
    settings = RedisStore(url=fragile.url, replicas=2)
    one, other = [await opened(fragile, clock, settings) for _ in range(2)]
    assert (await take(other, 1), await take(one, 4), await take(other, 1)) == (1, 4, 1)
    fragile.kill()
    await until(lambda: {one.replica.state, other.replica.state} == {"degraded"})
    assert await take(one, 10) <= 3
    assert await take(other, 10) == 2


async def test_slots_that_others_hold_are_held_for_a_moment(fragile: Server, opened: Open, clock: Clock):
    """When a call goes unanswered the slots of others are not given away; when Redis stays away each has its share."""
    fragile.start()
    settings = RedisStore(url=fragile.url, replicas=2)
    one, other = [await opened(fragile, clock, settings) for _ in range(2)]
    four = Limit(concurrency=4)
    assert (await take(one, 4, four), await take(other, 1, four)) == (4, 0)
    fragile.kill()
    await until(lambda: other.replica.state == "degraded")
    assert (await refused(other.limits, ask(four))).dimension == "concurrency"
    clock.advance(RECENT)
    assert await take(other, 4, four) == 2


async def test_what_comes_free_is_not_taken_twice(fragile: Server, opened: Open, clock: Clock):
    """A replica that loses its connection for a moment leaves what has left the window to those that have theirs."""
    fragile.start()
    settings = RedisStore(url=fragile.url, replicas=2)
    one = await opened(fragile, clock, settings)
    first = min(
        int(line.split()[0][3:])
        for line in fragile.do("CLIENT", "LIST", "TYPE", "normal").decode().splitlines()
        if "twospeed" in line
    )
    other = await opened(fragile, clock, settings)
    assert (await take(one, 5), await take(other, 5)) == (5, 5)
    clock.advance(60.2)
    assert (await take(one, 1), await take(other, 1)) == (0, 0)
    clock.advance(0.6)
    fragile.do("CLIENT", "KILL", "ID", first)
    await until(lambda: one.replica.state == "degraded")
    refusal = await refused(one.limits, ask(TEN))
    assert (refusal.dimension, refusal.retry_after) == ("rpm", RECENT)
    assert await take(other, 11) == 10
