"""What every store promises. Each store's tests inherit these classes and bring the fixtures `limits`, `health`, `affinity`.

The stores under test keep time by the fixture `clock`, so that a minute passes at once.
"""

import pytest

from twospeed.errors import Kind
from twospeed.policy.affinity import Affinity
from twospeed.policy.breaker import Breaker, Health, Status
from twospeed.policy.limit import Ask, Limit, Limits, Permit, Refusal, leaving

POOL = "acme/spark"
BACKEND = "acme/spark@eu"
LEASE = 300.0
TTL = 60.0
SIZE = 8
BREAKER = Breaker(jitter=0.0)


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 5_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def ask(limit: Limit, read: int = 0, written: int = 0, pool: str = POOL) -> Ask:
    return Ask(pool, limit, read, written)


async def admitted(limits: Limits, wanted: Ask) -> Permit:
    """Take, and insist."""
    permit = await limits.take(wanted)
    assert isinstance(permit, Permit), permit
    return permit


async def refused(limits: Limits, wanted: Ask) -> Refusal:
    """Take, and insist on being refused."""
    refusal = await limits.take(wanted)
    assert isinstance(refusal, Refusal), refusal
    return refusal


class LimitsContract:
    """Promises of `Limits`."""

    async def test_admits_to_the_limit_and_no_further(self, limits: Limits, clock: Clock):
        """The sixth request of a minute is refused under rpm 5 and admitted when the minute has passed."""
        limit = Limit(rpm=5)
        for _ in range(5):
            await admitted(limits, ask(limit))
        refusal = await refused(limits, ask(limit))
        assert refusal.dimension == "rpm"
        assert 59.0 < refusal.retry_after < 61.0
        clock.advance(refusal.retry_after)
        await admitted(limits, ask(limit))

    async def test_permits_are_unique(self, limits: Limits):
        """No two admissions are the same one."""
        limit = Limit(rpm=50)
        assert len({(await admitted(limits, ask(limit))).id for _ in range(20)}) == 20

    async def test_pools_are_apart(self, limits: Limits):
        """One exhausted pool leaves the others alone."""
        limit = Limit(rpm=1)
        await admitted(limits, ask(limit))
        await refused(limits, ask(limit))
        await admitted(limits, ask(limit, pool="acme/other"))

    async def test_all_or_none(self, limits: Limits):
        """A request refused for its tokens uses up nothing."""
        limit = Limit(rpm=2, tpm=100)
        await admitted(limits, ask(limit, 90, 0))
        assert (await refused(limits, ask(limit, 20, 0))).dimension == "tpm"
        await admitted(limits, ask(limit, 10, 0))

    async def test_settling_frees_what_was_not_used(self, limits: Limits):
        """The part of the estimate that was not used is free at once."""
        limit = Limit(tpm=1000)
        permit = await admitted(limits, ask(limit, 100, 900))
        await refused(limits, ask(limit, 100, 0))
        limits.settle(permit, 100, 50)
        await admitted(limits, ask(limit, 100, 750))
        await refused(limits, ask(limit, 1, 0))

    async def test_using_more_than_estimated_is_charged(self, limits: Limits):
        """Tokens beyond the estimate hold the next request back."""
        limit = Limit(tpm=1000)
        limits.settle(await admitted(limits, ask(limit, 10, 10)), 10, 985)
        await refused(limits, ask(limit, 10, 0))
        await admitted(limits, ask(limit, 5, 0))

    async def test_refunding_gives_everything_back(self, limits: Limits):
        """A request the provider never took counts for nothing."""
        limit = Limit(rpm=1, tpm=1000, concurrency=1)
        limits.refund(await admitted(limits, ask(limit, 500, 500)))
        await admitted(limits, ask(limit, 500, 500))

    async def test_settled_once(self, limits: Limits):
        """A second settlement, or a refund after it, changes nothing."""
        limit = Limit(tpm=1000, concurrency=2)
        first = await admitted(limits, ask(limit, 100, 400))
        await admitted(limits, ask(limit, 100, 400))
        limits.settle(first, 100, 300)
        limits.settle(first, 0, 0)
        limits.refund(first)
        assert (await refused(limits, ask(limit, 101, 0))).dimension == "tpm"
        await admitted(limits, ask(limit, 100, 0))
        assert (await refused(limits, ask(limit, 0, 0))).dimension == "concurrency"

    async def test_slots_are_what_is_under_way(self, limits: Limits):
        """Two at once under concurrency 2; the third when one has ended."""
        limit = Limit(concurrency=2)
        first = await admitted(limits, ask(limit))
        await admitted(limits, ask(limit))
        assert await refused(limits, ask(limit)) == Refusal("concurrency", 1.0)
        limits.settle(first, 0, 0)
        await admitted(limits, ask(limit))
        await refused(limits, ask(limit))

    async def test_slots_of_the_dead_come_back(self, limits: Limits, clock: Clock):
        """A slot nobody gives back is free again after the lease, unless its stream shows life."""
        limit = Limit(concurrency=2)
        await admitted(limits, ask(limit))
        alive = await admitted(limits, ask(limit))
        clock.advance(LEASE - 1)
        limits.touch(alive)
        clock.advance(2)
        await admitted(limits, ask(limit))
        await refused(limits, ask(limit))
        limits.settle(alive, 0, 0)
        await admitted(limits, ask(limit))

    async def test_ending_a_lapsed_slot_frees_no_other(self, limits: Limits, clock: Clock):
        """An owner taken for dead that settles after all does not free somebody else's slot."""
        limit = Limit(concurrency=1)
        lost = await admitted(limits, ask(limit))
        clock.advance(LEASE + 1)
        await admitted(limits, ask(limit))
        limits.settle(lost, 0, 0)
        await refused(limits, ask(limit))

    async def test_cooldown_silences_for_exactly_that_long(self, limits: Limits, clock: Clock):
        """After a 429 with Retry-After: 7 the pool is silent for 7 s."""
        limits.cool(POOL, 7.0)
        refusal = await refused(limits, ask(Limit()))
        assert (refusal.dimension, refusal.retry_after) == ("cooldown", pytest.approx(7.0, abs=1e-3))
        await admitted(limits, ask(Limit(), pool="acme/other"))
        clock.advance(6.99)
        await refused(limits, ask(Limit()))
        clock.advance(0.02)
        await admitted(limits, ask(Limit()))

    async def test_learning_goes_down_never_up(self, limits: Limits, clock: Clock):
        """The provider's own count is believed when it is worse than ours."""
        limit = Limit(rpm=10)
        await admitted(limits, ask(limit))
        limits.learn(POOL, "rpm", 100, 60.0)
        limits.learn(POOL, "rpm", 1, 20.0)
        limits.learn(POOL, "rpm", 9, 20.0)
        await admitted(limits, ask(limit))
        assert (await refused(limits, ask(limit))).retry_after == pytest.approx(20.0, abs=0.6)
        clock.advance(20.5)
        await admitted(limits, ask(limit))

    async def test_limits_may_change_while_counting(self, limits: Limits):
        """A reload that lowers or raises a limit holds for what was already admitted."""
        for _ in range(5):
            await admitted(limits, ask(Limit(rpm=10)))
        await refused(limits, ask(Limit(rpm=5)))
        await admitted(limits, ask(Limit(rpm=6)))

    async def test_who_leaves_a_part_is_refused_earlier(self, limits: Limits):
        """Deep requests stop where the fast tier's share begins; fast ones go on, and both count in one pool."""
        limit = Limit(rpm=5, concurrency=5)
        leaves = Ask(POOL, limit, 1, 1, leaving(limit, 0.4))
        for _ in range(3):
            await admitted(limits, leaves)
        assert isinstance(await limits.take(leaves), Refusal)
        for _ in range(2):
            await admitted(limits, ask(limit, 1, 1))
        await refused(limits, ask(limit, 1, 1))

    async def test_usage_shows_how_full(self, limits: Limits):
        """Operators see each limit and how much of it is used."""
        limit = Limit(rpm=10, tpm=1000, concurrency=3)
        await admitted(limits, ask(limit, 30, 70))
        await admitted(limits, ask(limit, 10, 0))
        assert sorted(limits.usage()) == [
            (POOL, "concurrency", 3, 2),
            (POOL, "rpm", 10, 2),
            (POOL, "tpm", 1000, 110),
        ]
        assert sorted(limits.levels(POOL)) == sorted(limits.usage())
        assert limits.levels("acme/nobody") == []


