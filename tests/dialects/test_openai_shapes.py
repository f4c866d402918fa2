"""Two shapes of a completion: what is converted, what is left alone, and how an overtaken stream ends."""

import json

import pytest

from twospeed.dialects.openai_shapes import Shape, ShapedReader, reshaped, superseded
from twospeed.errors import Fault, Kind


def body(*choices: object, **members: object) -> bytes:
    """An answer with these choices."""
    return json.dumps({"id": "a", "object": "x", **members, "choices": choices}).encode()


def choices(answer: bytes) -> list[dict[str, object]]:
    """The choices of an answer."""
    found = json.loads(answer)["choices"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "assistant", "content": "a\n"}, "a\n"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": None, "tool_calls": None}, ""),
        (None, ""),
    ],
)
def test_messages_become_text(message: object, text: str):
    """Whatever form the content has, a client of /completions reads one text."""
    answer = reshaped(body({"index": 0, "message": message, "finish_reason": "stop"}, usage={"x": 1.0}), "text")
    assert choices(answer) == [{"index": 0, "text": text, "finish_reason": "stop"}]
    assert json.loads(answer)["object"] == "text_completion"
    assert b'"usage":{"x": 1.0}' in answer


def test_text_becomes_a_message():
    """A client of /fim/completions reads a message of the assistant."""
    answer = reshaped(body({"index": 1, "text": "é\n", "logprobs": None}), "chat")
    message = {"role": "assistant", "content": "é\n"}
    assert choices(answer) == [{"index": 1, "message": message, "logprobs": None}]
    assert json.loads(answer)["object"] == "chat.completion"


@pytest.mark.parametrize("shape", ["text", "chat"])
@pytest.mark.parametrize(
    "answer",
    [
        body({"text": "a", "message": {"content": "a"}}),
        body(),
        b'{"choices": null}',
        b'{"usage": {}}',
        b'{"choices": [{"text": 1, "delta": 2}]}',
        b'{"choices": {}}',
        b"[DONE]",
        b"",
    ],
)
def test_what_needs_no_change_stays_byte_for_byte(answer: bytes, shape: Shape):
    """Both shapes at once, no choices, or nothing that can be read: passed on as it came."""
    assert reshaped(answer, shape) == answer


def test_an_odd_message_is_left_alone():
    """What cannot be read as a message is the client's to see."""
    odd = body({"message": {"content": 7}})
    assert reshaped(odd, "text") == odd


def test_events_keep_their_names_and_comments_stay():
    """Only events with choices are written anew."""
    reader = ShapedReader(keep_usage=True, shape="chat", convert=True)
    data = b": hi\n\n" + b"event: x\ndata: " + body({"text": "a", "finish_reason": None}) + b"\n\n"
    out = reader.feed(data)
    assert out.startswith(b": hi\n\nevent: x\ndata: {")
    assert b'"delta":{"role":"assistant","content":"a"}' in out


@pytest.mark.parametrize(("shape", "said"), [("text", {"text": ""}), ("chat", {"delta": {"content": ""}})])
def test_an_overtaken_stream_ends_without_an_error(shape: Shape, said: dict[str, object]):
    """Nobody is shown an error for an answer nobody waits for; who looks at the finish reason sees why it is short."""
    reader = ShapedReader(keep_usage=False, shape=shape, convert=False)
    last = reader.interrupt(Fault(Kind.SUPERSEDED))
    assert last == superseded(shape)
    event, done, rest = last.decode().split("\n\n")
    assert choices(event.removeprefix("data: ").encode()) == [{"index": 0, **said, "finish_reason": "superseded"}]
    assert (done, rest) == ("data: [DONE]", "")


def test_any_other_end_is_an_error():
    """A failure is told as everywhere else."""
    reader = ShapedReader(keep_usage=False, shape="text", convert=False)
    assert reader.interrupt(Fault(Kind.RESET)).startswith(b'data: {"error":')
