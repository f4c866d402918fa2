"""Streamed answers: bytes untouched, facts right, ends honest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.dialects.openai_stream import StreamReader
from twospeed.errors import Fault, Kind
from twospeed.types import Usage

DONE = b"data: [DONE]\n\n"
ROLE = {"role": "assistant", "content": ""}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}


def chunk(delta: object = None, finish: str | None = None, **members: object) -> bytes:
    """One event with one choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "c", "object": "chat.completion.chunk", "choices": [choice], **members})


def event(value: object) -> bytes:
    """One event."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


ROLE_ONLY, HELLO, STOP = chunk(ROLE), chunk({"content": "Hellö"}), chunk({}, "stop")
USAGE_ONLY = event({"id": "c", "choices": [], "usage": USAGE})
WHOLE = ROLE_ONLY + HELLO * 3 + STOP + USAGE_ONLY + DONE


def facts(reader: StreamReader) -> tuple:
    """What a reader knows."""
    return (reader.committed, reader.ended, reader.usage, reader.finish, reader.output_events, reader.output_bytes)


def committed() -> StreamReader:
    """A reader beyond its commit point."""
    reader = StreamReader(keep_usage=True)
    reader.feed(HELLO)
    return reader


def raised(reader: StreamReader, data: bytes) -> Fault:
    """The fault that these bytes raise."""
    with pytest.raises(Fault) as caught:
        reader.feed(data)
    return caught.value


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_cuts_change_nothing(sizes: list[int], asked: bool, end: bytes):
    """A stream cut anywhere, whatever its line ends, forwards the same bytes and tells the same facts."""
    stream = WHOLE.replace(b"\n", end)
    reader, out, at, turn = StreamReader(asked), b"", 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        out += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    out += reader.end()
    left_out = b"" if asked else USAGE_ONLY.replace(b"\n", end)
    assert out == stream.replace(left_out, b"")
    assert facts(reader) == (True, True, Usage(9, 3), "stop", 3, len(out))
    assert reader.good == b""


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_only_whole_events_come_out(size: int):
    """At no moment has a client received half an event."""
    reader = StreamReader(keep_usage=True)
    for at in range(0, len(WHOLE), size):
        assert reader.feed(WHOLE[at : at + size]).endswith((b"", b"\n\n"))


@pytest.mark.parametrize(
    ("delta", "content"),
    [
        (ROLE, False),
        ({"role": "assistant", "content": None, "tool_calls": None, "refusal": None}, False),
        ({"role": "assistant", "content": [], "tool_calls": []}, False),
        ({}, False),
        (None, False),
        ({"content": " "}, True),
        ({"content": [{"type": "thinking", "thinking": []}]}, True),
        ({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}, True),
        ({"function_call": {"name": "f"}}, True),
        ({"reasoning_content": "Hm"}, True),
        ({"reasoning": "Hm"}, True),
        ({"reasoning_details": [{"type": "reasoning.encrypted"}]}, True),
        ({"refusal": "No"}, True),
        ({"audio": {"transcript": "a"}}, True),
    ],
)
def test_the_first_content_commits(delta: object, content: bool):
    """Text, tool calls, reasoning and refusals are content; a role and empty strings are not."""
    for data in (chunk(delta), b": note\n\n" + chunk(delta)):
        reader = StreamReader(keep_usage=True)
        assert reader.feed(data) == data
        assert (reader.committed, reader.output_events) == (content, content)


def test_completions_commit_by_text():
    """Legacy completions keep their text beside the choice."""
    reader = StreamReader(keep_usage=True)
    reader.feed(event({"object": "text_completion", "choices": [{"text": "", "finish_reason": None}]}))
    assert not reader.committed
    reader.feed(event({"object": "text_completion", "choices": [{"text": "x", "finish_reason": None}]}))
    assert reader.committed


@pytest.mark.parametrize(
    "data",
    [
        b": OPENROUTER PROCESSING\n\n",
        b":\n\n\n",
        b"data:\n\n",
        b"retry: 100\n\n",
        event({"choices": [], "prompt_filter_results": []}),
        event({"choices": [], "error": None}),
        event({"object": "chat.completion.chunk"}),
        event({"x_groq": {"id": "r"}, "choices": None}),
    ],
)
def test_what_is_no_content_passes_untouched(data: bytes):
    """Comments and empty chunks reach the client and commit to nothing, before and after the first content."""
    reader = StreamReader(keep_usage=False)
    assert reader.feed(data) == data
    assert not reader.committed
    assert reader.feed(HELLO + data) == HELLO + data
    assert reader.feed(data) == data


@pytest.mark.parametrize(
    "last",
    [
        USAGE_ONLY,
        event({"choices": None, "usage": USAGE}),
        event({"usage": USAGE}),
        chunk({}, "stop", usage=USAGE),
        chunk({}, "stop", x_groq={"usage": USAGE}),
        chunk({"content": "a"}, usage={"prompt_tokens": 1}) + chunk({}, None, usage=USAGE),
        b"event: x\n" + chunk({}, usage=USAGE),
    ],
)
def test_usage_is_found_wherever_it_is(last: bytes):
    """Providers send usage alone, with the last choice, with each choice, or in a place of their own."""
    reader = committed()
    assert reader.feed(last) == last
    assert reader.usage == Usage(9, 3)


def test_odd_usage_is_ignored():
    """Figures that cannot be read cost the count, not the answer."""
    reader = committed()
    odd = chunk({"content": "a"}, usage={"prompt_tokens": "many"})
    assert reader.feed(odd) == odd
    assert reader.usage is None


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_usage_nobody_asked_for_is_left_out(end: bytes):
    """A client that did not ask for the usage event does not get it, wherever in a read it comes."""
    reader = StreamReader(keep_usage=False)
    data = (HELLO + USAGE_ONLY + chunk({}, "stop", usage=USAGE) + USAGE_ONLY + DONE).replace(b"\n", end)
    assert reader.feed(data) == data.replace(USAGE_ONLY.replace(b"\n", end), b"")
    assert (reader.usage, reader.ended) == (Usage(9, 3), True)


def test_nothing_follows_the_end():
    """What a provider sends after [DONE] is dropped, in the same read or a later one."""
    reader = StreamReader(keep_usage=True)
    assert reader.feed(HELLO + DONE + HELLO) == HELLO + DONE
    assert reader.feed(HELLO) == b""
    assert reader.end() == b""


def test_a_missing_done_is_supplied():
    """A provider that finishes and hangs up politely has finished; half an event behind it is dropped."""
    reader = committed()
    reader.feed(STOP + b"data: {")
    assert reader.end() == DONE
    assert reader.ended


def test_a_last_event_may_end_with_a_lone_cr():
    """CR at the very end was held back as half a CR LF; the end of the stream shows it was not."""
    reader = committed()
    tail = STOP.replace(b"\n", b"\r\n")[:-1]
    assert reader.feed(tail) == b""
    assert reader.end() == tail + DONE


@pytest.mark.parametrize("stream", [b"", ROLE_ONLY, HELLO, HELLO + STOP[:-1], b": hi\n\n", chunk({"content": "a"}, "")])
def test_an_answer_that_just_stops_is_a_failure(stream: bytes):
    """No finish reason and no [DONE]: the answer was cut, and the client must hear of it."""
    reader = StreamReader(keep_usage=True)
    reader.feed(stream)
    with pytest.raises(Fault) as caught:
        reader.end()
    assert caught.value.kind is Kind.TRUNCATED
    assert reader.good == b""


@pytest.mark.parametrize(
    ("bad", "kind", "detail"),
    [
        (event({"error": {"message": "overloaded", "code": 529}}), Kind.ERROR_EVENT, "529 overloaded"),
        (event({"error": "overloaded"}), Kind.ERROR_EVENT, "overloaded"),
        (chunk({}, "error", error={"message": "overloaded"}), Kind.ERROR_EVENT, "overloaded"),
        (event({"object": "error", "message": "overloaded"}), Kind.ERROR_EVENT, "overloaded"),
        (b"event: error\n" + event({"message": "overloaded"}), Kind.ERROR_EVENT, "overloaded"),
        (b"event: error\ndata: overloaded\n\n", Kind.ERROR_EVENT, ""),
        (b"event: error\n" + event({"error": {"message": "overloaded"}}), Kind.ERROR_EVENT, "overloaded"),
        (b"data: overloaded\n\n", Kind.BAD_ANSWER, "stream event: not a JSON object"),
        (b"data: [1]\n\n", Kind.BAD_ANSWER, "stream event: not a JSON object"),
        (b"data: {}\n\n", Kind.BAD_ANSWER, "stream event: no key of this API"),
        (event({"type": "message_start", "message": {}}), Kind.BAD_ANSWER, "stream event: no key of this API"),
        (event({"type": "response.created"}), Kind.BAD_ANSWER, "stream event: no key of this API"),
        (event({"choices": {"a": 1}}), Kind.BAD_ANSWER, "stream event: choices of a wrong shape"),
        (b"data: " + b"[" * 9_000 + b"\n\n", Kind.BAD_ANSWER, "stream event: not a JSON object"),
    ],
)
@pytest.mark.parametrize("before", [b"", ROLE_ONLY, HELLO, HELLO + b": note\n\n" + HELLO])
def test_a_bad_event_is_a_fault_and_what_came_before_is_not_lost(before: bytes, bad: bytes, kind: Kind, detail: str):
    """Errors in the stream and events of other APIs are noticed; good events of the same read are still owed."""
    reader = StreamReader(keep_usage=True)
    fault = raised(reader, before + bad + HELLO)
    assert (fault.kind, fault.detail) == (kind, detail)
    assert reader.good == before
    assert "overloaded" not in fault.message


def test_two_objects_on_two_lines_are_not_two_events():
    """A line without a field name is no event, even if it is JSON."""
    reader = committed()
    data = b'data: {"choices": []}\n{"choices": [{"finish_reason": "stop"}]}\n\n'
    assert reader.feed(data) == data
    assert reader.finish == ""


def test_data_over_several_lines_is_one_event():
    """JSON broken over data lines is put together again before it is read."""
    reader = StreamReader(keep_usage=True)
    data = b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "a"}}]}\n\n'
    assert reader.feed(data) == data
    assert reader.committed


def test_a_bom_at_the_start_is_no_mistake():
    """Some servers begin with a byte order mark."""
    reader = StreamReader(keep_usage=True)
    assert reader.feed(b"\xef\xbb\xbf" + HELLO) == b"\xef\xbb\xbf" + HELLO
    assert reader.committed


def test_an_endless_event_is_refused():
    """An event beyond 16 MiB is a fault, whether it ends or not."""
    assert raised(committed(), b"data: " + b"x" * (17 << 20)).kind is Kind.ANSWER_TOO_LARGE
    reader = committed()
    assert raised(reader, HELLO + chunk({"content": "x" * (17 << 20)})).kind is Kind.ANSWER_TOO_LARGE
    assert reader.good == HELLO


def test_an_error_of_null_is_none():
    """Some providers write `error: null` into each chunk."""
    reader = StreamReader(keep_usage=True)
    data = chunk({"content": "a"}, error=None) * 2 + chunk({}, "stop", error=None) + DONE
    assert reader.feed(data) == data
    assert (reader.committed, reader.finish, reader.output_events) == (True, "stop", 2)


def test_several_choices_are_read():
    """With n > 1 any choice may bring the content and the finish reason."""
    reader = StreamReader(keep_usage=True)
    two = [{"index": 0, "delta": {}}, {"index": 1, "delta": {"content": "a"}, "finish_reason": "length"}]
    reader.feed(event({"choices": two}))
    assert (reader.committed, reader.finish) == (True, "length")
