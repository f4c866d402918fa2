"""Responses of a simulated provider: requests read, answers in OpenAI's shape."""

import json

import pytest

from twospeed.upstream.script import Ask, Call, Origin, Part, Script
from twospeed.upstream.script.responses import ResponsesVoice

VOICE = ResponsesVoice()
ORIGIN = Origin("sim1", 1_700_000_000)
SCRIPT = Script(
    text=["Hel", "lo"], reasoning=["hm"], calls=[Call("call_1", "ls", ["{", "}"])], finish="tool_calls", input_tokens=9
)


def read(**body: object) -> Ask:
    return VOICE.read("/v1/responses", json.dumps({"model": "m", "input": "hi", **body}).encode())


def test_requests_are_read():
    """Items become turns, calls and outputs become rounds."""
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
        {"type": "function_call", "name": "ls"},
        {"type": "function_call_output", "output": "a"},
    ]
    asked = read(
        input=items,
        instructions="brief",
        tools=[{"type": "function", "name": "ls"}, {"type": "web_search"}],
        tool_choice={"type": "function", "name": "ls"},
        max_output_tokens=5,
    )
    assert (asked.prompt, asked.rounds, asked.turns, asked.instructions) == ("go", 1, 1, "brief\ngo")
    assert ([tool.name for tool in asked.tools], asked.choice, asked.max_tokens) == (["ls"], "ls", 5)


@pytest.mark.parametrize(
    "body", [{"previous_response_id": "r"}, {"input": [{"type": "reasoning", "encrypted_content": "other"}]}]
)
def test_what_it_does_not_have_is_refused(body: dict):
    """It keeps nothing, and takes back only its own encrypted reasoning."""
    with pytest.raises(ValueError):
        read(**body)


def test_a_stream_says_each_item_and_then_all():
    """Numbers go up by one, deltas add up to the items of the last event, which is the whole answer."""
    made = list(VOICE.stream(Ask("/responses", model="m"), SCRIPT, ORIGIN, 1))
    told = [json.loads(event.data.partition(b"data: ")[2]) for event in made]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["reasoning", "message", "function_call"]
    said = "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta")
    assert said == "Hello"
    assert json.loads(VOICE.whole(Ask("/responses", model="m"), SCRIPT, ORIGIN)) == told[-1]["response"]
    assert (made[0].part, made[-1].part, sum(event.tokens for event in made)) == (
        Part.OPEN,
        Part.FINISH,
        SCRIPT.output_tokens,
    )


def test_errors_have_openais_shape():
    """As a body and as an event."""
    assert json.loads(VOICE.error(429, "slow"))["error"]["code"] == "rate_limit_exceeded"
    assert VOICE.error_event("oh").startswith(b"event: error\n")
