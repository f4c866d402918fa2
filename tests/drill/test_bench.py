"""A load test against a server that runs: everything is sent, and everything is accounted for."""

import asyncio
from collections.abc import Callable

import pytest
from tests.serving import TWO_FAST, serving

from twospeed.drill.bench import Bench, Load, address, given, requests, speaker
from twospeed.errors import Fault


def load(url: str, **changes: object) -> Load:
    """A tiny load."""
    usual = {"model": "auto", "rate": 200.0, "duration": 0.3, "streams": 0.5, "concurrency": 50, "timeout": 20.0}
    return Load(url=address(url), path="/chat/completions", sizes=(2_000, 30_000), **(usual | changes))


async def until(true: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_server_is_put_under_load():
    """Plain and streamed requests of both sizes, all answered, and it is seen where they went."""
    async with serving() as server:
        bench = Bench(load(server.url))
        await bench.run()
        tally = bench.tally
        assert (tally.failed, tally.pending, tally.truncated) == (0, 0, 0)
        assert tally.ok == tally.due == len(server.records) > 20
        assert tally.plain.count > 0 < tally.streamed.count
        assert tally.first_token.count == tally.streamed.count
        assert sum(tally.tiers.values()) == sum(tally.backends.values()) == tally.ok
        assert {record.stream for record in server.records} == {True, False}
        assert len({record.bytes_in > 20_000 for record in server.records}) == 2
        assert len({record.session for record in server.records}) > 5


async def test_requests_are_of_as_many_sessions_as_asked_for():
    """Whatever the bodies show."""
    async with serving() as server:
        await Bench(load(server.url, sessions=3)).run()
        assert len({record.session for record in server.records}) == 3
        assert {record.session_source for record in server.records} == {"x-twospeed-session"}


async def test_the_same_seed_sends_the_same():
    """Run twice, a server sees the same requests."""
    async with serving() as server:
        seen = []
        for _ in range(2):
            await Bench(load(server.url, seed=7, concurrency=1)).run()
            seen.append(sorted((record.bytes_in, record.stream) for record in server.records))
            server.records.clear()
        assert seen[0] == seen[1]


async def test_failures_are_counted_by_kind():
    """A name that nobody serves; a stream that the server ends with an error."""
    async with serving() as server:
        bench = Bench(load(server.url, model="nope"))
        await bench.run()
        assert bench.tally.errors == {"404 model_not_found": bench.tally.due}
        broken = Bench(load(server.url, model="lone", streams=1.0, headers=((b"x-twospeed-simulate", b"reset:3"),)))
        await broken.run()
        assert set(broken.tally.errors) <= {"error_event", "503 breaker_open"}
        assert broken.tally.errors["error_event"] > 0
        assert broken.tally.ok == 0


async def test_no_more_are_under_way_than_allowed():
    """The rest waits for its turn, and is sent."""
    async with serving(TWO_FAST.replace("median: 1ms", "median: 20ms")) as server:
        bench = Bench(load(server.url, concurrency=3, duration=0.2))
        running = asyncio.create_task(bench.run())
        most = 0
        while not running.done():
            most = max(most, server.server.http.in_flight)
            await asyncio.sleep(0.001)
        await running
        assert 0 < most <= 3
        assert bench.tally.ok == bench.tally.due


async def test_a_stopped_test_gives_up_what_is_under_way():
    """What was answered counts, what was not is pending, and nothing is left running."""
    async with serving(TWO_FAST.replace("median: 1ms", "median: 9s")) as server:
        bench = Bench(load(server.url, duration=60.0, streams=0.0))
        running = asyncio.create_task(bench.run())
        await until(lambda: bench.tally.due > 5)
        bench.stop()
        async with asyncio.timeout(10):
            await running
        assert bench.tally.pending == bench.tally.due > 0
        await until(lambda: not server.server.http.in_flight)


async def test_progress_is_told_while_it_runs():
    """Again and again, with the time since the start."""
    async with serving() as server:
        bench = Bench(load(server.url))
        told: list[float] = []
        watching = asyncio.create_task(bench.watch(lambda elapsed, tally: told.append(elapsed), every=0.05))
        await bench.run()
        watching.cancel()
        assert told == sorted(told) != []


def test_given_bodies_are_sent_as_they_are():
    """But for model, where one is asked for, and stream."""
    bodies = given('{"messages": [{"role": "user", "content": "a"}], "top_p": 0.5}\n\n{"messages": [], "model": "m"}\n')
    assert [body.get("model") for body in bodies] == [None, "m"]
    plain, streamed = next(requests(load("http://h", bodies=tuple(bodies[:1])), speaker("/chat/completions")))
    assert plain.body == b'{"model":"auto","stream":false,"messages":[{"role":"user","content":"a"}],"top_p":0.5}'
    assert streamed.stream


def test_a_body_may_name_its_own_model():
    """When none is asked for."""
    body = {"messages": [{"role": "user", "content": "a"}], "model": "m"}
    plain, _ = next(requests(load("http://h", bodies=(body,), model=""), speaker("/chat/completions")))
    assert plain.model == "m"


def test_what_cannot_be_sent_is_refused_before_anything_is():
    """An unknown endpoint, an address that is none, a body that the endpoint does not take, a file that is none."""
    with pytest.raises(ValueError, match="no endpoint /chat"):
        Bench(Load("http://h/v1", "/chat", "auto", 1.0, 1.0, 0.5, 1, 1.0, (2_000,)))
    with pytest.raises(ValueError, match="base_url"):
        Bench(load("ftp://h"))
    with pytest.raises(Fault, match="messages"):
        Bench(load("http://h", bodies=({"messages": 3},)))
    for text in ("", "[]", "{", "3"):
        with pytest.raises(ValueError):
            given(text)
