"""Request bodies: cut off by count or taken out of chunks, whatever pieces they come in."""

import contextlib
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twospeed.edge.body import ChunkedBody, SizedBody
from twospeed.errors import Fault, Kind

LIMIT = 10_000


def read(data: bytes, *cuts: int, limit: int = LIMIT) -> tuple[bytes, bytes] | None:
    """The chunked body at the beginning of `data` and what follows it, None when it has not all come."""
    body = ChunkedBody(limit)
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        if body.feed(data[start:end]):
            return body.whole(), body.rest + data[end:]
    return None


def refused(data: bytes, *cuts: int, limit: int = LIMIT) -> Kind | None:
    try:
        read(data, *cuts, limit=limit)
    except Fault as fault:
        return fault.kind
    return None


def test_announced_length_cuts_the_body_off():
    """A body ends where it said, and what follows belongs to the next request."""
    body = SizedBody(5)
    assert not body.feed(b"he")
    assert not body.feed(b"")
    assert body.feed(b"lloGET /")
    assert (body.whole(), body.rest) == (b"hello", b"GET /")


@pytest.mark.parametrize("size", [0, 3, 5_000])
def test_the_first_bytes_may_be_a_view(size):
    """What came behind a head is not copied before the rest is there."""
    first = memoryview(b"head" + b"x" * size)[4:]
    body = SizedBody(size + 2)
    assert not body.feed(first)
    assert body.feed(b"yz!")
    assert (body.whole(), body.rest) == (b"x" * size + b"yz", b"!")
    chunked = ChunkedBody(LIMIT)
    assert not chunked.feed(memoryview(b"head5\r\nhe")[4:])
    assert chunked.feed(b"llo\r\n0\r\n\r\n!")
    assert (chunked.whole(), chunked.rest) == (b"hello", b"!")


def test_bytes_that_come_one_by_one_do_not_pile_up_as_objects():
    """A body in tiny pieces costs its bytes, not an object for each."""
    body = SizedBody(100_000)
    for _ in range(99_999):
        body.feed(b"x")
    assert body.feed(b"y")
    assert body.whole() == b"x" * 99_999 + b"y"
    assert len(body._pieces._pieces) == 1


def test_chunks_are_put_together():
    """Sizes in any case, with extensions; trailers are dropped."""
    data = b"5\r\nhello\r\n0A;a=b;c\r\n, world 12\r\n000\r\nx-sum: 1\r\nX-E:\r\n\r\nGET /"
    assert read(data) == (b"hello, world 12", b"GET /")


def test_chunks_may_come_in_any_pieces():
    """Cut at every byte, and byte by byte, the body is the same."""
    data = b"5\r\nhello\r\na;x=y\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\nrest"
    whole = (b"hello0123456789", b"rest")
    assert {read(data, cut) for cut in range(len(data))} == {whole}
    assert read(data, *range(len(data))) == whole
    assert all(read(data[:size]) is None for size in range(len(data) - len(b"rest")))


MALFORMED = {
    "sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nhello\r\n0\r\n\r\n",
    "prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "space before size": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after size": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab after size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "space before extension": b"5 ;a\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "only an extension": b";a\r\nhello\r\n0\r\n\r\n",
    "no hexadecimal": b"g\r\nhello\r\n0\r\n\r\n",
    "foreign digit": b"\xd9\xa5\r\nhello\r\n0\r\n\r\n",
    "two sizes": b"5,5\r\nhello\r\n0\r\n\r\n",
    "too many digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "beyond 64 bit": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "bare LF after size": b"5\nhello\r\n0\r\n\r\n",
    "bare CR after size": b"5\rhello\r\n0\r\n\r\n",
    "CR CR LF after size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "NUL in extension": b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    "LF in extension": b"5;a=\nb\r\nhello\r\n0\r\n\r\n",
    "CR in extension": b"5;a=\rb\r\nhello\r\n0\r\n\r\n",
    "endless extension": b"5;" + b"a" * 2_000,
    "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data too short": b"5\r\nhell\r\n0\r\n\r\n",
    "bare LF after data": b"5\r\nhello\n0\r\n\r\n",
    "bare CR after data": b"5\r\nhello\r0\r\n\r\n",
    "no line end after data": b"5\r\nhello0\r\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "bare LF after last size": b"5\r\nhello\r\n0\n\r\n",
    "trailer without colon": b"0\r\nx\r\n\r\n",
    "trailer without name": b"0\r\n: x\r\n\r\n",
    "space before trailer's colon": b"0\r\nx : y\r\n\r\n",
    "folded trailer": b"0\r\nx: y\r\n z\r\n\r\n",
    "NUL in trailer": b"0\r\nx: \0\r\n\r\n",
    "bare LF in trailer": b"0\r\nx: y\nz: a\r\n\r\n",
    "endless trailer": b"0\r\nx: " + b"a" * 2_000,
    "trailers without end": b"0\r\n" + b"x: y\r\n" * 200,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_chunks_are_refused(data):
    """A size that two readers could take differently is refused, and so is data that does not keep to it."""
    assert refused(data) is Kind.BAD_REQUEST
    assert refused(data, *range(len(data))) is Kind.BAD_REQUEST


def test_a_body_over_the_limit_is_refused_at_its_size_line():
    """What would not fit is refused before it is read, chunk sizes added up."""
    assert refused(b"64\r\n", limit=100) is None
    assert refused(b"65\r\n", limit=100) is Kind.BODY_TOO_LARGE
    assert refused(b"ffffffffffffffff\r\n") is Kind.BODY_TOO_LARGE
    assert refused(b"5\r\nhello\r\n" * 20 + b"1\r\n", limit=100) is Kind.BODY_TOO_LARGE


def test_chunk_framing_is_bounded():
    """A flood of tiny chunks with long extensions ends, a body in single bytes passes."""
    assert refused(b"1;%b\r\nx\r\n" % (b"a" * 1_000) * 2_000) is Kind.BAD_REQUEST
    assert read(b"1\r\nx\r\n" * 9_000 + b"0\r\n\r\n") == (b"x" * 9_000, b"")


# h11 takes more: up to 20 digits of size, white space after it, control characters in extensions, folded trailers.

CHUNK = st.binary(min_size=1, max_size=20).map(lambda data: b"%x\r\n%b\r\n" % (len(data), data))
GOOD = st.tuples(
    st.lists(CHUNK, max_size=4).map(b"".join),
    st.sampled_from([b"0\r\n", b"000;a\r\n", b"5;a=b\r\nhello\r\n0\r\n"]),
    st.lists(st.sampled_from([b"x: y\r\n", b"a:\r\n"]), max_size=2).map(b"".join),
    st.sampled_from([b"\r\n", b"\r\nGET /"]),
).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good body with a few bytes changed, added or taken away."""
    data = bytearray(draw(GOOD))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.sampled_from([b"", b"\r", b"\n", b" ", b";", b"\0", b"1", b"f", b"+", b"_", b"0x", b"\r\n"]))  # fmt: skip
    return bytes(data)


@settings(max_examples=500, deadline=None)
@given(mutated(), st.lists(st.integers(0, 60), max_size=3))
def test_h11_takes_accepted_chunks_apart_the_same_way(data, cuts):
    """Another parser never sees a different body, or a different end of it, than we did."""
    whole = None
    with contextlib.suppress(Fault):
        whole = read(data, *(cut for cut in cuts if cut <= len(data)))
    if whole is None:
        return
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    body = b""
    assert isinstance(peer.next_event(), h11.Request)
    while isinstance(event := peer.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert (body, peer.trailing_data[0]) == whole
