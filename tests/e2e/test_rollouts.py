"""Rollouts over HTTP: who meets the candidate, what a bad one does to clients, and how soon it is gone."""

import asyncio
import math
from dataclasses import replace

import pytest
from tests.rollouts import QUICK, Rolling, rolling, text
from tests.stores.redis.server import Server as Redis

from twospeed.errors import Kind
from twospeed.policy.held import JUDGE, moved
from twospeed.policy.rollout import Phase, Signal

SESSIONS = 120
SLOW_STREAM = "first_token: {median: 1ms}, tokens_per_second: 60, output_tokens: {median: 40, spread: 0}"


def failing(kind: str, share: str = "100%") -> str:
    return f"{QUICK}, faults: [{{kind: {kind}, share: {share}, after_events: 0}}]"


async def met(server: Rolling) -> set[int]:
    """The sessions that meet the candidate now."""
    answers = await asyncio.gather(*(server.ask(number) for number in range(SESSIONS)))
    assert {status for status, _, _ in answers} == {200}
    return {number for number, (_, arm, _) in enumerate(answers) if arm == "candidate"}


def near(count: int, share: float) -> bool:
    return abs(count - SESSIONS * share) <= 3.3 * math.sqrt(SESSIONS * share * (1 - share))


async def test_sessions_are_sticky_and_shares_hold(tmp_path):
    """As the share grows nobody goes back; at each step as many meet the candidate as the step says."""
    async with rolling(text(steps="25%, 50%, 100%"), tmp_path) as server:
        assert await met(server) == set()
        await server.act(Signal.START)
        first = await met(server)
        assert near(len(first), 0.25)
        assert await met(server) == first
        assert await step_on(server) == 0.5
        second = await met(server)
        assert near(len(second), 0.5)
        assert second > first


async def step_on(server: Rolling) -> float:
    """Let the judge's signal come now."""
    held = server.rollouts.held["r"]
    move = moved(held, Signal.ADVANCE, JUDGE, "a test", held.at + 1, held.state.step)
    assert await server.rollouts._shelf.put(move)
    await server.until(lambda: server.rollouts.held["r"].version == move.held.version)
    return move.held.state.share


@pytest.mark.parametrize("kind", ["http_500", "http_404", "http_400", "reset", "empty"])
async def test_no_client_notices_a_candidate_that_fails(tmp_path, kind):
    """Whatever it answers, the stable version answers instead; each such request counts as the candidate's failure."""
    async with rolling(text(failing(kind)), tmp_path) as server:
        await server.act(Signal.START)
        answers = await asyncio.gather(*(server.ask(number, stream=number % 2 == 0) for number in range(40)))
        assert {(status, provider) for status, _, provider in answers} == {(200, "old")}
        counts = server.server.server.arming.sightings.counts
        await server.until(lambda: sum(counts.values()) == 40)
        arms = {(arm, outcome) for _, arm, outcome in counts}
        assert arms == {("candidate", "failed"), ("stable", "ok")}


async def test_a_bad_candidate_is_gone_by_itself(tmp_path):
    """From errors to the stable version for all, no answer lost on the way; the record says who was of which arm."""
    async with rolling(text(failing("http_500", "60%"), bake="1s"), tmp_path) as server:
        await server.act(Signal.START)
        answers = await server.asked_until(lambda: server.phase is Phase.ROLLED_BACK)
        assert {status for status, _, _ in answers} == {200}
        after = [await server.ask(f"after{number}") for number in range(20)]
        assert {(arm, provider) for _, arm, provider in after} == {("", "old")}
        assert {(record.rollout, record.arm) for record in server.server.records} >= {
            ("r", "candidate"),
            ("r", "stable"),
        }


async def test_a_good_candidate_goes_all_the_way(tmp_path):
    """Step by step, by itself, and then it serves everybody."""
    async with rolling(text(steps="50%, 100%", bake="1s"), tmp_path) as server:
        await server.act(Signal.START)
        await server.asked_until(lambda: server.phase is Phase.PROMOTED)
        assert await server.ask("new one") == (200, "", "new")


