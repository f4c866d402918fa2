"""Chat and completion streams, written down and spliced."""

import json

import pytest

from twospeed.dialects import sse
from twospeed.dialects.resuming.choices import ChoicesScribe, ChoicesSplice
from twospeed.types import Usage

FIRST = {"id": "one", "object": "chat.completion.chunk", "created": 1, "model": "a"}
NEXT = {"id": "two", "object": "chat.completion.chunk", "created": 2, "model": "b"}


def chunk(head: dict, delta: dict | None = None, finish: str | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return sse.event(json.dumps({**head, "choices": choices, **more}).encode())


def scribe(*texts: str) -> ChoicesScribe:
    heard = ChoicesScribe()
    heard.hear(chunk(FIRST, {"role": "assistant", "content": ""}))
    for text in texts:
        heard.hear(chunk(FIRST, {"content": text}))
    return heard


def fed(splice: ChoicesSplice, block: bytes) -> bytes:
    return b"".join(splice.take(event) for event in sse.events(block) if event.data)


def parsed(block: bytes) -> list[dict]:
    return [json.loads(event.data) for event in sse.events(block) if event.data != b"[DONE]"]


def test_what_the_client_got_is_written_down():
    """Text in order, and what the answer calls itself."""
    heard = scribe("one ", "two")
    assert heard.text == "one two"
    assert heard.head == FIRST
    assert heard.resumable


@pytest.mark.parametrize(
    "other",
    [
        chunk(FIRST, {"tool_calls": [{"index": 0}]}),
        chunk(FIRST, {"reasoning_content": "hm"}),
        chunk(FIRST, {"refusal": "no"}),
        chunk(FIRST, {}, "stop"),
        chunk(FIRST, {"content": [{"type": "text"}]}),
        sse.event(b'{"choices":[{"index":1,"delta":{"content":"x"}}]}'),
        sse.event(b"not json"),
        sse.DONE,
    ],
)
def test_anything_but_plain_text_ends_it(other: bytes):
    """A tool call, a thought, a second choice, or an end: such an answer is not continued, and not kept."""
    heard = scribe("text")
    heard.hear(other)
    assert not heard.resumable
    assert heard.text == ""


def test_a_long_answer_is_not_kept():
    """Beyond the bound nothing is remembered of it."""
    heard = scribe(*["x" * 100_000] * 3)
    assert not heard.resumable


def test_the_next_one_speaks_in_the_name_of_the_first():
    """Id, model and time stay; a second role and empty events are left out; usage is summed."""
    heard = scribe("one ")
    splice = ChoicesSplice(heard, "one", Usage(10, 5))
    usage = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19, "more": {"a": 1}}
    said = fed(
        splice,
        chunk(NEXT, {"role": "assistant", "content": ""})
        + chunk(NEXT, {"content": " two"})
        + chunk(NEXT, {}, "stop")
        + chunk(NEXT, None, usage=usage)
        + sse.DONE,
    )
    assert said.endswith(sse.DONE)
    text, finish, counted = parsed(said)
    assert {event["id"] for event in (text, finish, counted)} == {"one"}
    assert text["choices"][0]["delta"] == {"content": "two"}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert counted["usage"] == {
        "prompt_tokens": 22,
        "completion_tokens": 12,
        "total_tokens": 34,
        "more": {"a": 1},
    }


def test_held_text_comes_before_the_end():
    """What might have been a repetition and was none is said before the finish reason."""
    heard = scribe("a sentence that is long enough")
    splice = ChoicesSplice(heard, heard.text, Usage())
    said = parsed(fed(splice, chunk(NEXT, {"content": "a sentence that"}) + chunk(NEXT, {}, "stop")))
    assert [event["choices"][0]["delta"].get("content") for event in said] == ["a sentence that", None]


def test_held_text_is_not_lost_with_the_stream():
    """When the next one breaks as well, its text still goes out."""
    heard = scribe("a sentence that is long enough")
    splice = ChoicesSplice(heard, heard.text, Usage())
    assert fed(splice, chunk(NEXT, {"content": "a sentence"})) == b""
    assert parsed(splice.flush())[0]["choices"][0]["delta"] == {"content": "a sentence"}


def test_text_completions_keep_their_shape():
    """A completion goes on as `text`."""
    heard = ChoicesScribe()
    heard.hear(sse.event(b'{"id":"one","object":"text_completion","choices":[{"index":0,"text":"def "}]}'))
    splice = ChoicesSplice(heard, heard.text, Usage())
    (event,) = parsed(fed(splice, sse.event(b'{"id":"two","choices":[{"index":0,"text":"f()"}]}')))
    assert event == {"id": "one", "choices": [{"index": 0, "text": "f()"}]}
