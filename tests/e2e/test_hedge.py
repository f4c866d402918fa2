"""Hedging through the real door."""

import asyncio

from tests.serving import TWO_FAST, serving

HEDGING = TWO_FAST.replace("fast: {models", "fast: {hedge: {after: 20ms, extra: 100%}, models")
LATE = {"x-twospeed-simulate": "first:150ms@one"}


async def test_a_slow_backend_is_overtaken():
    """The second one answers the stream; both attempts stand in the record, and the provider of the first is left."""
    async with serving(HEDGING) as server:
        answer = await server.chat(model="fast", stream=True, headers=LATE)
        text = await answer.text()
        assert answer.headers["x-twospeed-backend"] == "two/m@default"
        assert answer.headers["x-twospeed-attempts"] == "2"
        assert text.endswith("data: [DONE]\n\n")
        (record,) = server.records
        assert [(attempt.kind, attempt.hedge) for attempt in record.attempts] == [("hedge_lost", False), (None, True)]
        assert record.notes == ["hedge:fast:won"]
        assert record.fault is None
        while server.transport("one").open_exchanges:
            await asyncio.sleep(0.005)


async def test_breakers_do_not_hear_of_losers():
    """However often it is overtaken, a backend that only is slow stays in use."""
    async with serving(HEDGING) as server:
        for number in range(6):
            await (await server.chat(f"request {number}", model="fast", stream=True, headers=LATE)).text()
        states = server.server.api.runtime.memory.health.states()
        assert {state.value for state in states.values()} == {"closed"}
        quick = await server.chat("another", model="fast", stream=True)
        assert quick.headers["x-twospeed-backend"] == "one/m@default"


async def test_what_must_not_run_twice_is_not_hedged():
    """Requests that leave state, and answers in one piece, are asked for once."""
    async with serving(HEDGING) as server:
        for body, headers in (({"stream": True, "store": True}, LATE), ({}, LATE)):
            answer = await server.chat(model="fast", headers=headers, **body)
            await answer.read()
            assert answer.headers["x-twospeed-attempts"] == "1"
