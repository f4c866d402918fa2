"""The in-process store keeps the promises of every store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.contract import (
    BACKEND,
    BREAKER,
    LEASE,
    SIZE,
    TTL,
    AffinityContract,
    Clock,
    HealthContract,
    LimitsContract,
)

from twospeed.errors import Kind
from twospeed.policy.breaker import Signal, State, step
from twospeed.stores.memory import MemoryAffinity, MemoryHealth, MemoryLimits


class TestMemoryLimits(LimitsContract):
    """Limits of one process."""

    @pytest.fixture
    def limits(self, clock: Clock) -> MemoryLimits:
        """A store that has seen nothing."""
        return MemoryLimits(clock, LEASE)

    def test_learning_about_an_unknown_pool_is_ignored(self, limits: MemoryLimits):
        """Headers of a pool nobody asked for have nothing to correct."""
        limits.learn("acme/never", "rpm", 0, 60.0)
        assert limits.usage() == []


class TestMemoryHealth(HealthContract):
    """Breakers of one process."""

    @pytest.fixture
    def health(self, clock: Clock) -> MemoryHealth:
        """A store that has seen nothing."""
        return MemoryHealth(BREAKER, clock, lambda: 0.5)


@given(st.lists(st.tuples(st.sampled_from("sssfpr"), st.floats(0, 3)), max_size=60))
def test_successes_counted_apart_change_no_decision(walk: list[tuple[str, float]]):
    """Whatever happens in between, a breaker opens and closes as if each success had been put to the table at once."""
    clock, state = Clock(), State()
    health = MemoryHealth(BREAKER, clock, lambda: 0.5)
    signals = {"s": Signal.SUCCESS, "f": Signal.FAILURE, "p": Signal.PROBE, "r": Signal.RELEASE}
    does = {
        "s": lambda: health.succeeded(BACKEND, None),
        "f": lambda: health.failed(BACKEND, Kind.RESET),
        "p": lambda: health.probe(BACKEND),
        "r": lambda: health.released(BACKEND),
    }
    for what, wait in walk:
        clock.advance(wait)
        does[what]()
        state = step(BREAKER, state, signals[what], clock.now, 0.5)
        assert health.states()[BACKEND] is state.status
        assert health._known[BACKEND].counted() == state


class TestMemoryAffinity(AffinityContract):
    """Sessions of one process."""

    @pytest.fixture
    def affinity(self, clock: Clock) -> MemoryAffinity:
        """A store that has seen nothing."""
        return MemoryAffinity(clock, TTL, SIZE)