class HealthContract:
    """Promises of `Health`, with BREAKER as settings."""

    def test_unknown_backends_are_usable(self, health: Health):
        """A backend never tried is taken for healthy."""
        assert health.usable(BACKEND)
        assert health.probe(BACKEND)
        assert health.first_token(BACKEND) is None

    def test_five_failures_open_and_one_probe_closes(self, health: Health, clock: Clock):
        """A dead backend is left alone, probed once when due, and used again when the probe succeeds."""
        fail(health)
        assert not health.usable(BACKEND)
        assert not health.probe(BACKEND)
        assert health.usable("acme/other@eu")
        clock.advance(5.0)
        assert not health.usable(BACKEND)
        assert [health.probe(BACKEND), health.probe(BACKEND)] == [True, False]
        health.succeeded(BACKEND, 0.2)
        assert health.usable(BACKEND)

    def test_an_open_breaker_says_when_somebody_may_try(self, health: Health, clock: Clock):
        """Until its probe is due the wait shrinks; a backend that may be tried now has none."""
        assert health.wait(BACKEND) == 0.0
        fail(health)
        before = health.wait(BACKEND)
        clock.advance(2.0)
        assert before > 2.0
        assert abs(before - health.wait(BACKEND) - 2.0) < 0.001
        clock.advance(before)
        assert health.wait(BACKEND) == 0.0

    def test_probe_without_verdict_is_free_again(self, health: Health, clock: Clock):
        """When the client of a probe leaves, the next request may probe."""
        fail(health)
        clock.advance(5.0)
        assert health.probe(BACKEND)
        health.released(BACKEND)
        assert health.probe(BACKEND)
        clock.advance(30.0)
        assert health.probe(BACKEND)

    def test_release_of_a_plain_attempt_changes_nothing(self, health: Health):
        """Only a probe can be released."""
        health.released(BACKEND)
        assert health.usable(BACKEND)

    def test_last_resort_once_a_second(self, health: Health, clock: Clock):
        """The last backend of a chain is still tried once a second, and comes back at once."""
        fail(health)
        clock.advance(1.0)
        assert [health.last_resort(BACKEND), health.last_resort(BACKEND)] == [True, False]
        clock.advance(1.0)
        assert health.last_resort(BACKEND)
        health.succeeded(BACKEND, None)
        assert health.usable(BACKEND)

    def test_ratio_counts_successes(self, health: Health):
        """Half of twenty failing opens, a quarter does not."""
        for _ in range(10):
            health.succeeded("acme/fine@eu", None)
            health.succeeded("acme/fine@eu", None)
            health.succeeded("acme/fine@eu", None)
            health.failed("acme/fine@eu", Kind.RESET)
            health.succeeded(BACKEND, None)
            health.failed(BACKEND, Kind.RESET)
        assert health.usable("acme/fine@eu")
        assert not health.usable(BACKEND)

    def test_states_are_shown(self, health: Health, clock: Clock):
        """Operators see the state of every breaker."""
        health.succeeded("acme/fine@eu", None)
        fail(health)
        assert health.states() == {"acme/fine@eu": Status.CLOSED, BACKEND: Status.OPEN}
        clock.advance(5.0)
        health.probe(BACKEND)
        assert health.states()[BACKEND] is Status.HALF_OPEN

    def test_first_token_follows_recent_attempts(self, health: Health):
        """The time to first token moves towards what was seen last."""
        health.succeeded(BACKEND, 1.0)
        assert health.first_token(BACKEND) == 1.0
        health.succeeded(BACKEND, None)
        for _ in range(20):
            health.succeeded(BACKEND, 2.0)
        assert health.first_token(BACKEND) == pytest.approx(2.0, abs=0.02)


