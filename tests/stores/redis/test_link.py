"""One connection to Redis: calls share a write, answers come in order, and it comes back by itself."""

import asyncio
from collections.abc import AsyncIterator

import hiredis
import pytest
from tests.stores.redis.conftest import until
from tests.stores.redis.server import Server

from twospeed.stores import RedisStore
from twospeed.stores.redis.dial import dialler
from twospeed.stores.redis.link import Link, Trouble
from twospeed.stores.redis.script import Form, Script

ECHO = Script("return ARGV[1]")
ECHOED = Form(ECHO, (), ())
FAIL = Script("return redis.error_reply('OOM no')")


async def fit(link: Link) -> None:
    """Beat as simply as can be."""
    await link.command("SET", "fit", "yes")


@pytest.fixture
async def link(fragile: Server) -> AsyncIterator[Link]:
    """A link that is up, to a server of its own."""
    fragile.start()
    link = Link(dialler(RedisStore(url=fragile.url), fragile.url, "fit"), fit, 0.05, "test")
    task = asyncio.create_task(link.run())
    await link.known
    assert link.up
    yield link
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not link.up


async def test_answers_come_to_those_who_asked(link: Link):
    """Many calls made at once each get their own answer."""
    answers = await asyncio.gather(*(link.ask(ECHO, (), (f"n{n}",)) for n in range(200)))
    assert answers == [f"n{n}".encode() for n in range(200)]


async def test_a_form_is_the_call_it_stands_for(link: Link):
    """A call packed in parts, with keys and words of any alphabet, is the one that would be packed as a whole."""
    script = Script("return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]}")
    form = Form(script, ("clé", "k2"), ("before",), (7,))
    for line in ("a line", "", "né 12"):  # the first time as a whole: Redis does not know the script yet
        words = ["clé", "k2", "before", line, "7"]
        assert await link.call(form, line) == [word.encode() for word in words]
        assert form.packed(line) == hiredis.pack_command(("EVALSHA", script.digest, 2, *words))


async def test_calls_of_one_turn_are_one_write(link: Link, fragile: Server):
    """Calls made in the same turn of the event loop reach Redis together."""
    before = fragile.do("INFO", "stats")["total_reads_processed"]
    await asyncio.gather(*(link.ask(ECHO, (), ("x",)) for _ in range(50)))
    assert fragile.do("INFO", "stats")["total_reads_processed"] - before <= 5


async def test_errors_reach_the_caller_by_kind(link: Link):
    """An error of Redis is told by its kind, without its text."""
    with pytest.raises(Trouble, match=r"^OOM$"):
        await link.ask(FAIL, (), ())
    assert link.up
    assert link.counts.errors == 1


async def test_three_failures_in_a_row_take_it_down(link: Link):
    """Two failures are bad luck, three in a row are trouble; a success between them starts the count again."""
    for script in (FAIL, FAIL, ECHO, FAIL, FAIL):
        await asyncio.gather(link.ask(script, (), ("x",)), return_exceptions=True)
    assert link.up
    await asyncio.gather(link.ask(FAIL, (), ()), return_exceptions=True)
    assert not link.up
    await until(lambda: link.up)
    assert link.counts.downs == 1


async def test_a_hanging_redis_keeps_nobody_waiting(link: Link, fragile: Server):
    """Calls to a Redis that hangs end by themselves, and it is given up."""
    fragile.stop()
    answers = await asyncio.gather(*(link.ask(ECHO, (), ("x",)) for _ in range(5)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["timeout"] * 5
    assert not link.up
    fragile.go_on()
    await until(lambda: link.up)


async def test_a_killed_redis_is_noticed_without_a_call(link: Link, fragile: Server):
    """The end of the connection alone takes the link down."""
    fragile.kill()
    await until(lambda: not link.up)
    with pytest.raises(Trouble):
        link.tell(ECHOED, "x")


async def test_late_answers_are_told(link: Link, fragile: Server):
    """An answer that comes after its caller has gone reaches who cares for late ones."""
    late: list[object] = []
    fragile.stop()
    waiting = link.call(ECHOED, "x", late.append)
    await asyncio.sleep(0)
    waiting.cancel()
    fragile.go_on()
    await until(lambda: late)
    assert late == [b"x"]
