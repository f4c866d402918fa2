"""Messages of a simulated provider: strict about histories, answers in Anthropic's shape."""

import json

import pytest

from twospeed.upstream.script import Ask, Call, Origin, Part, Script
from twospeed.upstream.script.messages import CountVoice, MessagesVoice

VOICE = MessagesVoice()
ORIGIN = Origin("sim1", 1_700_000_000)
CALL = {"type": "tool_use", "id": "t", "name": "ls", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}
USER = {"role": "user", "content": "go"}
SCRIPT = Script(
    text=["Hi"], reasoning=["hm"], calls=[Call("call_1", "ls", ['{"a":', "1}"])], finish="tool_calls", input_tokens=9
)


def read(*messages: dict, **body: object) -> Ask:
    return VOICE.read(
        "/v1/messages", json.dumps({"model": "m", "max_tokens": 9, "messages": messages or [USER], **body}).encode()
    )


def test_requests_are_read():
    """Results of tools are rounds; system text and choices are understood."""
    asked = read(
        USER,
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [RESULT]},
        system="brief",
        tools=[{"name": "ls"}],
        tool_choice={"type": "any"},
        stop_sequences=["X"],
    )
    assert (asked.prompt, asked.rounds, asked.turns, asked.instructions) == ("go", 1, 1, "brief\ngo")
    assert ([tool.name for tool in asked.tools], asked.choice, asked.stop) == (["ls"], "required", ["X"])


@pytest.mark.parametrize(
    "messages",
    [
        [USER, {"role": "assistant", "content": [CALL]}, USER],
        [{"role": "user", "content": [RESULT]}],
        [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "forged"}]}],
    ],
)
def test_broken_histories_are_refused(messages: list[dict]):
    """As the real one does: each call has its result, and thinking its signature."""
    with pytest.raises(ValueError):
        read(*messages)


def test_a_stream_adds_up_to_the_whole():
    """Deltas of each block, joined, are the block; the stop reason comes before message_stop."""
    made = list(VOICE.stream(Ask("/messages", model="m"), SCRIPT, ORIGIN, 1))
    told = [json.loads(event.data.partition(b"data: ")[2]) for event in made]
    whole = json.loads(VOICE.whole(Ask("/messages", model="m"), SCRIPT, ORIGIN))
    assert [event["content_block"]["type"] for event in told if "content_block" in event] == [
        "thinking",
        "text",
        "tool_use",
    ]
    assert "".join(event["delta"].get("partial_json", "") for event in told if "delta" in event) == '{"a":1}'
    assert whole["content"][2]["input"] == {"a": 1}
    assert (told[-2]["delta"]["stop_reason"], told[-1]["type"], made[-1].part) == (
        "tool_use",
        "message_stop",
        Part.DONE,
    )


def test_counts_are_numbers():
    """The same request without max_tokens gives its size."""
    voice = CountVoice()
    asked = voice.read("/v1/messages/count_tokens", json.dumps({"model": "m", "messages": [USER]}).encode())
    assert json.loads(voice.whole(asked, Script(input_tokens=7), ORIGIN)) == {"input_tokens": 7}


def test_errors_have_anthropics_shape():
    """As a body and as an event."""
    assert json.loads(VOICE.error(529, "busy"))["error"]["type"] == "overloaded_error"
    assert VOICE.error_event("oh").startswith(b"event: error\n")
