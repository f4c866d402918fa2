"""A tier of which nobody can serve: each of the operator's choices, through the real door."""

import json

import pytest
from tests.serving import TWO_FAST, Serving, serving

DOWN = {"x-twospeed-simulate": "http_500@one,http_500@two"}
OTHER = TWO_FAST.replace("fast: {models", "fast: {when_down: other_tier, models")
EMPTY = TWO_FAST.replace("fast: {models", "fast: {when_down: empty, models")
OPEN_LONG = "breaker: {consecutive: 1, open: 20s, jitter: 0%}\n"


async def complete(server: Serving, path: str = "/v1/completions", **body: object):
    """Ask for a completion while both fast backends fail."""
    whole = {"model": "fast", "prompt": "def f(", **body}
    return await server.http.post(server.url + path, json=whole, headers=DOWN)


async def test_the_other_tier_serves_where_the_operator_wants_it():
    """Both fast backends fail; the deep one answers, and header, record and metric say so."""
    async with serving(OTHER) as server:
        answer = await server.chat(model="fast", headers=DOWN)
        assert answer.status == 200
        assert answer.headers["x-twospeed-backend"] == "slow/m@default"
        assert answer.headers["x-twospeed-tier"] == "deep"
        assert answer.headers["x-twospeed-reason"] == "down:fast,pinned:tier"
        assert answer.headers["x-twospeed-attempts"] == "3"
        (record,) = server.records
        assert record.notes == ["down:fast:other_tier"]
        assert record.fault is None
        assert server.server.api.runtime.seats.lanes["deep"].under_way == 0


async def test_backends_a_request_named_are_never_left():
    """Who asks for one backend or for a list of them is not served by another tier."""
    async with serving(OTHER) as server:
        for model in ("one/m", "pair"):
            assert (await server.chat(model=model, headers=DOWN)).status == 502
        assert server.transport("slow").served == 0
        assert server.records[0].notes == ["down:fast:refuse"]


async def test_a_key_for_one_tier_does_not_get_the_other():
    """Allowed models hold for whoever serves in the end."""
    keyed = OTHER + "keys: [{name: ann, key: env:ANN, models: [fast]}]\n"
    async with serving(keyed, {"ANN": "sk-ann"}) as server:
        headers = {**DOWN, "authorization": "Bearer sk-ann"}
        assert (await server.chat(model="fast", headers=headers)).status == 502
        assert server.transport("slow").served == 0


async def test_a_request_that_was_sent_and_leaves_state_goes_nowhere_else():
    """Its Idempotency-Key means something to the first provider only."""
    async with serving(OTHER) as server:
        answer = await server.chat(model="fast", headers={**DOWN, "idempotency-key": "k"})
        assert answer.status == 502
        assert server.transport("slow").served == 0


@pytest.mark.parametrize(
    ("path", "key", "said"),
    [("/v1/completions", "text", ""), ("/v1/fim/completions", "message", {"role": "assistant", "content": ""})],
)
async def test_a_completion_gets_an_empty_answer(path: str, key: str, said: object):
    """The editor shows nothing and goes on; the record says what was wrong."""
    async with serving(EMPTY) as server:
        answer = await complete(server, path)
        body = await answer.json()
        assert answer.status == 200
        assert answer.headers["x-twospeed-reason"] == "down:fast,pinned:tier"
        assert body["choices"][0][key] == said
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["usage"]["total_tokens"] == 0
        (record,) = server.records
        assert (record.status, record.fault) == (200, "provider_error")
        assert record.notes == ["down:fast:empty"]


@pytest.mark.parametrize(("path", "key"), [("/v1/completions", "text"), ("/v1/fim/completions", "delta")])
async def test_a_streamed_completion_gets_an_empty_stream(path: str, key: str):
    """One event without text and with a finish reason, then [DONE]; usage where it was asked for."""
    async with serving(EMPTY) as server:
        plain = await (await complete(server, path, stream=True)).text()
        counted = await (await complete(server, path, stream=True, stream_options={"include_usage": True})).text()
    first, last = plain.removesuffix("\n\n").split("\n\n")
    choice = json.loads(first.removeprefix("data: "))["choices"][0]
    assert choice[key] in ("", {"role": "assistant", "content": ""})
    assert choice["finish_reason"] == "stop"
    assert last == "data: [DONE]"
    assert '"choices":[],"usage":{' in counted


async def test_chat_is_refused_where_completions_are_empty():
    """An empty chat answer would be a lie."""
    async with serving(EMPTY) as server:
        answer = await server.chat(model="fast", headers=DOWN)
        assert answer.status == 502
        assert server.records[0].notes == ["down:fast:refuse"]


async def test_open_breakers_say_when_the_first_of_them_lets_somebody_try():
    """Once nobody may even be tried the answer is a 503 at once, with the time that is left."""
    async with serving(TWO_FAST + OPEN_LONG) as server:
        await server.chat(model="fast", headers=DOWN)
        answer = await server.chat(model="fast")
        assert answer.status == 503
        assert 18 <= int(answer.headers["retry-after"]) <= 20
        assert (await answer.json())["error"]["code"] == "breaker_open"
        assert server.records[1].attempts == []


async def test_a_silenced_tier_says_when_its_first_provider_speaks_again():
    """Of several cooldowns the one that ends first is told."""
    async with serving() as server:
        await server.chat(model="fast", headers={"x-twospeed-simulate": "http_429:40@one,http_429:9@two"})
        answer = await server.chat(model="fast")
        assert answer.status == 429
        assert 7 <= int(answer.headers["retry-after"]) <= 9