class AffinityContract:
    """Promises of `Affinity`, with TTL and SIZE."""

    def test_remembers_the_latest(self, affinity: Affinity):
        """A session goes where it was served last."""
        assert affinity.get("s") is None
        affinity.put("s", "a/m@eu")
        affinity.put("s", BACKEND)
        assert affinity.get("s") == BACKEND

    def test_forgets_after_its_time(self, affinity: Affinity, clock: Clock):
        """A session quiet for longer than a prompt cache lives is free to go anywhere."""
        affinity.put("s", BACKEND)
        clock.advance(TTL - 1)
        assert affinity.get("s") == BACKEND
        clock.advance(1)
        assert affinity.get("s") is None

    def test_is_bounded(self, affinity: Affinity, clock: Clock):
        """The number of sessions remembered is bounded, the one served longest ago goes first."""
        for n in range(SIZE):
            affinity.put(f"s{n}", BACKEND)
            clock.advance(0.1)
        affinity.put("s0", BACKEND)
        for n in range(3):
            affinity.put(f"new{n}", BACKEND)
        kept = [n for n in range(SIZE) if affinity.get(f"s{n}")]
        assert 0 in kept
        assert len(kept) <= SIZE - 3

    def test_remembers_what_is_cached_and_spent(self, affinity: Affinity, clock: Clock):
        """How much of a session's prompt a backend may have cached is known for as long as the session is."""
        clock.advance(7.0)
        affinity.put("s", BACKEND, 61_000, 0.25)
        bound = affinity.bound("s")
        assert bound is not None
        assert (bound.backend, bound.tokens, bound.spent) == (BACKEND, 61_000, 0.25)
        assert bound.at == pytest.approx(clock.now, abs=1e-3)
        clock.advance(TTL + 1)
        assert affinity.bound("s") is None

    def test_pins_hold_for_their_time(self, affinity: Affinity, clock: Clock):
        """A session an operator has sent somewhere stays there until the time is over or the pin is taken back."""
        assert affinity.pinned("s") is None
        affinity.pin("s", "deep", 10.0)
        affinity.pin("t", BACKEND, 100.0)
        affinity.put("s", "a/m@eu")
        assert (affinity.pinned("s"), affinity.pinned("t"), affinity.pinned("u")) == ("deep", BACKEND, None)
        assert affinity.get("s") == "a/m@eu"
        clock.advance(10.5)
        assert (affinity.pinned("s"), affinity.pinned("t")) == (None, BACKEND)
        affinity.pin("t", BACKEND, 0.0)
        assert affinity.pinned("t") is None


def fail(health: Health) -> None:
    for _ in range(5):
        health.failed(BACKEND, Kind.CONNECT_FAILED)
