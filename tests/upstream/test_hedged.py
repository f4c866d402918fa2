"""Two attempts at once: whoever speaks first serves, and the other one leaves nothing behind."""

import asyncio

import pytest
from tests import fakes
from tests.fakes import TEXT, Notes, Transport, plan, streaming

from twospeed.dialects.openai_chat import DIALECT
from twospeed.errors import Fault, Kind
from twospeed.policy.estimate import ENOUGH, Estimates
from twospeed.policy.limit import Level
from twospeed.types import Hedging, Switches
from twospeed.upstream.attempt import Attempts

AT_ONCE = Hedging(after=0.001, extra=1.0)


class Silent(fakes.Exchange):
    """An exchange that says nothing until it is told to, or closed."""

    def __init__(self) -> None:
        super().__init__(200, fakes.SSE, (), False)
        self.reading, self.speak = asyncio.Event(), asyncio.Event()

    async def read(self, deadline: float) -> bytes:
        self.reading.set()
        await self.speak.wait()
        return TEXT


class Stage:
    """Two backends behind a hedging tier."""

    def __init__(self, a: Transport, b: Transport, hedge: Hedging = AT_ONCE) -> None:
        self.notes, self.record, self.estimates = Notes(), fakes.record(), Estimates()
        links = {"a/m@r": fakes.link(a, "a/m"), "b/m@r": fakes.link(b, "b/m")}
        clock = asyncio.get_running_loop().time
        self.attempts = Attempts(links, self.notes, self.notes, self.estimates, clock, lambda: 0.0)
        self.plan = fakes.replace(plan("a", "b"), deadline=clock() + 10.0, hedge=hedge)

    async def run(self):
        async with asyncio.timeout(10):
            return await self.attempts.run(self.plan, fakes.job(DIALECT), self.record)


async def test_the_hedge_wins_and_the_silent_one_is_closed():
    """The loser is closed and settled once, its breaker hears nothing, and the record shows both."""
    silent = Silent()
    stage = Stage(Transport(silent), Transport(streaming(TEXT)))
    attempt = await stage.run()
    assert attempt.row.backend.name == "b/m@r"
    assert silent.closed
    assert [(row.kind, row.hedge) for row in stage.record.attempts] == [(Kind.HEDGE_LOST, False), (None, True)]
    assert [note[:2] for note in stage.notes.heard] == [("settle", "a/m")]
    assert stage.record.notes == ["hedge:fast:won"]
    assert stage.record.backend == "b/m@r"


async def test_the_first_one_may_win_after_all():
    """Then the hedge is the loser, and the request is said to have been served by the first."""
    first, hedge = Silent(), Silent()
    stage = Stage(Transport(first), Transport(hedge))
    running = asyncio.create_task(stage.run())
    await hedge.reading.wait()
    first.speak.set()
    attempt = await running
    assert attempt.row.backend.name == "a/m@r"
    assert hedge.closed
    assert [row.kind for row in stage.record.attempts] == [None, Kind.HEDGE_LOST]
    assert stage.record.notes == ["hedge:fast:lost"]
    assert stage.record.backend == "a/m@r"


async def test_a_client_that_leaves_ends_both():
    """Nothing is left running, and each is settled once."""
    first, hedge = Silent(), Silent()
    stage = Stage(Transport(first), Transport(hedge))
    running = asyncio.create_task(stage.run())
    await hedge.reading.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert first.closed
    assert hedge.closed
    assert sorted(note[:2] for note in stage.notes.heard) == [("settle", "a/m"), ("settle", "b/m")]
    assert len(asyncio.all_tasks()) == 1


async def test_a_client_that_leaves_as_one_wins_ends_the_winner_too():
    """The loser is being ended, and the client goes: nobody takes the winner over, so it is closed and settled as well."""
    first, hedge = Silent(), Silent()
    stage = Stage(Transport(first), Transport(hedge))
    running = asyncio.create_task(stage.run())
    await hedge.reading.wait()
    close = hedge.close
    hedge.close = lambda: (close(), running.cancel())
    first.speak.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert first.closed
    assert sorted(note[:2] for note in stage.notes.heard) == [("settle", "a/m"), ("settle", "b/m")]
    assert len(asyncio.all_tasks()) == 1


async def test_both_may_fail():
    """The last fault is told, and both failures count."""
    stage = Stage(Transport(Fault(Kind.CONNECT_FAILED)), Transport(streaming(Fault(Kind.PROVIDER_ERROR))))
    with pytest.raises(Fault) as caught:
        await stage.run()
    assert caught.value.kind is Kind.PROVIDER_ERROR
    assert [note[0] for note in stage.notes.heard if note[0] == "failed"] == ["failed", "failed"]


async def test_nothing_is_hedged_near_saturation():
    """Where the second backend's limit is nearly used up, the first is waited for."""
    first, other = Silent(), Transport(streaming(TEXT))
    stage = Stage(Transport(first), other)
    stage.notes.full["b/m"] = [Level("b/m", "rpm", 100, 80)]
    running = asyncio.create_task(stage.run())
    await first.reading.wait()
    await asyncio.sleep(0.02)
    first.speak.set()
    assert (await running).row.backend.name == "a/m@r"
    assert other.connects == []
    assert stage.record.notes == []


async def test_a_hedge_is_earned_by_twenty_requests():
    """With 5% extra the first nineteen slow requests are waited for."""
    stage = Stage(Transport(), Transport(), Hedging(after=0.0, extra=0.05))
    hedged = []
    for _ in range(20):
        first, stage.record = Silent(), fakes.record()
        stage.attempts._links["a/m@r"].transport = Transport(first)
        stage.attempts._links["b/m@r"].transport = Transport(streaming(TEXT))
        running = asyncio.create_task(stage.run())
        await first.reading.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        first.speak.set()
        await running
        hedged.append(len(stage.record.attempts) == 2)
    assert hedged == [False] * 19 + [True]


async def test_p95_waits_until_it_is_known():
    """A backend of which too little has been seen is not hedged; what it took is learned."""
    stage = Stage(Transport(), Transport(), Hedging(after=None, extra=1.0))
    for _ in range(ENOUGH):
        assert stage.estimates.first_token_p95("a/m@r") is None
        stage.record = fakes.record()
        stage.attempts._links["a/m@r"].transport = Transport(streaming(TEXT))
        await stage.run()
    assert stage.estimates.first_token_p95("a/m@r") < 1.0


async def test_a_flag_turns_it_off():
    """For requests whose flags say so the race is the plain one."""
    stage = Stage(Transport(streaming(TEXT)), Transport())
    stage.plan = fakes.replace(stage.plan, switches=Switches(hedge=False))
    await stage.run()
    assert stage.attempts._purses == {}
