"""Broken streams that go on at the next backend, through the real door."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests.serving import TWO_FAST, serving

RESUMING = TWO_FAST.replace("fast: {models", "fast: {resume: true, models").replace(
    "two: {kind: simulated,", "two: {kind: simulated, quirks: {prefill: plain},"
)
BREAKS = ["reset:3@one", "truncate:3@one", "stall:3@one", "malformed:3@one", "error_event:3@one", "bad_chunk:3@one"]


def events(text: str) -> list[dict]:
    """The JSON events of a stream."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def said(text: str) -> str:
    """All text of a chat stream."""
    return "".join(
        choice["delta"].get("content") or "" for event in events(text) for choice in event.get("choices", ())
    )


@pytest.mark.parametrize("fault", BREAKS)
async def test_a_broken_chat_goes_on(fault: str):
    """The client sees one answer of one id, finished properly; the record shows who broke and who went on."""
    async with serving(RESUMING) as server:
        headers = {"x-twospeed-simulate": fault}
        options = {"include_usage": True}
        answer = await server.chat("go", model="pair", stream=True, headers=headers, stream_options=options)
        text = await answer.text()
    whole = events(text)
    assert text.endswith("data: [DONE]\n\n")
    assert not any("error" in event for event in whole)
    assert len({(event["id"], event["model"], event["created"]) for event in whole}) == 1
    finishes = [choice["finish_reason"] for event in whole for choice in event["choices"] if choice["finish_reason"]]
    assert finishes == ["stop"]
    assert sum("role" in choice["delta"] for event in whole for choice in event["choices"]) <= 1
    assert said(text)
    (record,) = server.records
    assert [bool(attempt.kind) for attempt in record.attempts] == [True, False]
    assert record.attempts[1].resumed
    assert record.fault is None
    assert record.notes == ["resumed:two/m@default", "resume:fast:ok"]
    usage = next(event["usage"] for event in whole if event.get("usage"))
    assert usage["prompt_tokens"] == record.usage.input_tokens
    assert usage["completion_tokens"] == record.usage.output_tokens
    assert answer.headers["x-twospeed-backend"] == "one/m@default"


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/fim/completions"])
async def test_a_broken_completion_goes_on_anywhere(path: str):
    """The text is put behind the prompt, which every model goes on from; no quirk is needed."""
    plain = TWO_FAST.replace("fast: {models", "fast: {resume: true, models")
    async with serving(plain) as server:
        body = {"model": "pair", "prompt": "def area(", "suffix": "\n", "stream": True}
        headers = {"x-twospeed-simulate": "reset:2@one"}
        answer = await server.http.post(server.url + path, json=body, headers=headers)
        text = await answer.text()
        assert text.endswith("data: [DONE]\n\n")
        assert len({event["id"] for event in events(text)}) == 1
        assert server.records[0].notes == ["resumed:two/m@default", "resume:fast:ok"]


async def test_a_broken_message_goes_on_in_its_block():
    """An Anthropic client sees one message with one text block, and the usage of both."""
    async with serving(RESUMING) as server:
        body = {"model": "pair", "max_tokens": 500, "stream": True, "messages": [{"role": "user", "content": "go"}]}
        headers = {"x-twospeed-simulate": "reset:4@one"}
        answer = await server.http.post(server.url + "/v1/messages", json=body, headers=headers)
        whole = events(await answer.text())
    kinds = [event["type"] for event in whole if event["type"] not in ("content_block_delta", "ping")]
    ends = ["content_block_stop", "message_delta", "message_stop"]
    assert kinds == ["message_start", "content_block_start", *ends]
    assert {event["index"] for event in whole if "index" in event} == {0}
    (record,) = server.records
    assert whole[-2]["usage"]["output_tokens"] == record.usage.output_tokens
    assert record.fault is None


async def broken(server, **body: object) -> list[dict]:
    """A stream that breaks at the first backend, as the client sees it."""
    headers = {"x-twospeed-simulate": "reset:3@one", **body.pop("headers", {})}
    return events(await (await server.chat("go", model="pair", stream=True, headers=headers, **body)).text())


@pytest.mark.parametrize(
    "body",
    [
        {"response_format": {"type": "json_object"}},
        {"store": True},
        {"n": 2, "headers": {"x-twospeed-simulate": "reasoning:5,reset:3@one"}},
    ],
)
async def test_what_is_not_plain_text_ends_honestly(body: dict[str, object]):
    """JSON answers, requests that leave state, and answers that reasoned first: one error event."""
    async with serving(RESUMING) as server:
        whole = await broken(server, **body)
        assert "error" in whole[-1]
        assert server.transport("two").served == 0


