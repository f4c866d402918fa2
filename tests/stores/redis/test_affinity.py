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


def test_growth_and_pins_are_news(clock: Clock):
    """Others hear when a prompt has doubled and when an operator pins a session, and older replicas are understood."""
    said: list[tuple[str, str]] = []
    affinity = RedisAffinity(MemoryAffinity(clock, TTL, SIZE), lambda what, about: said.append((what, about)))
    for tokens in (1_000, 1_010, 2_100):
        affinity.put("s", BACKEND, tokens, 0.5)
    affinity.pin("s", "deep", 60.0)
    assert said == [
        ("session", f"{BACKEND} s 1000 0.500000"),
        ("session", f"{BACKEND} s 2100 0.500000"),
        ("pin", "deep s 60"),
    ]
    other = RedisAffinity(MemoryAffinity(clock, TTL, SIZE), lambda what, about: None)
    other.heard(said[1][1])
    other.heard_pin(said[2][1], age=50.0)
    assert other.bound("s")[2:] == (2_100, 0.5)
    assert other.pinned("s") == "deep"
    clock.advance(10.5)
    assert other.pinned("s") is None
