"""The requests of a drill."""

import asyncio

from tests.rollouts import rolling, text
from tests.serving import serving

from twospeed.drill.rollback_traffic import Traffic
from twospeed.policy.rollout import Signal


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
        assert len({record.session for record in server.records}) == len(server.records)
        assert {record.stream for record in server.records} == {True, False}


async def test_who_met_the_candidate_asks_again(tmp_path):
    """Sessions are new until a small share is met; those that met it come back, so that a flip would be seen."""
    async with rolling(text(steps="5%, 100%"), tmp_path) as host:
        await host.act(Signal.START)
        server = host.server
        traffic = Traffic([f"{server.url}/v1"], "coder", [], "salt", rate=300.0)
        running = asyncio.create_task(traffic.run())
        async with asyncio.timeout(10):
            while traffic.met(traffic.servers[0]) < 12:
                await asyncio.sleep(0.01)
        traffic.stop()
        await running
        met = [record.session for record in server.records if record.arm == "candidate"]
        assert len(set(met)) < len(met) < len({record.session for record in server.records})


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
