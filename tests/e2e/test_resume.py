"""Broken streams that go on at the next backend, through the real door."""

import json

import pytest
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
