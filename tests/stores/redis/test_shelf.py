"""Rollouts kept for all hosts: one leader, tokens that are refused when they are old, and a Redis that may go away."""

import asyncio

import pytest
from msgspec.structs import replace
from tests.stores.redis.conftest import until
from tests.stores.shelves import Shelves, story

from twospeed.policy.held import Away, Deposed, Missed
from twospeed.policy.rollout import Signal
from twospeed.stores import RedisStore
from twospeed.stores.redis import shelf as module
from twospeed.stores.redis.shelf import RedisShelf


@pytest.fixture
def woken():
    return asyncio.Event()


@pytest.fixture
async def host(server, woken):
    """Opens the shelf of one more host; all are closed in the end."""
    every = []

    async def opened(of=server):
        one = RedisShelf(RedisStore(url=of.url), of.url)
        every.append(one)
        await one.start(woken.set)
        return one

    yield opened
    await asyncio.gather(*(one.close() for one in every))


@pytest.fixture
async def shelf(host):
    return await host()


class TestRedisShelf(Shelves):
    """Redis keeps every promise."""

    async def test_hosts_follow_each_other(self, host, woken):
        """What one moves the others hear of, woken."""
        one, other = await host(), await host()
        await other.read()
        await until(lambda: woken.is_set() or one is not other)
        moves = story(Signal.START)
        for move in moves:
            assert await one.put(move)
        assert list(await other.follow()) == moves

    async def test_one_leads_and_hands_over(self, host):
        """While one has the lease another has not; who takes over has a later token."""
        one, other = await host(), await host()
        first = await one.lead()
        assert await other.lead() == 0
        await one.close()
        assert await other.lead() > first

    async def test_a_leader_of_before_is_refused(self, host, server):
        """Whoever hung while another took over decides nothing and keeps nothing."""
        one, other = await host(), await host()
        old = await one.lead()
        server.do("DEL", "twospeed:{rollouts}:leader")  # the lease ended meanwhile
        new = await other.lead()
        move = story()[0]
        with pytest.raises(Deposed):
            await one.put(replace(move, token=old))
        with pytest.raises(Deposed):
            await one.keep("r", b"memory", b"", old)
        assert await other.put(replace(move, token=new))

    async def test_people_need_no_token(self, host):
        """A signal given on any host counts, whoever leads."""
        one, other = await host(), await host()
        await one.lead()
        assert await other.put(story()[0])

    async def test_the_silence_of_a_host_ends_what_it_said(self, host):
        """A host that was heard of long ago is not waited for."""
        one, other = await host(), await host()
        await one.serve({"r": 3})
        other._wall = lambda: 9e9
        assert await other.served() == []

    async def test_what_made_room_is_counted(self, host, monkeypatch):
        """The leader knows how much it was not told."""
        monkeypatch.setattr(module, "EACH", 1)
        one, leader = await host(), await host()
        await one.report([b"a"])
        place, _, _ = await leader.collect("")
        await one.report([b"b", b"c"])
        await asyncio.shield(one._command("XTRIM", one._key("seen"), "MAXLEN", 1))
        assert await leader.collect(place) == (pytest.approx(await last(one)), [b"c"], 1)

    async def test_moves_that_are_no_longer_kept_are_noticed(self, host):
        """Then everything is read anew."""
        one, other = await host(), await host()
        await other.read()
        for move in story(Signal.START, Signal.READY):
            await one.put(move)
        await one._command("XTRIM", one._key("moves"), "MAXLEN", 1)
        with pytest.raises(Missed):
            await other.follow()
        assert (await other.read())["r"].version == 3

    async def test_a_redis_that_lost_everything_is_told_anew(self, host, server):
        """The next move brings back what it has forgotten."""
        one = await host()
        moves = story(Signal.START, Signal.READY)
        for move in moves[:2]:
            await one.put(move)
        server.do("FLUSHALL")
        assert await one.put(moves[2])
        assert (await one.read())["r"].version == 3

    async def test_a_redis_that_is_away_is_no_hang(self, host, fragile):
        """Starting comes back, and every call says that it is away."""
        one = await host(fragile)
        for call in (one.read(), one.follow(), one.lead(), one.put(story()[0]), one.report([b"a"])):
            with pytest.raises(Away):
                await call


async def last(shelf):
    found = await shelf._command("XREVRANGE", shelf._key("seen"), "+", "-", "COUNT", 1)
    return found[0][0].decode()
