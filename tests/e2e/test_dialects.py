"""Every dialect over every provider, through the door."""

import json
from textwrap import dedent

import pytest
from tests.serving import serving

TEXT = dedent("""
    listen: {port: 0}
    providers:
      chat: {kind: simulated, dialects: [chat], models: {m: {}}, simulate: &quick {first_token: {median: 1ms}, tokens_per_second: 100000}}
      resp: {kind: simulated, dialects: [responses], models: {m: {}}, simulate: *quick}
      mess: {kind: simulated, dialects: [messages, count_tokens], models: {m: {}}, simulate: *quick}
    models: {moving: [mess/m, chat/m, resp/m]}
    tiers: {fast: {models: [chat/m, resp/m, mess/m]}, deep: {models: [mess/m]}}
""")
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
USER = [{"role": "user", "content": "Which files?"}]
ASKS = {
    "/v1/chat/completions": {
        "messages": USER,
        "tools": [{"type": "function", "function": {"name": "list_files", "parameters": SCHEMA}}],
    },
    "/v1/responses": {"input": USER, "tools": [{"type": "function", "name": "list_files", "parameters": SCHEMA}]},
    "/v1/messages": {"messages": USER, "max_tokens": 900, "tools": [{"name": "list_files", "input_schema": SCHEMA}]},
}
ENDS = {
    "/v1/chat/completions": "data: [DONE]\n\n",
    "/v1/responses": "response.completed",
    "/v1/messages": "message_stop",
}
BROKEN = {
    "/v1/chat/completions": ('data: {"error":', "[DONE]"),
    "/v1/responses": ("event: response.failed", "response.completed"),
    "/v1/messages": ("event: error", "message_stop"),
}


@pytest.mark.parametrize("provider", ["chat", "resp", "mess"])
@pytest.mark.parametrize("path", ASKS)
async def test_a_tool_is_called_over_any_provider(path: str, provider: str):
    """Plain and streamed, the call arrives in the client's own dialect and the stream has its proper end."""
    async with serving(TEXT) as server:
        ask = {"model": f"{provider}/m", **ASKS[path]}
        async with server.http.post(server.url + path, json=ask) as answer:
            assert (answer.status, "list_files" in await answer.text()) == (200, True)
        async with server.http.post(server.url + path, json={**ask, "stream": True}) as answer:
            text = await answer.text()
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "list_files" in text
            assert ENDS[path] in text
        assert [record.fault for record in server.records] == [None, None]
        assert all(record.usage.output_tokens for record in server.records)


@pytest.mark.parametrize("provider", ["chat", "resp", "mess"])
@pytest.mark.parametrize("path", ASKS)
async def test_a_stream_that_breaks_says_so_in_the_callers_words(path: str, provider: str):
    """Whatever the provider speaks, the client gets its own dialect's failure and no proper end."""
    async with serving(TEXT) as server:
        ask = {"model": f"{provider}/m", "stream": True, **ASKS[path]}
        headers = {"x-twospeed-simulate": "reset:7"}
        async with server.http.post(server.url + path, json=ask, headers=headers) as answer:
            text = await answer.text()
        failure, end = BROKEN[path]
        assert (answer.status, text.count(failure), end in text) == (200, 1, False)
        if path == "/v1/messages":  # the one shape that names the request
            assert json.loads(text.rpartition("data: ")[2])["request_id"] == answer.headers["x-request-id"]
        assert server.records[0].fault == "truncated"


async def test_what_translation_drops_is_told():
    """In the record always, to the caller where it asks."""
    async with serving(TEXT) as server:
        ask = {"model": "chat/m", **ASKS["/v1/messages"], "top_k": 5}
        async with server.http.post(
            f"{server.url}/v1/messages", json=ask, headers={"x-twospeed-explain": "1"}
        ) as answer:
            assert answer.headers["x-twospeed-dropped"] == "top_k"
        assert server.records[0].notes == ["dropped:top_k"]


