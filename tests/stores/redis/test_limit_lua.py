"""The Lua step says what the Python maths says, for any course of events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.redis.server import Server

import twospeed.stores.redis
from twospeed.policy.limit import Ask, Leases, Limit, Permit
from twospeed.policy.window import CELLS, Meter

MICRO = 1_000_000
LEASE = 100.0
SOURCE = (Path(twospeed.stores.redis.__file__).parent / "limit.lua").read_text()
DIMENSIONS = ("rpm", "tpm", "itpm", "otpm")

INSTANT = st.integers(0, 40 * MICRO)
TOKENS = st.integers(0, 60)
MOST = st.none() | st.integers(1, 120)
LIMITS = st.builds(Limit, rpm=MOST, tpm=MOST, itpm=MOST, otpm=MOST, concurrency=st.none() | st.integers(1, 4))
STEPS = st.one_of(
    st.tuples(st.just("take"), LIMITS, TOKENS, TOKENS),
    st.tuples(st.just("settle"), TOKENS, TOKENS),
    st.tuples(st.just("refund")),
    st.tuples(st.just("touch")),
    st.tuples(st.just("cool"), st.integers(0, 20)),
    st.tuples(st.just("learn"), st.sampled_from(DIMENSIONS), st.integers(0, 120), st.integers(0, 70)),
    st.tuples(st.just("merge"), st.integers(0, 130), TOKENS, TOKENS),
)


class Twins:
    """The same pool twice: in Python and in Redis. Every step is taken by both and must come out the same."""

    def __init__(self, client: Any) -> None:
        self.script = client.register_script(SOURCE)
        self.client = client
        self.micros = 1_000_000 * MICRO
        self.meter = Meter([0] * CELLS)
        self.leases = Leases(LEASE)
        self.permits: list[Permit] = []
        self.taken = 0

    @property
    def now(self) -> float:
        return self.micros / MICRO

    def lua(self, step: str, *words: Any, more: Sequence[int] = ()) -> Any:
        line = " ".join(map(str, (self.micros, *words)))
        return self.script(keys=["t:{p}/m", "t:{p}/m:slots"], args=[step, line, *more])

    def take(self, limit: Limit, read: int, written: int) -> None:
        ask, most = Ask("p/m", limit, read, written), limit.concurrency
        busy = self.leases.busy(self.now, most) if most else 0
        refusal = self.meter.take(ask, busy, self.now)
        self.taken += 1
        parts = [value or 0 for _, value in limit]
        answer = self.lua("take", self.taken, read, written, "-", more=(*parts, int(LEASE * MICRO)))
        if refusal is not None:
            assert answer[:2] == [0, refusal.dimension.encode()]
            assert answer[2] == pytest.approx(refusal.retry_after * MICRO, abs=2)
            return
        permit = Permit(str(self.taken), ask, self.now)
        if most:
            self.leases.begin(permit.id, self.now)
        self.permits.append(permit)
        assert answer[0] == 1
        assert answer[1] == int(self.now * 2)

    def settle(self, read: int, written: int) -> None:
        if self.permits:
            permit = self.permits.pop(0)
            self.meter.settle(permit, read, written, self.now)
            ask = permit.ask
            self.correct(permit, 0, read - ask.input_tokens, written - ask.output_tokens)

    def refund(self) -> None:
        if self.permits:
            permit = self.permits.pop()
            self.meter.refund(permit, self.now)
            self.correct(permit, -1, -permit.ask.input_tokens, -permit.ask.output_tokens)

    def correct(self, permit: Permit, *deltas: int) -> None:
        slot = permit.id if permit.ask.limit.concurrency else "-"
        self.leases.end(permit.id)
        self.lua("correct", slot, int(permit.at * 2), *deltas)

    def touch(self) -> None:
        if self.permits:
            self.leases.touch(self.permits[0].id, self.now)
            self.lua("touch", self.permits[0].id, int(LEASE * MICRO))

    def cool(self, seconds: int) -> None:
        self.meter.cool(seconds, self.now)
        self.lua("cool", seconds * MICRO)

    def learn(self, dimension: str, remaining: int, reset: int) -> None:
        self.meter.learn(Limit(**{dimension: 100}), dimension, remaining, reset, self.now)
        self.lua("learn", dimension, 100, remaining, min(reset, 60) * MICRO)

    def merge(self, age: int, read: int, written: int) -> None:
        self.meter.charge(age, 1, read, written, self.now)
        self.lua("merge", 0, 1, more=(age, 1, read, written))

    def compare(self) -> None:
        """Take with every limit at one, so that Redis shows its sums."""
        answer = self.lua("take", "x", 0, 0, "-", more=(1, 0, 0, 0, 0, int(LEASE * MICRO)))
        if answer[0]:
            self.lua("correct", "-", answer[1], -1, 0, 0)
            answer[2] -= 1
        sums = answer[3:6] if not answer[0] else answer[2:5]
        assert sums == [self.meter.used(name, self.now) for name in ("rpm", "itpm", "otpm")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(INSTANT, STEPS), max_size=25))
def test_lua_equals_python(shared_server: Server, course: list[tuple[int, tuple[Any, ...]]]):
    """Whatever happens to a pool, Redis and the in-process store admit and refuse the same."""
    with redis.Redis(port=shared_server.port) as client:
        client.flushall()
        twins = Twins(client)
        for wait, (step, *args) in course:
            twins.micros += wait
            getattr(twins, step)(*args)
        twins.compare()


def test_redis_keeps_its_own_time(server: Server):
    """Without an instant the step goes by the clock of Redis, and the pool is forgotten in the end."""
    with redis.Redis(port=server.port) as client:
        script = client.register_script(SOURCE)
        args = ["take", "- id 5 5 -", 10, 0, 0, 0, 2, LEASE * MICRO]
        admitted, bucket, *sums = script(keys=["{p}/m", "{p}/m:slots"], args=args)
        seconds, _ = client.time()
        assert admitted == 1
        assert abs(bucket - seconds * 2) <= 3
        assert sums == [1, 5, 5, 1]
        assert 0 < client.pttl("{p}/m") <= 400_000
        assert 0 < client.pttl("{p}/m:slots") <= 400_000 + LEASE * 1000


def test_what_nobody_waits_for_is_left(server: Server):
    """A step that Redis comes to too late changes nothing."""
    with redis.Redis(port=server.port) as client:
        script = client.register_script(SOURCE)
        limits = [10, 0, 0, 0, 2, LEASE * MICRO]
        late, just = (["take", f"2000000 id 5 5 {latest}", *limits] for latest in (1_999_999, 2_000_000))
        assert script(keys=["{p}/m", "{p}/m:slots"], args=late) == [-1]
        assert client.keys() == []
        assert script(keys=["{p}/m", "{p}/m:slots"], args=just)[0] == 1
