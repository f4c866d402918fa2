"""Limits of callers' keys through the real door."""

import asyncio

import pytest
from tests.serving import TWO_FAST, serving

ANN, BOB = {"authorization": "Bearer sk-ann"}, {"authorization": "Bearer sk-bob"}
ENV = {"ANN": "sk-ann", "BOB": "sk-bob"}


def keyed(limits: str, text: str = TWO_FAST) -> str:
    """Two keys, the first of them limited."""
    return text + f"keys: [{{name: ann, key: env:ANN, limits: {limits}}}, {{name: bob, key: env:BOB}}]\n"


async def test_a_key_is_held_to_its_own_limit():
    """The third request of a minute gets 429 with a true wait and headers; another key is not concerned."""
    async with serving(keyed("{rpm: 2}"), ENV) as server:
        left = [(await server.chat(headers=ANN)).headers["x-ratelimit-remaining-requests"] for _ in range(2)]
        refused = await server.chat(headers=ANN)
        body = await refused.json()
        assert left == ["1", "0"]
        assert refused.status == 429
        assert 58 <= int(refused.headers["retry-after"]) <= 61
        assert refused.headers["x-ratelimit-limit-requests"] == "2"
        assert refused.headers["x-should-retry"] == "true"
        assert body["error"]["type"] == "rate_limit_error"
        assert "API key" in body["error"]["message"]
        other = await server.chat(headers=BOB)
        assert other.status == 200
        assert "x-ratelimit-limit-requests" not in other.headers
        record = server.records[2]
        assert (record.attempts, record.notes) == ([], ["limited:@keys/ann:rpm"])


async def test_messages_clients_read_their_own_shape():
    """An Anthropic client gets Anthropic's error and Anthropic's headers."""
    async with serving(keyed("{rpm: 1, itpm: 1M}"), ENV) as server:
        body = {"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        for status in (200, 429):
            answer = await server.http.post(server.url + "/v1/messages", json=body, headers=ANN)
            assert answer.status == status
            assert answer.headers["anthropic-ratelimit-requests-remaining"] == "0"
            assert answer.headers["anthropic-ratelimit-input-tokens-limit"] == "1000000"
        assert (await answer.json())["error"]["type"] == "rate_limit_error"


async def test_tokens_of_a_key_are_those_that_were_used():
    """After an answer the key has used what the provider counted, and not what was reserved."""
    async with serving(keyed("{tpm: 1M}"), ENV) as server:
        await server.chat(headers=ANN, max_tokens=50_000)
        usage = server.records[0].usage
        (level,) = server.server.api.runtime.memory.limits.levels("@keys/ann")
        assert level.used == usage.input_tokens + usage.output_tokens


async def test_a_key_pays_nothing_where_no_provider_had_room():
    """Refused by the provider's limit, nothing was used."""
    full = TWO_FAST.replace("simulated, models", "simulated, limits: {'*': {rpm: 1}}, models")
    async with serving(keyed("{rpm: 5}", full), ENV) as server:
        for status in (200, 429):
            assert (await server.chat(model="lone", headers=ANN)).status == status
        (level,) = server.server.api.runtime.memory.limits.levels("@keys/ann")
        assert level.used == 1


@pytest.mark.parametrize("leave", [False, True])
async def test_slots_come_back(leave: bool):
    """A key may have one request under way; when that has ended, or its client has left, the next one passes."""
    async with serving(keyed("{concurrency: 1}"), ENV) as server:
        slow = {**ANN, "x-twospeed-simulate": "first:150ms"}
        first = asyncio.create_task(server.chat(headers=slow))
        limits = server.server.api.runtime.memory.limits
        while not any(level.used for level in limits.levels("@keys/ann")):
            await asyncio.sleep(0.005)
        assert (await server.chat(headers=ANN)).status == 429
        if leave:
            first.cancel()
        await asyncio.wait([first])
        while any(level.used for level in limits.levels("@keys/ann")):
            await asyncio.sleep(0.005)
        assert (await server.chat(headers=ANN)).status == 200


async def test_every_key_has_its_own_row_in_the_metrics():
    """Pools are named after keys, so there are as many as keys."""
    async with serving(keyed("{rpm: 1}"), ENV) as server:
        await server.chat(headers=ANN)
        await server.chat(headers=ANN)
        levels = server.server.api.runtime.memory.limits.usage()
        assert [level.pool for level in levels] == ["@keys/ann"]
