"""A beat shows who is alive, and what Redis remembers of whom."""

from pathlib import Path
from typing import Any

import redis
from tests.stores.redis.server import Server

import twospeed.stores.redis

SOURCE = (Path(twospeed.stores.redis.__file__).parent / "beat.lua").read_text()
SECOND = 1_000_000
DAY = 86_400 * SECOND


def beat(client: Any, name: str, at: int | str) -> Any:
    return client.eval(SOURCE, 2, "{t}:replicas", "{t}:news", at, name, 5 * SECOND)


def test_replicas_are_counted_until_they_fall_silent(server: Server):
    """A replica counts until it has been silent for 5 s."""
    with redis.Redis(port=server.port) as client:
        assert [beat(client, name, 100 * SECOND)[2] for name in ("a", "b", "a")] == [1, 2, 2]
        assert beat(client, "a", 105 * SECOND)[2] == 2
        assert beat(client, "a", 105 * SECOND + 1)[2] == 1


def test_redis_says_when_it_heard_of_a_replica_last(server: Server):
    """A replica learns what Redis remembers of it, to the microsecond, for a day."""
    with redis.Redis(port=server.port) as client:
        now = 1_800_000_000_123_457
        assert beat(client, "a", now)[:2] == [b"", now]
        assert beat(client, "a", now + 9 * SECOND)[0] == str(now).encode()
        beat(client, "b", now + 10 * SECOND + DAY)
        assert beat(client, "a", now + 11 * SECOND + DAY)[0] == b""


def test_redis_keeps_its_own_time_and_forgets_in_the_end(server: Server):
    """Without an instant the clock of Redis counts, and every key has an end."""
    with redis.Redis(port=server.port) as client:
        client.xadd("{t}:news", {"a": "session x"})
        answered = beat(client, "a", "")[1]
        seconds, micros = client.time()
        assert 0 <= seconds * SECOND + micros - answered < 60 * SECOND
        assert all(client.pttl(key) > 0 for key in client.scan_iter())
