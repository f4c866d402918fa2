"""More requests than the server takes: an answer at once, a share for the fast tier, health checks as ever."""

import asyncio
from dataclasses import replace

from tests.serving import TWO_FAST, Serving, serving

SMALL = TWO_FAST.replace("{port: 0}", "{port: 0, max_in_flight: 4, fast_share: 50%, max_waiting: 0}")
SMALL = SMALL.replace("first_token: 200ms, idle: 300ms", "first_token: 9s, idle: 9s")
HANG = {"x-twospeed-simulate": "hang"}


async def occupy(server: Serving, tier: str, count: int) -> list[asyncio.Task[object]]:
    """Send requests that are not answered, and wait until they are under way."""
    tasks = [asyncio.create_task(server.chat(model=tier, stream=True, headers=HANG)) for _ in range(count)]
    lane = server.server.api.runtime.seats.lanes[tier]
    async with asyncio.timeout(10):
        while lane.under_way < count:
            await asyncio.sleep(0)
    return tasks


async def leave(tasks: list[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_deep_traffic_cannot_starve_the_fast_tier():
    """With its part full, deep is refused with a time to come back; fast still answers, and so does health."""
    async with serving(SMALL) as server:
        tasks = await occupy(server, "deep", 2)
        refused = await server.chat(model="deep")
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert (await refused.json())["error"]["code"] == "overloaded"
        assert (await server.chat(model="fast")).status == 200
        await leave(tasks)
        async with asyncio.timeout(10):
            while server.server.api.runtime.seats.lanes["deep"].under_way:
                await asyncio.sleep(0)
        assert (await server.chat(model="deep")).status == 200


async def test_a_full_house_answers_before_the_body_and_stays_healthy():
    """Beyond the cap of all, a refusal; health is asked as before, and the metrics tell."""
    async with serving(SMALL) as server:
        tasks = [*await occupy(server, "deep", 2), *await occupy(server, "fast", 2)]
        async with server.http.post(f"{server.url}/v1/chat/completions", data=b"{") as answer:
            assert answer.status == 503  # nobody looked at the body
        for path in ("/healthz", "/readyz"):
            async with server.http.get(server.url + path) as answer:
                assert answer.status == 200
        _, text = await server.server.desk.metrics("")
        assert b'twospeed_tier_in_flight{tier="deep"} 2' in text
        await leave(tasks)


async def test_caps_change_with_a_reload():
    """Those under way stay; the next request meets the new cap, and leaving is counted once."""
    async with serving(SMALL) as server:
        tasks = await occupy(server, "deep", 2)
        old, loaded = server.server.api.runtime, server.server.api.runtime.loaded
        listen = loaded.config.listen.model_copy(update={"max_in_flight": 8})
        config = loaded.config.model_copy(update={"listen": listen})
        server.server.adopt(replace(loaded, config=config))
        assert server.server.api.runtime.seats is old.seats
        assert (await server.chat(model="deep")).status == 200
        await leave(tasks)
