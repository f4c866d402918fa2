"""The in-process store keeps the promises of every store."""

import pytest
from tests.stores.contract import (
    BREAKER,
    LEASE,
    SIZE,
    TTL,
    AffinityContract,
    Clock,
    HealthContract,
    LimitsContract,
    ask,
)

from twospeed.policy.limit import Limit, Permit, Refusal
from twospeed.stores.memory import MemoryAffinity, MemoryHealth, MemoryLimits


class TestMemoryLimits(LimitsContract):
    """Limits of one process."""

    @pytest.fixture
    def limits(self, clock: Clock) -> MemoryLimits:
        """A store that has seen nothing."""
        return MemoryLimits(clock, LEASE)

    def test_may_be_asked_without_awaiting(self, limits: MemoryLimits):
        """Callers outside the event loop get the same answers."""
        assert isinstance(limits.take_now(ask(Limit(rpm=1))), Permit)
        assert isinstance(limits.take_now(ask(Limit(rpm=1))), Refusal)

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


class TestMemoryAffinity(AffinityContract):
    """Sessions of one process."""

    @pytest.fixture
    def affinity(self, clock: Clock) -> MemoryAffinity:
        """A store that has seen nothing."""
        return MemoryAffinity(clock, TTL, SIZE)
