"""The lease: one host has it, and every change of leader has a token of its own."""

from pathlib import Path

import redis

import twospeed.stores.redis

SOURCE = (Path(twospeed.stores.redis.__file__).parent / "lead.lua").read_text()


def lead(client, name, life=60_000):
    return client.eval(SOURCE, 2, "{t}:leader", "{t}:fence", name, life)


def test_the_lease_is_renewed_by_who_has_it(server):
    """The same token, a new end; another host gets none."""
    with redis.Redis(port=server.port) as client:
        assert [lead(client, name) for name in ("a", "a", "b")] == [1, 1, 0]
        assert 0 < client.pttl("{t}:leader") <= 60_000


def test_a_lease_that_ended_is_taken_with_a_later_token(server):
    """Also by the host that had it."""
    with redis.Redis(port=server.port) as client:
        lead(client, "a")
        client.delete("{t}:leader")
        assert lead(client, "b") == 2
        client.delete("{t}:leader")
        assert lead(client, "b") == 3