async def test_off_by_default():
    """Without the setting a broken stream ends as it always did."""
    async with serving() as server:
        assert "error" in (await broken(server))[-1]
        assert server.transport("two").served == 0


async def test_a_backend_that_cannot_go_on_is_not_asked():
    """Chat goes on only where the provider is known to take the beginning of an answer."""
    async with serving(RESUMING.replace("quirks: {prefill: plain}, ", "")) as server:
        assert "error" in (await broken(server))[-1]
        assert server.transport("two").served == 0


async def test_when_nobody_goes_on_the_break_is_told():
    """The error event is that of the break, once, and the record says what was tried."""
    async with serving(RESUMING) as server:
        headers = {"x-twospeed-simulate": "reset:3@one,http_500@two"}
        answer = await server.chat("go", model="pair", stream=True, headers=headers)
        whole = events(await answer.text())
        assert ["error" in event for event in whole].count(True) == 1
        assert whole[-1]["error"]["code"] == "truncated"
        (record,) = server.records
        assert [attempt.kind for attempt in record.attempts] == ["truncated", "provider_error"]
        assert record.fault == "truncated"
        assert record.notes == ["resume:fast:failed"]


async def test_a_second_break_is_told():
    """With nobody left the client hears of it in the words of its API."""
    async with serving(RESUMING) as server:
        headers = {"x-twospeed-simulate": "reset:3"}
        answer = await server.chat("go", model="pair", stream=True, headers=headers)
        whole = events(await answer.text())
        assert "error" in whole[-1]
        (record,) = server.records
        assert [attempt.kind for attempt in record.attempts] == ["truncated", "truncated"]
        assert len({event["id"] for event in whole[:-1]}) == 1


SENTENCE = "The quick brown fox jumps over the lazy dog and is never seen again.\nThe end."
CUT = len("The quick brown fox jumps over ")
HTTP = """
listen: {{port: 0}}
providers:
  one: {{kind: openai, base_url: "{one}", models: {{m: {{}}}}}}
  two: {{kind: openai, base_url: "{two}", models: {{m: {{}}}}, quirks: {{prefill: prefix}}}}
models: {{pair: [one/m, two/m]}}
tiers: {{fast: {{resume: true, models: [one/m, two/m]}}, deep: {{models: [two/m]}}}}
"""


@asynccontextmanager
async def provider(speak: Callable[[dict], str], breaks: bool) -> AsyncIterator[str]:
    """A provider on a socket that says what `speak` makes of the request, four characters at a time."""

    async def chat(request: web.Request) -> web.StreamResponse:
        text = speak(await request.json())
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        for at in range(0, len(text), 4):
            delta = {"role": "assistant", "content": text[at : at + 4]}
            event = {"id": f"id-{breaks}", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            await answer.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        if breaks:
            request.transport.abort()
            return answer
        stop = {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await answer.write(b"data: " + json.dumps(stop).encode() + b"\n\ndata: [DONE]\n\n")
        return answer

    app = web.Application()
    app.router.add_post("/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


def shown(body: dict) -> str:
    """What a provider was shown of the answer."""
    last = body["messages"][-1]
    assert (last["role"], last["prefix"]) == ("assistant", True)
    return last["content"]


@pytest.mark.parametrize(
    "go_on",
    [
        lambda body: SENTENCE[len(shown(body)) :],  # from where it was, white space included
        lambda body: SENTENCE[len(shown(body)) :].lstrip(),  # without the white space in between
        lambda body: SENTENCE,  # all of it again
        lambda body: SENTENCE[len("The quick ") :],  # from some words before
    ],
)
async def test_the_client_reads_one_text(go_on: Callable[[dict], str]):
    """However the second backend takes the beginning of the answer up, the client reads every character once."""
    async with (
        provider(lambda body: SENTENCE[:CUT], breaks=True) as one,
        provider(go_on, breaks=False) as two,
        serving(HTTP.format(one=one, two=two)) as server,
    ):
        answer = await server.chat("go", model="pair", stream=True)
        text = await answer.text()
    assert said(text) == SENTENCE
    assert {event["id"] for event in events(text)} == {"id-True"}
    assert server.records[0].notes == ["resumed:two/m@default", "resume:fast:ok"]
