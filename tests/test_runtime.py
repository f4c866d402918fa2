"""Configuration becomes wired parts."""

from itertools import islice

import pytest

from twospeed.config import read
from twospeed.errors import Fault
from twospeed.runtime import Runtime, ids, remember
from twospeed.upstream.http import HttpTransport
from twospeed.upstream.simulated import SimulatedTransport

TEXT = b"""
providers:
  real:
    kind: openai
    base_url: https://example.com/v1
    key: env:KEY
    headers: {X-Team: blue}
    forward_headers: [X-Trace]
    models: {m: {family: pool}, n: {}}
    limits: {pool: {rpm: 5}, "*": {rpm: 7}}
  sim: {kind: simulated, models: {m: {}}}
tiers: {fast: {models: [real/m]}, deep: {models: [real/n, sim/m]}}
"""


async def test_each_backend_knows_its_way():
    """Key, headers and limits of a provider reach every attempt at its backends; the client's key never does."""
    loaded = read(TEXT, "c.yaml", {"KEY": "sk-real"})
    runtime = Runtime(loaded, remember(loaded), [])
    links = runtime.links
    assert dict(links["real/m@default"].headers)[b"authorization"] == b"Bearer sk-real"
    assert dict(links["real/m@default"].headers)[b"x-team"] == b"blue"
    assert b"x-trace" in links["real/m@default"].forward
    assert (links["real/m@default"].pool, links["real/m@default"].limit.rpm) == ("real/pool", 5)
    assert (links["real/n@default"].pool, links["real/n@default"].limit.rpm) == ("real/n", 7)
    assert isinstance(links["real/m@default"].transport, HttpTransport)
    assert isinstance(links["sim/m@default"].transport, SimulatedTransport)
    assert runtime.callers.open
    await runtime.close()


def test_request_ids_are_unique():
    """Nobody is asked for them."""
    made = [*islice(ids(), 1_000), *islice(ids(), 1_000)]
    assert len(set(made)) == 2_000
    assert {len(one) for one in made} == {28}


async def test_an_unchanged_provider_keeps_its_connections():
    """A reload that changes one provider leaves the connections of the others alone, and closes what it replaced."""
    loaded = read(TEXT, "c.yaml", {"KEY": "sk-real"})
    before = Runtime(loaded, remember(loaded), [])
    changed = read(TEXT.replace(b"sim: {", b"sim: {region: eu, "), "c.yaml", {"KEY": "sk-real"})
    after = Runtime(changed, before.memory, [], before)
    assert after.transports["real"] is before.transports["real"]
    assert after.transports["sim"] is not before.transports["sim"]
    await before.close(after)
    with pytest.raises(Fault):
        await before.transports["sim"].connect(0.0)
    await after.transports["sim"].connect(0.0)
    assert not after.transports["real"]._pool.closed
    await after.close()


def test_what_is_remembered_is_as_configured():
    """Redis where it is named, this process alone where it is not."""
    loaded = read(TEXT, "c.yaml", {"KEY": "k"})
    assert remember(loaded).name == "memory"
    shared = read(b"stores: {redis: {url: 'redis://127.0.0.1:1'}}\n" + TEXT, "c.yaml", {"KEY": "k"})
    assert remember(shared).name == "redis"


async def test_each_kind_sends_its_key_its_own_way():
    """Anthropic's header and version, Azure's header and query; a translated request takes the quirks along."""
    text = b"""
providers:
  an: {kind: anthropic, key: env:KEY, models: {m: {}}, quirks: {output_tokens: 9}}
  az: {use: azure, base_url: "https://example.com/openai/v1", key: env:KEY, models: {m: {dialects: [embeddings]}, n: {}}}
tiers: {fast: {models: [an/m]}, deep: {models: [az/n, az/m]}}
"""
    loaded = read(text, "c.yaml", {"KEY": "sk-real"})
    runtime = Runtime(loaded, remember(loaded), [])
    an, az = runtime.links["an/m@default"], runtime.links["az/n@default"]
    assert dict(an.headers)[b"x-api-key"] == b"sk-real"
    assert b"authorization" not in dict(an.headers)
    assert an.defaults == ((b"anthropic-version", b"2023-06-01"),)
    assert (an.dialects, an.quirks.output_tokens) == ({"anthropic_messages", "anthropic_count_tokens"}, 9)
    assert (dict(az.headers)[b"api-key"], az.query) == (b"sk-real", "?api-version=preview")
    assert runtime.links["az/m@default"].dialects == {"openai_embeddings"}
    await runtime.close()
