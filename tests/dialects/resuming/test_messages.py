"""Messages streams, written down and spliced."""

import json

import pytest

from twospeed.dialects import sse
from twospeed.dialects.resuming.messages import MessagesScribe, MessagesSplice
from twospeed.types import Usage


def event(kind: str, **fields: object) -> bytes:
    return sse.event(json.dumps({"type": kind, **fields}).encode(), kind.encode())


def text(said: str, index: int = 0) -> bytes:
    return event("content_block_delta", index=index, delta={"type": "text_delta", "text": said})


def opened(kind: str = "text", index: int = 0) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, "text": ""})


START = event("message_start", message={"id": "msg_2", "usage": {"input_tokens": 9}})
STOP = event("content_block_stop", index=0)
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4}) + event("message_stop")


def scribe(said: str) -> MessagesScribe:
    heard = MessagesScribe()
    heard.hear(START + opened() + text(said))
    return heard


def fed(splice: MessagesSplice, block: bytes) -> bytes:
    return b"".join(splice.take(event) for event in sse.events(block) if event.data)


def parsed(block: bytes) -> list[dict]:
    return [json.loads(event.data) for event in sse.events(block)]


def test_what_the_client_got_is_written_down():
    """Text of the open block; pings and the provider's own error change nothing."""
    heard = scribe("one")
    heard.hear(event("ping") + event("error", error={}))
    assert (heard.text, heard.block, heard.resumable) == ("one", 0, True)


@pytest.mark.parametrize("first", [b"", event("content_block_start", index=None, content_block={"type": "text"})])
def test_text_outside_a_block_ends_it(first: bytes):
    """Text that stands in no block known by its number has no place in which it could go on."""
    heard = MessagesScribe()
    heard.hear(START + first + text("one"))
    assert not heard.resumable


@pytest.mark.parametrize("other", [text("x", 1), STOP, opened("tool_use", 1), opened("thinking", 1), END])
def test_anything_but_an_open_text_ends_it(other: bytes):
    """Between blocks, in a tool call or a thought, and at the end nothing goes on."""
    heard = scribe("one")
    heard.hear(other)
    assert not heard.resumable


def test_the_providers_error_is_not_passed_on():
    """When another backend goes on, the client does not hear of the failure."""
    assert scribe("x").owed(text("y") + event("error", error={})) == text("y")


def test_text_goes_on_in_the_open_block():
    """One message, one block, the usage of both."""
    splice = MessagesSplice(scribe("one "), "one", Usage(10, 5))
    said = parsed(fed(splice, START + opened() + text(" two") + STOP + END))
    assert [one["type"] for one in said] == [
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert said[0]["delta"]["text"] == "two"
    assert said[2]["usage"] == {"output_tokens": 9}


def test_other_blocks_follow_the_open_one():
    """A tool call of the next backend closes the text and is numbered behind it."""
    splice = MessagesSplice(scribe("one"), "one", Usage())
    said = parsed(fed(splice, START + opened("tool_use") + STOP + END))
    assert [(one["type"], one.get("index")) for one in said[:3]] == [
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_stop", 1),
    ]


def test_an_answer_that_was_whole_already_is_closed():
    """When the next backend has nothing to add, the open block is closed all the same."""
    splice = MessagesSplice(scribe("one"), "one", Usage())
    assert [one["type"] for one in parsed(fed(splice, START + END))] == [
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
