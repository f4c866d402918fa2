"""A serving process in the test's own loop: what reloads and stops do to requests under way."""

import asyncio

from tests.serving import TWO_FAST, serving

from twospeed.config import read

SPARE = TWO_FAST.replace("two: {", "two: {region: eu, ")


async def test_a_request_keeps_the_snapshot_it_began_with():
    """It began before a reload, falls back after it, and is served by the provider as it was."""
    async with serving() as server:
        asked = asyncio.create_task(
            server.chat(model="pair", headers={"x-twospeed-simulate": "http_500@one, first:200ms"})
        )
        async with asyncio.timeout(10):
            while server.transport("one").served == 0:
                await asyncio.sleep(0)
        server.server.adopt(read(SPARE.encode(), "c.yaml", {}))
        answer = await asked
        assert (answer.status, answer.headers["x-twospeed-backend"]) == (200, "two/m@default")
        assert (await server.chat(model="two/m")).headers["x-twospeed-backend"] == "two/m@eu"


async def test_no_request_fails_over_ten_reloads():
    """Requests go on while the file is changed to and fro."""
    async with serving() as server:
        done = asyncio.Event()

        async def asking() -> set[int]:
            found = set()
            while not done.is_set():
                found.add((await server.chat(model="pair", headers={"x-twospeed-simulate": "http_500@one"})).status)
            return found

        clients = [asyncio.create_task(asking()) for _ in range(4)]
        for number in range(10):
            for _ in range(20):
                await asyncio.sleep(0)
            server.server.adopt(read((TWO_FAST if number % 2 else SPARE).encode(), "c.yaml", {}))
        done.set()
        assert await asyncio.gather(*clients) == [{200}] * 4


async def test_a_reload_changes_the_breakers():
    """New settings hold for the failures that follow."""
    async with serving() as server:
        server.server.adopt(read(f"breaker: {{consecutive: 1}}\n{TWO_FAST}".encode(), "c.yaml", {}))
        await server.chat(model="lone", headers={"x-twospeed-simulate": "http_500"})
        assert not server.server.api.runtime.memory.health.usable("one/m@default")
