"""A beat shows who is alive, and whether Redis remembers."""

from pathlib import Path
from typing import Any

import redis
from tests.stores.redis.server import Server

import twospeed.stores.redis

SOURCE = (Path(twospeed.stores.redis.__file__).parent / "beat.lua").read_text()
SECOND = 1_000_000


def beat(client: Any, name: str, at: int | str, epoch: str = "first") -> Any:
    return client.eval(SOURCE, 3, "{t}:epoch", "{t}:replicas", "{t}:news", at, epoch, name, 5 * SECOND)


def test_replicas_are_counted_until_they_fall_silent(server: Server):
    """A replica counts until it has been silent for 5 s."""
    with redis.Redis(port=server.port) as client:
        assert [beat(client, name, 100 * SECOND)[2] for name in ("a", "b", "a")] == [1, 2, 2]
        assert beat(client, "a", 105 * SECOND)[2] == 2
        assert beat(client, "a", 105 * SECOND + 1)[2] == 1


def test_the_epoch_lasts_as_long_as_the_memory(server: Server):
    """The first to come names the epoch; after Redis has forgotten everything there is a new one."""
    with redis.Redis(port=server.port) as client:
        assert beat(client, "a", 1, "first")[0] == b"first"
        assert beat(client, "b", 1, "second")[0] == b"first"
        client.flushall()
        assert beat(client, "b", 1, "third")[0] == b"third"


def test_redis_keeps_its_own_time_and_forgets_in_the_end(server: Server):
    """Without an instant the clock of Redis counts, and every key has an end."""
    with redis.Redis(port=server.port) as client:
        client.xadd("{t}:news", {"a": "session x"})
        answered = beat(client, "a", "")[1]
        seconds, micros = client.time()
        assert 0 <= seconds * SECOND + micros - answered < 60 * SECOND
        assert all(client.pttl(key) > 0 for key in client.scan_iter())