async def test_what_waits_for_the_candidate_is_asked_elsewhere_at_once(tmp_path):
    """A request without a first word when the rollback comes is answered by the stable version."""
    async with rolling(text(failing("hang"), steps="100%"), tmp_path) as server:
        await server.act(Signal.START)
        asked = [asyncio.create_task(server.ask(number, stream=bool(number))) for number in range(2)]
        proxy = server.server.server.api.runtime.proxy
        offer = next(iter(proxy.arms._by_name.values())).offer
        await server.until(lambda: len(offer.waiting) == 2)
        await server.act(Signal.ABORT)
        assert {(status, provider) for status, _, provider in await asyncio.gather(*asked)} == {(200, "old")}
        tried = [[attempt.kind for attempt in record.attempts] for record in server.server.records]
        assert tried == [[Kind.WITHDRAWN, None]] * 2


async def test_streams_of_the_candidate_run_to_their_end(tmp_path):
    """A rollback cuts nothing off."""
    async with rolling(text(SLOW_STREAM, steps="100%"), tmp_path) as server:
        await server.act(Signal.START)
        answer = await server.server.chat(model="coder", stream=True, headers={"x-session-id": "s"})
        begun = await answer.content.readany()
        await server.act(Signal.ABORT)
        rest = await answer.read()
        assert (begun + rest).endswith(b"data: [DONE]\n\n")
        assert answer.headers["x-twospeed-backend"].startswith("new/")


async def test_a_rollout_outlives_its_process(tmp_path):
    """What was killed at half goes on at half, with the same sessions."""
    async with rolling(text(), tmp_path) as server:
        await server.act(Signal.START)
        before = await met(server)
    async with rolling(text(), tmp_path) as server:
        assert server.phase is Phase.BAKING
        assert await met(server) == before


async def test_a_reload_changes_no_share(tmp_path):
    """The rollout goes on over a new snapshot; without its block everybody has the stable version at once."""
    async with rolling(text(), tmp_path) as server:
        await server.act(Signal.START)
        before = await met(server)
        loaded = server.server.server.api.runtime.loaded
        server.server.server.adopt(loaded)
        assert await met(server) == before
        bare = loaded.config.model_copy(update={"rollouts": []})
        server.server.server.adopt(replace(loaded, config=bare))
        assert await met(server) == set()
        await server.until(lambda: not server.rollouts.held or server.phase is Phase.ROLLED_BACK)


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    server.start()
    yield server
    server.kill()


def shared(redis: Redis) -> str:
    return f"stores: {{redis: {{url: {redis.url!r}}}}}"


async def test_a_rollback_holds_on_every_replica(tmp_path, redis):
    """One decides, both obey: afterwards neither sends a request to the candidate."""
    configuration = text(failing("http_500", "60%"), bake="1s", stores=shared(redis))
    async with rolling(configuration, tmp_path / "a") as one, rolling(configuration, tmp_path / "b") as other:
        await other.act(Signal.START)
        await one.until(lambda: one.phase is Phase.BAKING)
        assert [one.rollouts.leading, other.rollouts.leading].count(True) == 1
        both = await asyncio.gather(
            *(replica.asked_until(lambda: other.phase is Phase.ROLLED_BACK, 10) for replica in (one, other))
        )
        assert {status for answers in both for status, _, _ in answers} == {200}
        await one.until(lambda: one.phase is Phase.ROLLED_BACK)
        after = [await replica.ask(f"after{number}") for replica in (one, other) for number in range(10)]
        assert {(arm, provider) for _, arm, provider in after} == {("", "old")}


async def test_another_replica_leads_when_the_leader_is_killed(tmp_path, redis):
    """It finds the rollout as it was left, decides by what both have seen, and the stable version serves."""
    configuration = text(failing("http_500", "60%"), bake="1s", stores=shared(redis))
    async with rolling(configuration, tmp_path / "a") as one:
        await one.until(lambda: one.rollouts.leading)
        async with rolling(configuration, tmp_path / "b") as other:
            await one.act(Signal.START)
            await other.until(lambda: other.phase is Phase.BAKING)
            kill(one)
            redis.do("PEXPIRE", "twospeed:{rollouts}:leader", 1)  # its lease ends
            await other.asked_until(lambda: other.phase is not Phase.BAKING, 10)
            assert other.rollouts.leading
            assert other.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
            assert await other.ask("after") == (200, "", "old")


def kill(server: Rolling) -> None:
    """Stop looking after rollouts without a word, as a kill would."""
    shelf = server.rollouts._shelf

    async def silent():
        for task in shelf._tasks:
            task.cancel()
        await asyncio.gather(*shelf._tasks, return_exceptions=True)

    shelf.close = silent
    server.tasks[0].cancel()
