"""What an answer said is heard alike in every dialect."""

import msgspec
import pytest

from twospeed.dialects.translation.ear import MOST_ARGUMENTS, MOST_CALLS, Ear
from twospeed.types import Called


def _events(*events: object, named: bool = False) -> bytes:
    encode = msgspec.json.encode
    return b"".join(
        (b"event: " + event["type"].encode() + b"\n" if named else b"") + b"data: " + encode(event) + b"\n\n"
        for event in events
    )


def _chat(**delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


STREAMS = {
    "openai_chat": _events(
        _chat(role="assistant", content=""),
        _chat(reasoning_content="hm"),
        _chat(content="Let me "),
        _chat(content="look."),
        _chat(tool_calls=[{"index": 0, "id": "c", "function": {"name": "ls", "arguments": ""}}]),
        _chat(tool_calls=[{"index": 0, "function": {"arguments": '{"path":'}}]),
        _chat(tool_calls=[{"index": 0, "function": {"arguments": '"a"}'}}]),
    )
    + b"data: [DONE]\n\n",
    "openai_responses": _events(
        {"type": "response.created", "response": {"id": "r", "model": "m"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Let me "},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "look."},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "name": "ls"}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"path":"a"}'},
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {"type": "function_call", "name": "ls", "arguments": '{"path":"a"}'},
        },
        {"type": "response.completed", "response": {}},
        named=True,
    ),
    "anthropic_messages": _events(
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "look."}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "ls"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"path":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"a"}'}},
        {"type": "message_stop"},
        named=True,
    ),
}
BODIES = {
    "openai_chat": {
        "choices": [
            {
                "message": {
                    "content": "Let me look.",
                    "tool_calls": [{"id": "c", "function": {"name": "ls", "arguments": '{"path":"a"}'}}],
                }
            }
        ]
    },
    "openai_responses": {
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "Let me look."}]},
            {"type": "function_call", "name": "ls", "arguments": '{"path":"a"}'},
        ]
    },
    "anthropic_messages": {
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t", "name": "ls", "input": {"path": "a"}},
        ]
    },
}


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_stream_is_heard(dialect, ends):
    """Text and calls come out whole, whatever the dialect and its line ends; reasoning does not."""
    ear = Ear(dialect, 1_000)
    ear.feed(STREAMS[dialect].replace(b"\n", ends))
    heard = ear.heard("stop")
    assert (heard.text, heard.calls, heard.deaf) == ("Let me look.", (Called("ls", '{"path":"a"}'),), False)
    assert not heard.refused
    assert not heard.cut


@pytest.mark.parametrize("dialect", STREAMS)
def test_it_may_come_event_by_event(dialect):
    """The cuts between events change nothing."""
    ear = Ear(dialect, 1_000)
    for event in STREAMS[dialect].split(b"\n\n"):
        ear.feed(event + b"\n\n")
    assert ear.heard("").calls == (Called("ls", '{"path":"a"}'),)


@pytest.mark.parametrize("dialect", BODIES)
def test_a_body_is_heard(dialect):
    """An answer in one piece says the same."""
    ear = Ear(dialect, 1_000)
    ear.whole(msgspec.json.encode(BODIES[dialect]))
    heard = ear.heard("")
    assert (heard.text, heard.calls) == ("Let me look.", (Called("ls", '{"path":"a"}'),))


@pytest.mark.parametrize("dialect", STREAMS)
def test_calls_are_heard_behind_more_text_than_is_kept(dialect):
    """What is kept of the text is bounded; the calls after it are not missed."""
    ear = Ear(dialect, 5)
    for event in STREAMS[dialect].split(b"\n\n"):
        ear.feed(event + b"\n\n")
    assert ear.heard("").text == "Let m"
    assert ear.heard("").calls == (Called("ls", '{"path":"a"}'),)


def test_completions_are_heard():
    """Text completions, and those that look like chat, say their text."""
    ear = Ear("openai_completions", 100)
    ear.feed(_events({"choices": [{"text": "return "}]}, {"choices": [{"delta": {"content": "a"}}]}))
    assert ear.heard("stop").text == "return a"
    ear = Ear("openai_completions", 100)
    ear.whole(b'{"choices":[{"text":"return a"}]}')
    assert ear.heard("stop").text == "return a"


def test_a_refusal_is_marked_by_the_provider():
    """In the answer's own words, or by why it ended; `refusal: null` is none."""
    ear = Ear("openai_chat", 100)
    ear.feed(_events(_chat(content="hi", refusal=None)))
    assert not ear.heard("stop").refused
    assert ear.heard("content_filter").refused
    ear.feed(_events(_chat(refusal="No.")))
    assert ear.heard("stop").refused
    assert Ear("openai_chat", 100).heard("length").cut


def test_what_cannot_be_read_is_said_so():
    """Garbage, a foreign dialect and endless calls leave it deaf; nothing is raised."""
    ear = Ear("openai_chat", 100)
    ear.feed(b'data: {"content": nonsense\n\n')
    assert ear.heard("").deaf
    ear = Ear("openai_chat", 100)
    ear.whole(b"[]")
    assert ear.heard("").deaf
    ear = Ear("openai_embeddings", 100)
    ear.whole(b"{}")
    assert ear.heard("").deaf
    ear = Ear("openai_chat", 100)
    for number in range(MOST_CALLS + 1):
        ear.feed(_events(_chat(tool_calls=[{"index": number, "function": {"name": "ls"}}])))
    assert ear.heard("").deaf
    assert len(ear.heard("").calls) == MOST_CALLS


def test_arguments_are_bounded():
    """A call of endless arguments is not kept."""
    ear = Ear("openai_chat", 100)
    ear.feed(_events(_chat(tool_calls=[{"index": 0, "function": {"name": "w", "arguments": "x" * MOST_ARGUMENTS}}])))
    assert not ear.heard("").deaf
    ear.feed(_events(_chat(tool_calls=[{"index": 0, "function": {"arguments": "x"}}])))
    assert ear.heard("").deaf
    assert len(ear.heard("").calls[0].arguments) == MOST_ARGUMENTS
