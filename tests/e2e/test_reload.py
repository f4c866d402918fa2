"""Reloads under load (R25): nothing fails, and each request sees one configuration from start to end."""

import asyncio
from dataclasses import replace

from tests.serving import TWO_FAST, Serving, serving

from twospeed.config import Loaded, read

RELOADS = 10


def versions() -> list[Loaded]:
    """Configurations that differ in a name, a limit and a provider's answer, so that every part is built anew."""
    texts = [
        f"{TWO_FAST}x-round: {number}\n".replace("lone:", f"only-{number}: two/m, lone:") for number in range(RELOADS)
    ]
    return [read(text.encode(), "test.yaml", {}) for text in texts]


async def keep_asking(server: Serving, statuses: list[int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        answer = await server.chat(model="lone", stream=len(statuses) % 2 == 0)
        body = await answer.read()
        statuses.append(answer.status if b'"error"' not in body else 599)


async def test_no_request_fails_across_ten_reloads():
    """Each reload comes while requests are under way, and the next one only after others have been answered by it."""
    async with serving() as server:
        statuses: list[int] = []
        stop = asyncio.Event()
        clients = [asyncio.create_task(keep_asking(server, statuses, stop)) for _ in range(8)]
        async with asyncio.timeout(60):
            for loaded in versions():
                proxy = server.server.api.runtime.proxy
                while not proxy.serving:
                    await asyncio.sleep(0)
                server.server.adopt(loaded)
                answered = len(statuses)
                while len(statuses) < answered + len(clients) * 2:
                    await asyncio.sleep(0)
            stop.set()
            await asyncio.gather(*clients)
        assert set(statuses) == {200}
        served_by = {record.config for record in server.records}
        assert len(served_by) >= RELOADS
        assert [record.fault for record in server.records if record.fault] == []


async def test_a_request_under_way_keeps_its_configuration():
    """A stream that began before a reload ends by the names and backends it began with."""
    async with serving(TWO_FAST.replace("tokens_per_second: 100000", "tokens_per_second: 200")) as server:
        before = server.server.api.runtime.loaded
        answer = await server.chat(model="lone", stream=True)
        await answer.content.readany()
        gone = read(TWO_FAST.replace("lone: one/m, ", "").encode(), "test.yaml", {})
        server.server.adopt(replace(gone, version="next"))
        assert (await server.chat(model="lone")).status == 404
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
        assert [record.config for record in server.records if record.status == 200] == [before.version]


async def test_an_invalid_file_changes_nothing():
    """What was served before is served on, and the reason is returned."""
    async with serving() as server:
        runtime = server.server.api.runtime
        server.server.reloads._load = lambda: read(b"tiers: 3\n", "test.yaml", {})
        assert "test.yaml:1" in server.server.reload()
        assert server.server.api.runtime is runtime
        assert (await server.chat()).status == 200
