"""A move is kept when it follows what is kept, and told at once."""

from pathlib import Path

import redis

import twospeed.stores.redis

SOURCE = (Path(twospeed.stores.redis.__file__).parent / "move.lua").read_text()


def move(client, version, token=0, name="r"):
    keys = ("{t}:versions", "{t}:held", "{t}:moves", "{t}:fence")
    return client.eval(SOURCE, 4, *keys, name, version, f"held {version}", f"move {version}", token, 10, "{t}:told")


def test_versions_follow_each_other(server):
    """The same twice, or one left out, is nobody's move."""
    with redis.Redis(port=server.port) as client:
        assert [move(client, version) for version in (1, 1, 2, 4)] == [1, 0, 1, 0]
        assert client.hget("{t}:held", "r") == b"held 2"
        assert [fields[b"move"] for _, fields in client.xrange("{t}:moves")] == [b"move 1", b"move 2"]


def test_an_older_token_is_refused(server):
    """Another leader has taken over; people have no token and need none."""
    with redis.Redis(port=server.port) as client:
        client.set("{t}:fence", 7)
        assert [move(client, 1, 6), move(client, 1, 7), move(client, 2, 0)] == [-1, 1, 1]


def test_who_listens_is_told(server):
    """In the same step, by its id."""
    with redis.Redis(port=server.port) as client, client.pubsub() as heard:
        heard.subscribe("{t}:told")
        assert heard.get_message(timeout=10)["type"] == "subscribe"
        move(client, 1)
        assert heard.get_message(timeout=10)["data"] == b"r"
