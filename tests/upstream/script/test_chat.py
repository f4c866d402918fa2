"""Chat completions: requests read and answers in OpenAI's shapes."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from twospeed.upstream.script import Ask, Call, Origin, Part, Script
from twospeed.upstream.script.chat import ChatVoice

VOICE = ChatVoice()
ORIGIN = Origin("sim1", 1_700_000_000)
ASSISTANT_CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "ok"}
USER = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "done"}


def read(**body: Any) -> Ask:
    return VOICE.read("/v1/chat/completions", json.dumps({"model": "m", "messages": [USER], **body}).encode())


def events(script: Script, **fields: Any) -> list[Any]:
    made = VOICE.stream(Ask("/chat/completions", model='m"1', **fields), script, ORIGIN, 1)
    return [(event.part, json.loads(event.data[6:]) if event.part is not Part.DONE else event.data) for event in made]


@pytest.mark.parametrize(
    ("messages", "rounds"),
    [
        ([USER], 0),
        ([USER, SAID, USER], 0),
        ([USER, ASSISTANT_CALL, RESULT], 1),
        ([USER, ASSISTANT_CALL, RESULT, ASSISTANT_CALL, RESULT], 2),
        ([USER, ASSISTANT_CALL, RESULT, SAID, USER], 0),
        ([USER, ASSISTANT_CALL, RESULT, {"role": "user", "content": "<reminder>"}], 1),
        ([RESULT], 1),
        ([{"role": "system", "content": "s"}], 0),
    ],
)
def test_rounds_of_tools_are_counted_since_the_user_spoke(messages: Sequence[Any], rounds: int):
    """A tool result asks for an answer, a new question for a new call; reminders between results are no question."""
    assert read(messages=messages).rounds == rounds


def test_reads_what_decides_the_answer():
    """Text, parts, tools, limits and stop words are read; unknown fields are not minded."""
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "text", "text": "here"},
    ]
    asked = read(
        messages=[{"role": "developer", "content": "be brief"}, {"role": "user", "content": parts}],
        tools=[
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
            {"type": "custom", "custom": {}},
        ],
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=9,
        max_completion_tokens=7,
        stop="END",
        frobnicate=1,
    )
    assert (asked.prompt, asked.instructions) == ("look\nhere", "be brief\nlook\nhere")
    assert [tool.name for tool in asked.tools] == ["f"]
    assert (asked.stream, asked.wants_usage, asked.max_tokens, asked.stop) == (True, True, 7, ["END"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "g"}}, "g"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "g"}}]}},
            "required",
        ),
        ({"function": "odd"}, "auto"),
        ({"allowed_tools": {"tools": None}}, "auto"),
    ],
)
def test_tool_choice_is_read(choice: Any, expected: str):
    """All forms of tool_choice are understood, odd ones are taken as auto."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    asked = read(tool_choice=choice, tools=tools)
    assert asked.choice == expected
    if isinstance(choice, dict) and "allowed_tools" in choice:
        assert [tool.name for tool in asked.tools] in (["g"], [])


@pytest.mark.parametrize(
    "form", [{"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {}}}]
)
def test_json_formats_are_read(form: dict[str, Any]):
    """A JSON answer format is told from free text."""
    assert (read(response_format=form).schema != msgspec.Raw(b"null")) is (form["type"] != "text")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"model":"m"}', b'{"model":1,"messages":[]}', b'{"model":"m","messages":3}']
)
def test_what_is_no_chat_request_is_refused(body: bytes):
    """A body that a provider would refuse is refused."""
    with pytest.raises(msgspec.MsgspecError):
        VOICE.read("/chat/completions", body)


def test_streams_text_in_openai_chunks():
    """A stream has the role first, then content, the finish reason and [DONE], all with one id and the model's name."""
    made = events(Script(text=["Hel", "lo"]))
    assert [part for part, _ in made] == [Part.OPEN, Part.CONTENT, Part.CONTENT, Part.FINISH, Part.DONE]
    chunks = [chunk for _, chunk in made[:-1]]
    assert {(chunk["id"], chunk["object"], chunk["model"], chunk["created"]) for chunk in chunks} == {
        ("chatcmpl-sim1", "chat.completion.chunk", 'm"1', 1_700_000_000)
    }
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert made[-1][1] == b"data: [DONE]\n\n"


def test_usage_comes_last_and_only_where_asked_for():
    """With include_usage one more chunk has empty choices and the usage, and all others have it null."""
    script = Script(text=["a"], input_tokens=20, cached_tokens=10)
    made = events(script, wants_usage=True)
    assert [chunk["usage"] for part, chunk in made if part in (Part.OPEN, Part.CONTENT)] == [None, None]
    last = made[-2][1]
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"], last["usage"]["total_tokens"]) == (
        20,
        1,
        21,
    )
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 10
    assert all("usage" not in chunk for _, chunk in events(script)[:-1])


def test_streams_tool_calls_and_reasoning():
    """A call begins with id and name, its arguments follow in pieces; reasoning has its own field."""
    script = Script(reasoning=["hm"], calls=[Call("call_1", "f", ['{"a"', ":1}"])], finish="tool_calls")
    deltas = [chunk["choices"][0]["delta"] for _, chunk in events(script)[:-1]]
    assert deltas[1] == {"reasoning_content": "hm"}
    assert deltas[2]["tool_calls"][0] == {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "f", "arguments": ""},
    }
    assert "".join(delta["tool_calls"][0]["function"]["arguments"] for delta in deltas[3:5]) == '{"a":1}'


def test_unstreamed_answers_have_the_whole_shape():
    """Without streaming the same script is one chat.completion."""
    script = Script(reasoning=["hm"], calls=[Call("call_1", "f", ["{}"])], finish="tool_calls", input_tokens=3)
    body = json.loads(VOICE.whole(Ask("/chat/completions", model="m"), script, ORIGIN))
    choice = body["choices"][0]
    assert (body["object"], body["usage"]["completion_tokens"], choice["finish_reason"]) == (
        "chat.completion",
        3,
        "tool_calls",
    )
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1


def test_events_can_carry_several_tokens():
    """A fast provider sends several tokens at once."""
    made = list(VOICE.stream(Ask("/chat/completions"), Script(text=list("abcde")), ORIGIN, 2))
    assert [event.tokens for event in made if event.part is Part.CONTENT] == [2, 2, 1]


def test_errors_have_openai_shape():
    """Errors carry message, type and code, as a body and as an event."""
    assert json.loads(VOICE.error(429, "slow down"))["error"]["code"] == "rate_limit_exceeded"
    assert json.loads(VOICE.error(422, "no"))["error"]["type"] == "invalid_request_error"
    assert json.loads(VOICE.error_event("oh")[6:])["error"]["message"] == "oh"
