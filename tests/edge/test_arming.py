"""How a serving process takes part in rollouts; the whole of it is in e2e/test_rollouts.py."""

import asyncio

import msgspec
from tests.rollouts import text
from tests.serving import serving

from twospeed.edge.arming import Arming
from twospeed.policy.held import Sighting, moved, opened
from twospeed.policy.pairing import Pair, Side
from twospeed.policy.rollout import Signal

GATED = text(more="    gates: [{shadow: {fraction: 20%, pairs: 5}}]")


def stood(loaded, *signals):
    held = opened(loaded.config.rollouts[0], 0.0).held
    for signal in signals:
        held = moved(held, signal, "ann", "", 1.0).held
    return {"r": held}


async def test_what_has_no_say_costs_nothing(tmp_path):
    """Without a rollout under way the proxy has no arms to ask."""
    async with serving(text(), {"TWOSPEED_STATE_DIR": str(tmp_path)}) as server:
        runtime, arming = server.server.api.runtime, Arming()
        arming.follow(stood(runtime.loaded), runtime)
        assert runtime.proxy.arms is None
        arming.follow(stood(runtime.loaded, Signal.START, Signal.READY), runtime)
        assert runtime.proxy.arms
        readings = {(reading.instrument.name, reading.labels): reading.value for reading in arming.readings()}
        assert readings["twospeed.rollout.share", ("r",)] == 0.5


async def test_a_shadow_gate_asks_for_copies(tmp_path):
    """While it is in the shadow, and not before or after; pairs go the way of what was seen."""
    async with serving(GATED, {"TWOSPEED_STATE_DIR": str(tmp_path)}) as server:
        runtime, arming = server.server.api.runtime, Arming()
        books = runtime.mirror.books
        arming.follow(stood(runtime.loaded, Signal.START, Signal.READY), runtime)
        assert books.shares == {"r": 0.2}
        books.pairs(Pair("r", 0.0, Side(), Side()))
        sighting = msgspec.msgpack.decode(arming.sightings.take()[0], type=Sighting)
        assert (sighting.attempt, sighting.step, bool(sighting.pair)) == (1, -1, True)
        arming.follow(stood(runtime.loaded, Signal.START, Signal.READY, Signal.CONFIRMED), runtime)
        assert books.shares == {}


async def test_what_was_seen_is_told_again_and_again():
    """In the background, until the process ends."""
    arming, told = Arming(), []
    arming._armed = True
    arming.sightings.paired("r", 1, 0, b"pair")
    task = asyncio.create_task(arming.run(told.append))
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(told[0]) == 1
