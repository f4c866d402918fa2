"""Words between two processes that trust each other: questions, answers, notices, and the end."""

import asyncio
import socket

import pytest

from twospeed.edge.channel import Channel, Frame


class Ends:
    """Both ends of a channel, each with its reader. `heard`: what the second was told or asked."""

    def __init__(self, first: Channel, second: Channel) -> None:
        self.first, self.second = first, second
        self.heard: list[Frame] = []
        self.open = asyncio.Event()
        self.open.set()
        self.readers = [asyncio.create_task(first.run(self.nothing)), asyncio.create_task(second.run(self.echo))]

    async def nothing(self, frame: Frame) -> None:
        raise AssertionError(frame)

    async def echo(self, frame: Frame) -> bytes | None:
        self.heard.append(frame)
        await self.open.wait()
        return frame.body * 2 if frame.word == "twice" else None


@pytest.fixture
async def ends():
    """Two ends of one pair of sockets."""
    one, other = socket.socketpair()
    ends = Ends(await Channel.over(one), await Channel.over(other))
    yield ends
    ends.open.set()
    ends.first.abort()
    ends.second.abort()
    await asyncio.gather(*ends.readers)


async def test_questions_are_answered_under_their_own_number(ends: Ends):
    """Many at once, and large ones: each gets its own answer."""
    bodies = [b"a", b"b" * 3_000_000, b"c"]
    answers = await asyncio.gather(*(ends.first.ask("twice", body, 10.0) for body in bodies))
    assert answers == [body * 2 for body in bodies]
    assert await ends.first.ask("other", b"", 10.0) == b""


async def test_notices_want_no_answer(ends: Ends):
    """They arrive in order, before what is asked after them."""
    ends.first.tell("one", b"1")
    ends.first.tell("two")
    await ends.first.ask("twice", b"", 10.0)
    assert [(frame.number == 0, frame.word, frame.body) for frame in ends.heard[:2]] == [
        (True, "one", b"1"),
        (True, "two", b""),
    ]


async def test_who_does_not_answer_is_not_waited_for(ends: Ends):
    """The question stays on its list until the late answer comes, which nobody hears."""
    ends.open.clear()
    assert await ends.first.ask("twice", b"late", 0.01) is None
    assert ends.first.unanswered == 1
    ends.open.set()
    assert await ends.first.ask("twice", b"x", 10.0) == b"xx"
    assert ends.first.unanswered == 0


async def test_the_end_is_heard_and_answers_nothing(ends: Ends):
    """When the other side hangs up, reading ends and open questions come back empty."""
    ends.open.clear()
    asked = asyncio.create_task(ends.first.ask("twice", b"", 10.0))
    async with asyncio.timeout(10):
        while not ends.heard:
            await asyncio.sleep(0)
        ends.second.abort()
        assert await asked is None
        await ends.readers[0]
        assert await ends.first.ask("twice", b"", 10.0) is None