async def test_items_named_only_go_where_they_are_kept():
    """AI SDK names earlier items unless told to store none: a provider of another API cannot know them."""
    ask = {"input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "And then?"}]}
    async with serving(TEXT) as server:
        async with server.http.post(f"{server.url}/v1/responses", json={"model": "moving", **ask}) as answer:
            assert (answer.status, answer.headers["x-twospeed-backend"]) == (200, "resp/m@default")
        async with server.http.post(f"{server.url}/v1/responses", json={"model": "chat/m", **ask}) as answer:
            assert (answer.status, (await answer.json())["error"]["param"]) == (400, "item_reference")


@pytest.mark.parametrize("field", ["previous_response_id", "conversation"])
async def test_state_needs_a_provider_that_keeps_it(field: str):
    """Over providers without responses it is a clear refusal that names the field."""
    async with serving(TEXT) as server:
        async with server.http.post(
            f"{server.url}/v1/responses", json={"model": "chat/m", "input": "a", field: "x"}
        ) as answer:
            assert (answer.status, (await answer.json())["error"]["param"]) == (400, field)
        async with server.http.post(
            f"{server.url}/v1/responses", json={"model": "fast", "input": "a", field: "x"}
        ) as answer:
            assert answer.headers["x-twospeed-backend"] == "resp/m@default"
        async with server.http.post(
            f"{server.url}/v1/responses/compact", json={"model": "fast", "input": "a"}
        ) as answer:
            assert (answer.status, "compact" in (await answer.json())["error"]["message"]) == (400, True)


async def test_tokens_are_counted_or_estimated():
    """By a provider that can; else here, and the answer says so."""
    async with serving(TEXT) as server:
        for model, estimated in (("mess/m", None), ("chat/m", "1")):
            ask = {"model": model, "messages": USER}
            async with server.http.post(f"{server.url}/v1/messages/count_tokens", json=ask) as answer:
                assert (await answer.json())["input_tokens"] > 0
                assert answer.headers.get("x-twospeed-estimated") == estimated


async def test_a_conversation_with_thinking_moves_and_comes_back():
    """Signed thoughts return to their provider as they were; elsewhere they are left out, and nobody refuses the turn."""
    async with serving(TEXT) as server:
        turns: list[dict] = list(USER)
        tools = ASKS["/v1/messages"]["tools"]
        for number, model in enumerate(["mess/m", "chat/m", "resp/m", "chat/m", "mess/m", "resp/m"]):
            ask = {
                "model": model,
                "max_tokens": 900,
                "messages": turns,
                "tools": tools,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            }
            headers = {"x-twospeed-simulate": "reasoning:3"}
            async with server.http.post(f"{server.url}/v1/messages", json=ask, headers=headers) as answer:
                told = await answer.json()
                assert (answer.status, told.get("error")) == (200, None), (number, model, told)
            assert told["content"][0]["type"] == "thinking"
            turns.append({"role": "assistant", "content": told["content"]})
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": "a.py"}
                for block in told["content"]
                if block["type"] == "tool_use"
            ]
            turns.append({"role": "user", "content": results or "And then?"})
        assert any("dropped:reasoning" in record.notes for record in server.records)


async def test_a_body_may_say_where_to_go():
    """OpenRouter's words: models in order, providers ordered, narrowed and left out."""
    async with serving(TEXT) as server:
        for extra, backend in (
            ({"provider": {"order": ["resp"]}}, "resp/m@default"),
            ({"provider": {"ignore": ["chat", "resp"]}}, "mess/m@default"),
            ({"model": "unknown", "models": ["nobody", "mess/m"]}, "mess/m@default"),
            ({"provider": {"sort": "latency", "order": ["nobody"]}}, "chat/m@default"),
        ):
            answer = await server.chat(**{"model": "fast", **extra})
            assert (answer.status, answer.headers.get("x-twospeed-backend")) == (200, backend)
        answer = await server.chat(model="chat/m", provider={"only": ["resp"]})
        assert (answer.status, json.loads(await answer.text())["error"]["param"]) == (400, "provider")
        answer = await server.chat(model="chat/m", models=["resp/m"], headers={"x-twospeed-simulate": "http_503@chat"})
        assert answer.headers["x-twospeed-backend"] == "resp/m@default"


async def test_who_speaks_anthropics_api_can_name_the_request():
    """Refused here, by the provider or translated: the id is where Anthropic's SDKs look for it."""
    async with serving(TEXT) as server:
        url = f"{server.url}/v1/messages?beta=true"
        async with server.http.post(url, json={"model": "mess/m"}) as answer:
            told = await answer.json()
            assert (answer.status, told["request_id"]) == (400, answer.headers["request-id"])
            assert answer.headers["request-id"] == answer.headers["x-request-id"]
        async with server.http.post(url, json={"model": "chat/m", **ASKS["/v1/messages"]}) as answer:
            assert (answer.status, answer.headers["request-id"]) == (200, answer.headers["x-request-id"])
        async with server.http.post(url, json={"model": "mess/m", **ASKS["/v1/messages"]}) as answer:
            assert answer.status == 200
