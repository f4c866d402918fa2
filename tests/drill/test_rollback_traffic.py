"""The requests of a drill."""

import asyncio

from tests.serving import serving

from twospeed.drill.rollback_traffic import SESSIONS, Traffic


async def test_every_request_is_seen_with_its_end():
    """Streamed and not, in turn; each of a session of the drill."""
    async with serving() as server:
        traffic = Traffic([f"{server.url}/v1"], "lone", [], "salt", rate=200.0)
        running = asyncio.create_task(traffic.run())
        async with asyncio.timeout(10):
            while len(traffic.seen) < 20:
                await asyncio.sleep(0.01)
        traffic.stop()
        await running
        assert all(one.ok and one.ended_at >= one.started_at and one.arm == "" for one in traffic.seen)
        assert len({record.session for record in server.records}) == min(SESSIONS, len(server.records))
        assert {record.stream for record in server.records} == {True, False}


async def test_what_fails_is_seen_as_failed():
    """Refused by the server, or nobody there."""
    async with serving() as server:
        traffic = Traffic([f"{server.url}/v1", "http://127.0.0.1:9/v1"], "not-a-model", [], "salt", rate=200.0)
        running = asyncio.create_task(traffic.run())
        async with asyncio.timeout(10):
            while len(traffic.seen) < 10:
                await asyncio.sleep(0.01)
        traffic.stop()
        await running
        assert {one.ok for one in traffic.seen} == {False}
