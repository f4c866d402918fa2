"""Names, pins, sessions, keys and headers through the real door."""

import hashlib

import pytest
from tests.serving import TWO_FAST, serving

KEYED = (
    TWO_FAST
    + """
keys:
  - {{name: ann, key: env:ANN, models: [auto, fast]}}
  - {{name: bob, key: sha256:{}}}
""".format(hashlib.sha256(b"sk-bob").hexdigest())
)


@pytest.mark.parametrize(
    ("body", "headers", "tier", "reason"),
    [
        ({"model": "fast"}, {}, "fast", "pinned:tier"),
        ({"model": "deep"}, {}, "deep", "pinned:tier"),
        ({"model": "auto"}, {"x-twospeed-tier": "deep"}, "deep", "pinned:header"),
        ({"model": "lone"}, {}, "fast", "pinned:alias"),
        ({"model": "slow/m"}, {}, "deep", "pinned:backend"),
    ],
)
async def test_pins(body: dict[str, str], headers: dict[str, str], tier: str, reason: str):
    """A tier, an alias, a backend or the header decide without classification."""
    async with serving() as server:
        answer = await server.chat(headers=headers, **body)
    assert answer.status == 200
    assert answer.headers["x-twospeed-tier"] == tier
    assert answer.headers["x-twospeed-reason"] == reason


async def test_auto_and_globs_are_classified():
    """`auto`, and what a glob maps to it, is decided by the request."""
    async with serving() as server:
        for model in ("auto", "gpt-9-turbo"):
            answer = await server.chat("rename this variable", model=model)
            assert answer.headers["x-twospeed-tier"] == "fast"
        assert server.records[0].score is not None


async def test_unknown_model_is_404_in_openai_shape():
    """A model nobody knows is refused as OpenAI does."""
    async with serving() as server:
        answer = await server.chat(model="nope")
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "model_not_found"


async def test_bad_tier_header_is_400():
    """A wrong pin is told, not guessed."""
    async with serving() as server:
        assert (await server.chat(headers={"x-twospeed-tier": "warp"})).status == 400


async def test_session_keeps_its_backend_while_it_is_healthy():
    """One failure moves a request, not the session; the next one is back where its prompt cache is."""
    async with serving() as server:
        session = {"x-twospeed-session": "s1"}
        seen = []
        for fault in ("", "http_500@one", ""):
            answer = await server.chat(model="pair", headers={**session, "x-twospeed-simulate": fault})
            seen.append(answer.headers["x-twospeed-backend"])
        assert seen == ["one/m@default", "two/m@default", "one/m@default"]
        assert {record.session for record in server.records} == {server.records[0].session}
        assert server.records[0].session_source == "x-twospeed-session"


async def test_breaker_takes_a_failing_backend_out():
    """After five failures in a row the backend is left alone, and clients no longer wait for it."""
    async with serving() as server:
        for _ in range(5):
            await server.chat(model="pair", headers={"x-twospeed-simulate": "http_500@one"})
        answer = await server.chat(model="pair")
        assert answer.headers["x-twospeed-backend"] == "two/m@default"
        assert answer.headers["x-twospeed-attempts"] == "1"


async def test_keys_open_the_door_and_bound_the_models():
    """No key, a wrong key: 401. A key for the fast tier never reaches the deep one, pinned or classified."""
    async with serving(KEYED, {"ANN": "sk-ann"}) as server:
        assert (await server.chat()).status == 401
        assert (await server.chat(headers={"authorization": "Bearer nope"})).status == 401
        ann = {"authorization": "Bearer sk-ann"}
        assert (await server.chat(headers=ann)).status == 200
        hard = await server.chat(headers=ann, reasoning_effort="high")
        assert hard.headers["x-twospeed-tier"] == "fast"
        assert (await server.chat(headers=ann, model="deep")).status == 404
        assert (await server.chat(headers={**ann, "x-twospeed-tier": "deep"})).status == 404
        assert (await server.chat(headers={"x-api-key": "sk-bob"}, model="deep")).status == 200
        assert [record.caller for record in server.records][-1] == "bob"


async def test_models_and_health():
    """Models are listed, one can be looked up; health needs no key; anything else is an OpenAI-shaped 404."""
    async with serving(KEYED, {"ANN": "sk-ann"}) as server:
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/models", 401)):
            async with server.http.get(server.url + path) as answer:
                assert answer.status == status
        ann = {"authorization": "Bearer sk-ann"}
        async with server.http.get(server.url + "/models", headers=ann) as answer:
            names = [model["id"] for model in (await answer.json())["data"]]
            assert "auto" in names
            assert "deep" not in names
        async with server.http.get(server.url + "/v1/models/fast", headers=ann) as answer:
            assert (await answer.json())["id"] == "fast"
        async with server.http.get(server.url + "/v1/nothing", headers=ann) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_websocket_upgrade_is_426():
    """Codex falls back to POST at once on a 426, and only then."""
    async with serving() as server:
        headers = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "x",
            "sec-websocket-version": "13",
        }
        async with server.http.get(server.url + "/v1/responses", headers=headers) as answer:
            assert answer.status == 426
            assert (answer.headers["upgrade"], answer.headers["connection"]) == ("HTTP/1.1", "upgrade")


async def test_limits_send_the_next_request_elsewhere():
    """A provider without room is passed over; with nowhere to go the client gets 429 and a true wait."""
    text = TWO_FAST.replace("one: {kind: simulated,", "one: {kind: simulated, limits: {'*': {rpm: 1}},")
    async with serving(text) as server:
        seen = [(await server.chat(model="pair")).headers["x-twospeed-backend"] for _ in range(2)]
        assert seen == ["one/m@default", "two/m@default"]
        refused = await server.chat(model="lone")
        assert refused.status == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert (await refused.json())["error"]["type"] == "rate_limit_error"


async def test_usage_chunk_is_kept_from_those_who_did_not_ask():
    """Accounting asks the provider for usage; the extra chunk reaches only clients that asked for it."""
    async with serving() as server:
        silent = await (await server.chat(stream=True)).text()
        asked = await (await server.chat(stream=True, stream_options={"include_usage": True})).text()
        assert '"choices":[]' not in silent
        assert '"choices":[]' in asked
        assert all(record.usage and not record.usage.estimated for record in server.records)
