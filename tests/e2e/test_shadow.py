"""The shadow gate, from start to its verdict: a candidate is let in or kept out before any client meets it."""

import asyncio
from textwrap import dedent

import pytest
from tests.serving import Serving, serving

from twospeed.policy.rollout import Phase, Signal

GATED = dedent("""
    listen: {port: 0}
    providers:
      old: {kind: simulated, models: {m: {}}, simulate: {first_token: {median: 20ms, spread: 0}, tokens_per_second: 5000, output_tokens: {median: 50}}}
      new: {kind: simulated, models: {m: {}}, simulate: {first_token: {median: SLOW, spread: 0}, tokens_per_second: 5000, output_tokens: {median: 50}}}
    models: {coder: old/m}
    tiers:
      fast: {models: [old/m]}
      deep: {models: [old/m]}
    rollouts:
      - id: r
        target: {alias: coder, stable: old/m, candidate: new/m}
        gates: [{shadow: {fraction: 100%, pairs: 15}}]
        guard: [{metric: latency, tolerance: 1.5, target: 3.0}, {metric: ttft_p95, tolerance: 1.5, target: 3.0}, {metric: error_rate}]
""")


async def _until_decided(server: Serving, headers: dict[str, str]) -> Phase:
    """Ask until the gate has decided; every client is served by the stable version meanwhile."""
    rollouts = server.server.rollouts
    await rollouts.people.act("r", Signal.START, "test", "a new version")
    async with asyncio.timeout(30):
        while rollouts.held["r"].state.phase in (Phase.PREFLIGHT, Phase.SHADOW):
            for answer in await asyncio.gather(
                *(server.chat(model="coder", stream=True, headers=headers) for _ in range(8))
            ):
                assert answer.status == 200
                await answer.read()
            await asyncio.sleep(0.05)
    return rollouts.held["r"].state.phase


@pytest.mark.parametrize(
    ("first_token", "orders", "phase"),
    [
        ("20ms", {}, Phase.BAKING),
        ("150ms", {}, Phase.DRAFT),
        ("20ms", {"x-twospeed-simulate": "http_500@new"}, Phase.DRAFT),
    ],
)
async def test_the_gate_decides_by_pairs(tmp_path, first_token, orders, phase):
    """An equal candidate goes on to its first step; one that is slow or fails is refused, with the reason."""
    async with serving(GATED.replace("SLOW", first_token), {"TWOSPEED_STATE_DIR": str(tmp_path)}) as server:
        running = server.server
        tasks = [
            asyncio.create_task(work) for work in (running.rollouts.run(), running.arming.run(running.rollouts.report))
        ]
        try:
            assert await _until_decided(server, orders) is phase
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        held = server.server.rollouts.held["r"]
        assert held.state.refused is (phase is Phase.DRAFT)
        if phase is Phase.DRAFT:
            assert "latency" in held.reason or "ttft" in held.reason or "error_rate" in held.reason
        books = server.server.api.runtime.mirror.books
        assert not books.shares
        served = {record.backend for record in server.records if record.step < 0}
        assert served == {"old/m@default"}
        assert not [record.fault for record in server.records if record.fault]
