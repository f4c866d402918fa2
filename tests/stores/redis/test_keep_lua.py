"""What the leader knows is kept while it leads."""

from pathlib import Path

import redis

import twospeed.stores.redis

SOURCE = (Path(twospeed.stores.redis.__file__).parent / "keep.lua").read_text()


def keep(client, token, memory="", progress=""):
    return client.eval(SOURCE, 3, "{t}:memories", "{t}:progress", "{t}:fence", token, "r", memory, progress)


def test_each_is_kept_by_itself(server):
    """What is left empty stays as it was."""
    with redis.Redis(port=server.port) as client:
        assert [keep(client, 1, "m"), keep(client, 1, "", "p")] == [1, 1]
        assert (client.hget("{t}:memories", "r"), client.hget("{t}:progress", "r")) == (b"m", b"p")


def test_an_older_token_is_refused(server):
    """Nothing of a leader of before overwrites what is known now."""
    with redis.Redis(port=server.port) as client:
        client.set("{t}:fence", 2)
        assert [keep(client, 1, "old"), keep(client, 2, "new")] == [-1, 1]
        assert client.hget("{t}:memories", "r") == b"new"
