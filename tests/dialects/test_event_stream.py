"""Streams whose events name their type: what both APIs have in common, and what each takes for content and end."""

import json

import pytest

from twospeed.dialects.anthropic_stream import STOP, MessagesReader
from twospeed.dialects.openai_responses_stream import ResponsesReader
from twospeed.errors import Fault, Kind
from twospeed.types import Usage


def event(kind: str, **fields: object) -> bytes:
    """One event in its usual form."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


CREATED = event("response.created", sequence_number=0, response={"id": "resp_1", "created_at": 5, "model": "m"})
DELTA = event("response.output_text.delta", sequence_number=1, delta="Hi")
COMPLETED = event(
    "response.completed",
    sequence_number=2,
    response={"id": "resp_1", "status": "completed", "usage": {"input_tokens": 9, "output_tokens": 3}},
)
START = event("message_start", message={"id": "msg_1", "usage": {"input_tokens": 4, "cache_read_input_tokens": 5}})
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
STOPPED = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3})


def raised(reader, data: bytes) -> Fault:
    """The fault that a feed ends in."""
    with pytest.raises(Fault) as caught:
        reader.feed(data)
    return caught.value


@pytest.mark.parametrize(
    ("reader", "stream", "finish"),
    [
        (ResponsesReader, CREATED + DELTA * 3 + COMPLETED, "completed"),
        (MessagesReader, START + TEXT * 3 + STOPPED + STOP, "end_turn"),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_whole_stream_passes_untouched(reader, stream: bytes, finish: str, end: bytes):
    """Bytes go through as they came, whatever the line ends; usage and finish are noted."""
    one = reader()
    stream = stream.replace(b"\n", end)
    assert one.feed(stream) + one.end() == stream
    assert (one.committed, one.ended, one.finish, one.usage.output_tokens) == (True, True, finish, 3)
    assert one.usage.input_tokens == 9
    assert one.output_events == 3
    assert one.feed(stream) == b""


@pytest.mark.parametrize(
    ("reader", "opening", "content"),
    [
        (ResponsesReader, CREATED + event("response.output_item.added", item={"type": "message"}), DELTA),
        (
            ResponsesReader,
            event("response.output_item.added", item={"type": "reasoning"}),
            event("response.reasoning_summary_text.delta", delta="a"),
        ),
        (ResponsesReader, CREATED, event("response.output_item.added", item={"type": "function_call"})),
        (ResponsesReader, CREATED, event("response.something_new.delta", delta="a")),
        (MessagesReader, START + event("ping") + event("content_block_start", content_block={"type": "text"}), TEXT),
        (MessagesReader, START, event("content_block_start", content_block={"type": "tool_use"})),
    ],
)
def test_content_commits(reader, opening: bytes, content: bytes):
    """Text, reasoning and calls are content; what only announces them is not."""
    one = reader()
    one.feed(opening)
    assert not one.committed
    one.feed(content)
    assert one.committed


@pytest.mark.parametrize("cut", [CREATED, CREATED + DELTA, CREATED + DELTA + COMPLETED[:-1]])
def test_a_response_that_just_stops_is_a_failure(cut: bytes):
    """Without its last event an answer is cut, and the client hears of it under the same id, next number."""
    reader = ResponsesReader()
    reader.feed(cut)
    with pytest.raises(Fault) as caught:
        reader.end()
    assert caught.value.kind is Kind.TRUNCATED
    told = json.loads(reader.interrupt(caught.value).partition(b"data: ")[2])
    assert (told["type"], told["response"]["id"], told["response"]["status"]) == ("response.failed", "resp_1", "failed")
    assert told["sequence_number"] == reader.sequence + 1
    assert set(told["response"]["error"]) == {"code", "message"}


def test_a_forgotten_message_stop_is_supplied():
    """After a stop reason the answer is whole, even if its provider hangs up without saying so."""
    reader = MessagesReader()
    reader.feed(START + TEXT + STOPPED)
    assert reader.end() == STOP
    with pytest.raises(Fault):
        MessagesReader().end()


@pytest.mark.parametrize(
    ("reader", "good", "error"),
    [
        (
            ResponsesReader,
            CREATED,
            event("response.failed", response={"id": "resp_1", "error": {"code": "server_error"}}),
        ),
        (ResponsesReader, CREATED, event("error", code="server_error", message="oh")),
        (MessagesReader, START, event("error", error={"type": "overloaded_error", "message": "oh"})),
    ],
)
def test_an_error_first_is_a_fault_and_later_is_passed_on(reader, good: bytes, error: bytes):
    """Before content the next candidate may be tried; after it the provider's own word reaches the client, once."""
    assert raised(reader(), good + error).kind is Kind.ERROR_EVENT
    late = reader()
    late.committed = True
    fault = raised(late, good + error)
    assert (late.good, late.interrupt(fault)) == (good + error, b"")


@pytest.mark.parametrize("reader", [ResponsesReader, MessagesReader])
@pytest.mark.parametrize("bad", [b"data: <html>\n\n", b"data: {}\n\n", b'data: {"choices": []}\n\n', b"data: [1]\n\n"])
@pytest.mark.parametrize("committed", [True, False])
def test_events_of_another_api_are_a_fault(reader, bad: bytes, committed: bool):
    """What is no event of this API is noticed, and good events of the same read are still owed."""
    one = reader()
    one.committed = committed
    assert raised(one, TEXT + bad).kind is Kind.BAD_ANSWER
    assert one.good == TEXT


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"type":"content_block_delta","delta' + TEXT,
        b'data: {"type":"content_block_delta","delta\nevent: ' + TEXT.partition(b"\n")[2],
        b"data: {\nevent: data: {" + TEXT.partition(b"data: {")[2],
        b"data: {\n" + TEXT,
        b"data: {\n: " + TEXT,
    ],
)
def test_an_event_that_goes_on_in_another_is_a_fault(broken: bytes):
    """A whole event inside or behind a broken one does not make it good."""
    one = MessagesReader()
    assert one.feed(START + TEXT) == START + TEXT
    assert raised(one, TEXT * 2 + broken).kind is Kind.BAD_ANSWER
    assert one.good == TEXT * 2


def test_unknown_events_and_types_without_names_pass():
    """New events, comments and streams without event lines are nobody's fault."""
    stream = b": hi\n\n" + CREATED + DELTA.partition(b"\n")[2] + event("keepalive") + COMPLETED
    reader = ResponsesReader()
    assert reader.feed(stream) == stream
    assert reader.ended


def test_usage_of_messages_counts_the_cache():
    """Cached tokens are part of the input; figures of the start hold where the end repeats none."""
    reader = MessagesReader()
    reader.feed(START + TEXT + STOPPED)
    assert reader.usage == Usage(9, 3, 5)
