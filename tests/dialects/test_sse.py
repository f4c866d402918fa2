"""Server-sent events: whatever the cuts and the line endings, the same events and the same bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.dialects import sse
from twospeed.errors import Fault, Kind

ENDS = ["\n", "\r\n", "\r"]
LINES = st.sampled_from(["data: {}", "data:x", "data", ": note", "event: e", "id: 7", "retry: 10", "odd", "data: é€😀"])
EVENTS = st.lists(st.lists(LINES, min_size=1, max_size=4), max_size=5)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Cut a stream into pieces of these sizes, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        pieces.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def told(block: bytes, first: bool = True) -> list[tuple]:
    """What a client is told by a block: all but the raw bytes, comments left out."""
    return [tuple(event[1:]) for event in sse.events(block, first) if event[1:] != (b"", None, None, None)]


def through(pieces: list[bytes]) -> list[bytes]:
    """The blocks that come out when these pieces go in."""
    blocks = sse.Blocks()
    return [*(blocks.feed(piece) for piece in pieces), blocks.close()]


@given(EVENTS, st.sampled_from(ENDS), st.lists(st.integers(1, 7), min_size=1, max_size=4), st.booleans())
def test_cuts_change_nothing(events: list[list[str]], end: str, sizes: list[int], bom: bool):
    """A stream cut anywhere, inside a character or a line end too, gives the same events and the same bytes."""
    text = "".join("".join(line + end for line in lines) + end for lines in events)
    stream = sse.BOM * (bom and text != "") + text.encode()
    out = through(cut(stream, sizes))
    assert b"".join(out) == stream
    assert told(b"".join(out)) == told(stream)


@given(st.lists(st.tuples(LINES | st.just(""), st.sampled_from(ENDS)), max_size=12), st.integers(1, 5))
def test_mixed_line_ends_give_the_same_events(lines: list[tuple[str, str]], size: int):
    """A stream that changes its line ends midway is read the same in one piece and in many."""
    stream = "".join(line + end for line, end in lines).encode()
    whole = b"".join(through([stream]))
    assert told(b"".join(through(cut(stream, [size])))) == told(whole)
    assert stream.startswith(whole)


@given(EVENTS, st.sampled_from(ENDS), st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_blocks_hold_whole_events_only(events: list[list[str]], end: str, sizes: list[int]):
    """No block ends inside an event, so that nothing half said reaches a client."""
    stream = "".join("".join(line + end for line in lines) + end for lines in events).encode()
    for block in through(cut(stream, sizes)):
        assert b"".join(event.raw for event in sse.events(block)) == block


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        (b"data: a\ndata:b\ndata\ndata:  c\n\n", (b"", b"a\nb\n\n c", None, None)),
        (b"event: error\ndata: {}\n\n", (b"error", b"{}", None, None)),
        (b"id: 1\r\nretry: 250\r\ndata: x\r\n\r\n", (b"", b"x", b"1", 250)),
        (b"retry: 1s\nid: a\0b\ndata: x\n\n", (b"", b"x", None, None)),
        (b"\xef\xbb\xbfdata: x\n\n", (b"", b"x", None, None)),
        (b"data: a\x0bb\x85c\xe2\x80\xa8d\n\n", (b"", b"a\x0bb\x85c\xe2\x80\xa8d", None, None)),
        (b"Data: x\ndata : y\ndata: z\n\n", (b"", b"z", None, None)),
        (b"retry: " + b"9" * 5_000 + b"\ndata: x\n\n", (b"", b"x", None, 999_999_999_999_999_999)),
    ],
)
def test_fields_are_read_as_the_standard_says(stream: bytes, event: tuple):
    """Fields, their one optional space, comments and unknown names follow the WHATWG rules."""
    assert told(stream) == [event]


def test_a_bom_counts_only_at_the_start():
    """The same three bytes later in a stream belong to the name of a field that nobody knows."""
    assert told(b"\xef\xbb\xbfdata: x\n\n", first=False) == []


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"data: 1\n", 0),
        (b"data: 1\r\n", 0),
        (b"data: 1\r\n\r", 0),
        (b"data: 1\n\ndata: 2\r\n\r", 9),
        (b"data: 1\r\r", 9),
        (b"data: 1\n\r\n", 10),
        (b"data: 1\r\n\n", 10),
        (b"data: 1\n\rdata", 9),
        (b"data: 1\r\rdata: 2\r", 9),
        (b"data: 1\n\n\n", 10),
    ],
)
def test_an_event_ends_with_an_empty_line(data: bytes, end: int):
    """CR LF is one line end; two line ends of any kind in a row end an event."""
    assert sse.boundary(data) == end


def test_an_event_that_never_ends_is_refused():
    """A provider cannot fill the proxy's memory with one event."""
    blocks = sse.Blocks()
    for _ in range(16):
        assert blocks.feed(b"x" * (1 << 20)) == b""
    with pytest.raises(Fault) as caught:
        blocks.feed(b"x")
    assert caught.value.kind is Kind.ANSWER_TOO_LARGE


def test_a_whole_event_beyond_the_limit_is_refused():
    """The limit holds for an event that comes in one piece, too."""
    with pytest.raises(Fault) as caught:
        list(sse.events(b"data: " + b"x" * sse.LIMIT + b"\n\n"))
    assert caught.value.kind is Kind.ANSWER_TOO_LARGE


@given(st.lists(st.sampled_from(["{}", '{"a": "b"}', " [1]"]), max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_plain_blocks_become_lines(texts: list[str], end: str):
    """A block of one-line data events is one JSON text a line, whichever the line ends."""
    block = "".join(f"data:{text}{end}{end}" for text in texts).encode()
    expected = ("\n".join(texts) + "\n\n").encode(), len(texts)
    assert sse.plain(block) == (expected if texts else None)


@pytest.mark.parametrize(
    "block",
    [
        b": hi\n\n",
        b"event: x\ndata: {}\n\n",
        b"data: {}\rdata: {}\r\r",
        b"\n\n",
        b"",
        b'data: {"a":\n1}\n\n',
        b"data: {}\n\ndata: {}\n{}\n\n",
    ],
)
def test_unusual_blocks_are_left_to_the_exact_way(block: bytes):
    """Comments, names and lone CR are never mistaken for plain events."""
    assert sse.plain(block) is None


@pytest.mark.parametrize(("block", "ends"), [(b"data: 1\n\n\ndata: 2\r\n\r\n", [10, 21]), (b"data: 1", [7])])
def test_events_are_found_one_after_the_other(block: bytes, ends: list[int]):
    """An event ends where its empty lines do."""
    at = 0
    for end in ends:
        at = sse.first(block, at)
        assert at == end


@given(st.lists(st.text(alphabet="ab\né", min_size=1), max_size=3))
def test_written_events_are_read_back(texts: list[str]):
    """What is written as an event is read as that event."""
    block = b"".join(sse.event(text.encode(), b"n") for text in texts)
    assert told(block) == [(b"n", text.encode(), None, None) for text in texts]
