"""Events passed by the read: never another byte, fact or fault than reading each of them exactly would give."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.dialects.anthropic_stream import MessagesReader
from twospeed.dialects.mould import Mould
from twospeed.dialects.openai_responses_stream import ResponsesReader
from twospeed.dialects.openai_stream import StreamReader
from twospeed.errors import Fault, Kind

DONE = b"data: [DONE]\n\n"
# The inside of a JSON string, proper or not.
TEXTS = st.lists(
    st.sampled_from(
        [
            *(b"a", b" words", b"", "é😀".encode(), b"\\n", b'\\"', b"\\\\", b"\\/", b"\\u00e9", b"\\ud83d\\ude00"),
            *(b'\\"},\\"finish_reason\\":\\"stop\\"', b'","obfuscation":"', b'"', b"\\", b"\\x", b"\\u12", b"\\ud800"),
            *(b"\\udc00", b"\\ud83d\\u0041", b"\t", b"\n", b"\r", b"\0", b"\x7f", b"\xff", b"\xc3", b"data: [DONE]"),
        ]
    ),
    max_size=3,
).map(b"".join)
PROPER = st.sampled_from([b"a", b" words", b"", b"\\n", b'\\"', "é😀".encode(), b"\\u00e9", b"\\ud83d\\ude00"])


class Exact:
    """A mould that nothing fits into: every event is read exactly."""

    number = -1

    def pieces(self, block: bytes, usual: object) -> tuple[int, int]:
        return 0, 0


def exact(reader):
    """The same reader without any short way."""
    reader._mould = Exact()
    return reader


CHAT = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n',
    b'data: {"id": "c", "choices": [{"delta": {"content": "%b"}}], "usage": null, "obfuscation": "xy"}\n\n',
    b'data: {"id":"c","choices":[{"delta":{"content":"","reasoning_content":"%b"}}]}\r\n\r\n',
    b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%b"}}]}}]}\n\n\n',
    b'data: {"choices":[{"text":"%b","finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3},"text":"%b"}\n\n',
    b'data: {"choices":[{"delta":{"content":"%b"}}],"usage":{"completion_tokens":3}}\n\n',
    b'data: {"error":{"message":"%b"}}\n\n',
    b": %b\n\n",
    b'event: error\ndata: {"text":"%b"}\n\n',
    b'data: {"choices":[{"delta":{"content":"%b"}}]}\r\r',
    b"\n",
]
MESSAGES = [
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"partial_json":"%b"}    }\n\n',
    b'data: {"type":"content_block_delta","delta":{"thinking":"%b"}}\n\n',
    b'event: "text":"%b"\ndata: {"type":"content_block_delta"}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end"},"usage":{"output_tokens":3},"text":"%b"}\n\n',
    b'data: {"type":"ping","text":"%b"}\n\n',
    b'event: error\ndata: {"type":"error","error":{"message":"%b"}}\n\n',
]
RESPONSES = [
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":7,"delta":"%b"}\n\n',
    b'data: {"type":"response.output_text.delta","delta":"%b","sequence_number": 8,"obfuscation":"a"}\n\n',
    b'data: {"type":"response.output_text.delta","delta":"%b","sequence_number":9007199254740993000}\n\n',
    b'data: {"type":"response.function_call_arguments.delta","sequence_number":9,"delta":"%b"}\n\n',
    b'data: {"sequence_number":1,"type":"response.refusal.delta","delta":"%b","of":{"sequence_number":2}}\n\n',
    b'data: {"type":"response.failed","response":{"id":"r","error":{"message":"%b"}}}\n\n',
    b'data: {"type":"response.new","delta":"%b"}\n\n',
]
APIS = {StreamReader: CHAT, MessagesReader: MESSAGES, ResponsesReader: RESPONSES}


def made(api):
    """A new reader."""
    return StreamReader(keep_usage=False) if api is StreamReader else api()


def told(reader, pieces: list[bytes]) -> tuple:
    """All that comes of a stream: bytes, facts, the fault and what was owed before it."""
    out, fault = b"", None
    try:
        for piece in pieces:
            out += reader.feed(piece)
        out += reader.end()
    except Fault as caught:
        fault = caught.kind, caught.detail
        out += reader.good
    sequence = getattr(reader, "sequence", None)
    facts = reader.committed, reader.ended, reader.usage, reader.finish, reader.output_events, reader.output_bytes
    return out, fault, facts, sequence


@st.composite
def streams(draw, api):
    """Runs of events alike, other events among them, and sizes to cut them by."""
    kinds = APIS[api]
    runs = draw(st.lists(st.tuples(st.sampled_from(kinds[:3]) | st.sampled_from(kinds), st.integers(1, 5)), max_size=5))
    texts = PROPER if draw(st.booleans()) else PROPER | TEXTS
    events = [kind.replace(b"%b", draw(texts)) for kind, count in runs for _ in range(count)]
    stream = b"".join(events) + draw(st.sampled_from([b"", DONE, b"data: {\n\n"]))
    size = draw(st.integers(1, 400) | st.just(10**6))
    return [stream[at : at + size] for at in range(0, len(stream), size)]


@pytest.mark.parametrize("api", APIS)
@given(st.data())
def test_the_short_way_says_what_the_exact_one_says(api, data):
    """However events are mixed, broken and cut: the same bytes, facts and fault as from reading each by itself."""
    pieces = data.draw(streams(api))
    assert told(made(api), pieces) == told(exact(made(api)), pieces)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "text", [b'a"', b"\\", b"\\x", b"\\ud800", b"\t", b"\0", b"\r", b'","content":"', b'"},{"text":"']
)
def test_a_broken_text_among_good_ones_is_noticed(api, text: bytes):
    """An event that is no JSON is a fault, however many that look like it came before and after."""
    event = APIS[api][0]
    pieces = [event % b"a", event % b"b", (event % b"c" * 9) + (event % text) + (event % b"d" * 9)]
    known = told(made(api), pieces)
    assert known == told(exact(made(api)), pieces)
    assert known[1] is not None or b"," in text


@pytest.mark.parametrize("api", APIS)
def test_events_alike_are_read_once(api):
    """A long run costs the reading of its first events only."""
    reader, event = made(api), APIS[api][0]
    read: list[bytes] = []
    mould = Mould()

    def usual(block: bytes) -> int:
        read.append(block)
        return block.count(b"\n\n")

    block = event % b"a" * 50
    assert mould.pieces(block, usual) == (50, len(block))
    assert mould.pieces(event % b"b\\n", usual) == (1, len(event % b"b\\n"))
    assert read == [event % b"a"]
    assert reader.feed(block) == block
    assert reader.output_events == 50


def test_the_number_is_that_of_the_last_event():
    """A failure in the middle of a response goes on counting where the provider stopped."""
    reader = ResponsesReader()
    event = b'data: {"type":"response.output_text.delta","delta":"a","sequence_number":%d}\n\n'
    for numbers in (range(3), range(3, 12), range(12, 13)):
        reader.feed(b"".join(event % number for number in numbers))
        assert reader.sequence == numbers[-1]
    last = reader.interrupt(Fault(Kind.TRUNCATED))
    assert json.loads(last.partition(b"data: ")[2])["sequence_number"] == 13


def test_what_never_fits_is_not_tried_for_ever():
    """A provider whose events have nothing in common is read by the block, not twice."""
    mould, read = Mould(), []

    def usual(block: bytes) -> int:
        read.append(block)
        return block.count(b"\n\n")

    for number in range(30):
        block = b'data: {"id":%d,"text":"a"}\n\n' % number * 2
        assert mould.pieces(block.replace(b"a", b"b", 1), usual) == (2, len(block))
    for number in range(30):
        read.clear()
        block = b"".join(b'data: {"id":%d,"text":"a"}\n\n' % (number * 2 + more) for more in range(2))
        assert mould.pieces(block, usual) == (2, len(block))
    assert read == [block]


def test_events_alike_in_pairs_cost_no_copy_each():
    """However often the events change, and however well each fits the next, a block is looked at a few times only."""
    mould, read = Mould(), []

    def usual(block: bytes) -> int:
        read.append(len(block))
        return block.count(b"\n\n")

    for _ in range(3):
        block = b"".join(b'data: {"id":%d,"text":"a"}\n\n' % number * 2 for number in range(100))
        read.clear()
        assert mould.pieces(block, usual) == (200, len(block))
        assert len(read) < 12


def test_no_long_event_is_held_or_compared():
    """An image among the events does not stay with the stream, and what fitted before it still does."""
    mould, event = Mould(), b'data: {"choices":[{"text":"a"}]}\n\n'
    long = b'data: {"text":"a","images":["%b"]}\n\n' % (b"x" * 1_000_000)
    for block in (event, long):
        assert mould.pieces(block, lambda read: read.count(b"\n\n")) == (block.count(b"\n\n"), len(block))
    assert 0 < len(mould._around) < 2 * len(event)
    assert mould.pieces(event * 2, lambda _: 0) == (2, 2 * len(event))


@pytest.mark.parametrize(
    "member",
    [
        b'"logprobs":[{"sequence_number":%d}]',
        b'"of":{"sequence_number":%d}',
        b'"a\\"sequence_number":%d',
        b'"of":{"x":"}","sequence_number":%d}',
        b'"of":{"x":"\\"}","sequence_number":%d}',
    ],
)
@pytest.mark.parametrize("name", [b"", b"event: response.output_text.delta\n", b"event: {\n", b'event: {"\n'])
def test_a_number_of_something_else_is_not_that_of_the_event(member: bytes, name: bytes):
    """Only what an event says of itself counts, whatever its members call theirs."""
    event = name + b'data: {"type":"response.output_text.delta",%b,"delta":"a"}\n\n'
    own = b'data: {"type":"response.output_text.delta","sequence_number":4,"delta":"a"}\n\n'
    pieces = [own, event % (member % 71) * 2, event % (member % 72) + event % (member % 73)]
    known = told(ResponsesReader(), pieces)
    assert known == told(exact(ResponsesReader()), pieces)
    assert known[3] == 4


@pytest.mark.parametrize("member", [b'"logprobs":[],', b'"x":"[{\\"}\\\\","y":1.5,', b""])
def test_the_number_may_stand_anywhere_in_the_event(member: bytes):
    """Empty lists and texts with brackets before it change nothing: events alike are still read once."""
    event = b'event: x\ndata: {"type":"x",%b"delta":"a","sequence_number":%%d}\n\n' % member
    mould, read = Mould(), []
    block = b"".join(event % number for number in range(9))
    assert mould.pieces(block, lambda first: read.append(first) or 1) == (9, len(block))
    assert (read, mould.number) == ([event % 0], 8)
