"""A worker as its supervisor sees it: counts, states, configurations in two steps."""

import msgspec
from tests.rollouts import text
from tests.serving import TWO_FAST, Serving, serving

from twospeed.config import read
from twospeed.edge.channel import COMMIT, FOLLOW, METRICS, PREPARE, STATUS, Frame
from twospeed.edge.worker import Worker
from twospeed.policy.held import moved, opened
from twospeed.policy.rollout import Signal
from twospeed.telemetry.instruments import REQUESTS
from twospeed.telemetry.snapshot import Snapshot


def worker(server: Serving) -> Worker:
    """A worker around that server."""
    return Worker(server.server, lambda text: read(text, "c.yaml", {}), lambda: None)


async def test_counts_and_state_are_told():
    """As plain data: the snapshot of its metrics, the status of its desk."""
    async with serving() as server:
        await server.chat(model="lone")
        answer = await worker(server).answer(Frame(1, METRICS))
        assert answer is not None
        snapshot = msgspec.msgpack.decode(answer, type=Snapshot)
        assert [point.value for point in snapshot[REQUESTS.name]] == [1]
        answer = await worker(server).answer(Frame(2, STATUS))
        assert answer is not None
        assert msgspec.msgpack.decode(answer)["state"] == "serving"


async def test_a_configuration_comes_in_two_steps():
    """Checked first; in force only when all others have found it good as well."""
    async with serving() as server:
        one, text = worker(server), TWO_FAST + "breaker: {open: 9s}\n"
        before = server.server.api.runtime
        assert await one.answer(Frame(1, PREPARE, text.encode())) == b""
        assert server.server.api.runtime is before
        await one.answer(Frame(2, COMMIT))
        assert server.server.api.runtime.loaded.config.breaker.open == 9.0


async def test_a_bad_configuration_is_not_kept():
    """What is wrong is told, and a commit that follows changes nothing."""
    async with serving() as server:
        one, before = worker(server), server.server.api.runtime
        assert await one.answer(Frame(1, PREPARE, TWO_FAST.encode())) == b""
        wrong = await one.answer(Frame(2, PREPARE, b"tiers: 3\n"))
        assert wrong
        assert b"c.yaml:1:" in wrong
        await one.answer(Frame(3, COMMIT))
        assert server.server.api.runtime is before


async def test_states_of_rollouts_are_served_by_before_they_are_answered(tmp_path):
    """When a worker says that it has heard, its next request goes by what it heard."""
    async with serving(text(), {"TWOSPEED_STATE_DIR": str(tmp_path)}) as server:
        held = opened(server.server.api.runtime.loaded.config.rollouts[0], 0.0).held
        for signal in (Signal.START, Signal.READY):
            held = moved(held, signal, "ann", "", 1.0).held
        await worker(server).answer(Frame(1, FOLLOW, msgspec.msgpack.encode({"r": held})))
        arms = server.server.api.runtime.proxy.arms
        assert arms
        answer = await server.chat(model="coder", headers={"x-session-id": "s"})
        assert answer.headers["x-twospeed-rollout"] == "r"
