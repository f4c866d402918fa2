"""Sessions in Redis keep the promises of every store."""

import pytest
from tests.stores.contract import BACKEND, SIZE, TTL, AffinityContract, Clock

from twospeed.stores.memory import MemoryAffinity
from twospeed.stores.redis.affinity import RedisAffinity


class TestRedisAffinity(AffinityContract):
    """Sessions of one replica."""

    @pytest.fixture
    def affinity(self, clock: Clock) -> RedisAffinity:
        """A store that has seen nothing."""
        return RedisAffinity(MemoryAffinity(clock, TTL, SIZE), lambda what, about: None)


def test_only_moves_are_news(clock: Clock):
    """A session that stays where it is causes no traffic; what is heard is not said again."""
    said: list[tuple[str, str]] = []
    affinity = RedisAffinity(MemoryAffinity(clock, TTL, SIZE), lambda what, about: said.append((what, about)))
    for backend in (BACKEND, BACKEND, "a/m@eu", "a/m@eu"):
        affinity.put("s", backend)
    affinity.heard(f"{BACKEND} s")
    assert said == [("session", f"{BACKEND} s"), ("session", "a/m@eu s")]
    assert affinity.get("s") == BACKEND
