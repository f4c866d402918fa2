"""Responses read from bytes: the wire on the left, what it means on the right."""

import pytest

from twospeed.errors import Kind
from twospeed.upstream.response import HEAD_LIMIT, HEADER_LIMIT, Response

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FIVE = OK + b"Content-Length: 5\r\n\r\n"


def read(*pieces: bytes, method: str = "POST", end: bool = False) -> Response:
    response = Response()
    response.begin(method)
    for piece in pieces:
        response.feed(piece)
    if end:
        response.end()
    return response


def split(wire: bytes) -> list[bytes]:
    return [wire[at : at + 1] for at in range(len(wire))]


WHOLE = {  # wire: status, body, may the connection be used again
    FIVE + b"hello": (200, b"hello", True),
    OK + b"Content-Length: 0\r\n\r\n": (200, b"", True),
    CHUNKED + b"2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\n\r\n": (200, b"hello", True),
    CHUNKED + b"005\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n": (200, b"hello", True),
    OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello": (200, b"hello", False),
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello": (200, b"hello", False),
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello": (200, b"hello", True),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b"", True),
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n": (304, b"", True),
    b"HTTP/1.1 503 \r\nRetry-After:\r\nContent-Length: 4\r\n\r\nbusy": (503, b"busy", True),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + FIVE + b"hello": (200, b"hello", True),
    OK + b"Connection: Upgrade, Keep-Alive\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi": (200, b"hi", True),
}


@pytest.mark.parametrize("wire", WHOLE)
@pytest.mark.parametrize("cut", [lambda wire: [wire], split], ids=["whole", "every byte"])
def test_every_framing_reads_the_same_however_it_is_split(wire, cut):
    """An answer means the same whether it comes at once or byte by byte."""
    response = read(*cut(wire))
    status, body, reusable = WHOLE[wire]
    assert response.failure is None
    assert (response.status, b"".join(response.parts), response.complete) == (status, body, True)
    assert response.reusable is reusable


def test_body_without_framing_lasts_until_the_connection_ends():
    """An answer with neither length nor chunks ends with the connection, which is then spent."""
    response = read(OK + b"\r\nhel", b"lo")
    assert not response.complete
    response.end()
    assert (response.take(), response.complete, response.reusable) == (b"hello", True, False)


def test_headers_come_in_lower_case_without_those_of_interim_answers():
    """Only the head of the final answer counts, names in lower case, blanks around values gone, trailers dropped."""
    response = read(
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"X-A: 1 \t\r\nx-a:\t2\r\nTransfer-Encoding: Chunked\r\n\r\n",
        b"0\r\nX-Late: 3\r\n\r\n",
    )
    assert response.headers == [(b"x-a", b"1"), (b"x-a", b"2"), (b"transfer-encoding", b"Chunked")]


def test_head_answer_has_no_body_and_ends_the_connection():
    """What a HEAD request is told about a body does not follow, so nothing after it can be trusted."""
    response = read(FIVE, method="HEAD")
    assert (response.status, response.complete, response.reusable, response.failure) == (200, True, False, None)


INVALID = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "not quite HTTP": b"HTTX/1.1 200 OK\r\n\r\n",
    "blank lines first": b"\r\n" + FIVE,
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 No\r\nContent-Length: 0\r\n\r\n",
    "switched protocols": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "folded line": OK + b"X-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare LF in the head": OK + b"X-A: 1\nContent-Length: 0\r\n\r\n",
    "bare CR in a value": OK + b"X-A: 1\r2\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"X-A: 1\0002\r\nContent-Length: 0\r\n\r\n",
    "control character": OK + b"X-A: \x01\r\nContent-Length: 0\r\n\r\n",
    "blank before colon": OK + b"Content-Length : 0\r\n\r\n",
    "name that is no token": OK + b"X(A): 1\r\nContent-Length: 0\r\n\r\n",
    "line without colon": OK + b"garbage\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "length list": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "signed length": OK + b"Content-Length: +2\r\n\r\nhi",
    "length too long": OK + b"Content-Length: 99999999999999999999\r\n\r\n",
    "length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "gzip transfer coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown transfer coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n",
    "204 with chunks": b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
    "204 with a body": b"HTTP/1.1 204 No\r\n\r\nhi",
    "304 with a body": b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\nhi",
    "signed chunk size": CHUNKED + b"+2\r\nhi\r\n",
    "underscore in chunk size": CHUNKED + b"1_0\r\nhi\r\n",
    "prefixed chunk size": CHUNKED + b"0x2\r\nhi\r\n",
    "blank after chunk size": CHUNKED + b"2 \r\nhi\r\n",
    "empty chunk size": CHUNKED + b"\r\nhi\r\n",
    "endless chunk size": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhi\r\n",
    "LF after chunk size": CHUNKED + b"2\nhi\r\n",
    "no CRLF after chunk": CHUNKED + b"2\r\nhiXX0\r\n\r\n",
    "LF after chunk": CHUNKED + b"2\r\nhi\n0\r\n\r\n",
    "length in trailer": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    "head too large": OK + b"X-A: " + b"a" * HEAD_LIMIT + b"\r\nContent-Length: 0\r\n\r\n",
    "head too large with a body": OK + b"X-A: " + b"a" * HEAD_LIMIT + b"\r\nContent-Length: 2\r\n\r\nhi",
    "too many headers": OK + b"X-A: 1\r\n" * (HEADER_LIMIT + 1) + b"Content-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("wire", INVALID.values(), ids=INVALID)
def test_invalid_answer_is_refused(wire):
    """Bytes that two readers could take for different answers are nobody's answer."""
    response = read(wire)
    assert response.failure is not None
    assert response.failure[0] is Kind.PROTOCOL_ERROR
    assert not response.complete


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"X-A: " + b"a" * 2 * HEAD_LIMIT,
        b"HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n" * (HEAD_LIMIT // 10),
        CHUNKED + b"2\r\nhi\r\n0\r\nX-A: " + b"a" * 2 * HEAD_LIMIT,
        CHUNKED + b"2\r\nhi\r\n2;" + b"a" * 2 * HEAD_LIMIT,
    ],
    ids=["header", "interim answers", "trailer", "chunk extension"],
)
def test_bytes_that_never_come_to_a_body_are_cut_off(wire):
    """A provider cannot fill our memory or our time with bytes that say nothing."""
    response = Response()
    response.begin("POST")
    fed = 0
    while response.failure is None and fed < len(wire):
        response.feed(wire[fed : fed + 1_000])
        fed += 1_000
    assert response.failure is not None
    assert response.failure[0] is Kind.PROTOCOL_ERROR
    assert fed <= HEAD_LIMIT + 2_000


@pytest.mark.parametrize("surplus", [b"x", b"\0", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nyo"])
@pytest.mark.parametrize("apart", [True, False])
def test_bytes_after_the_end_spend_the_connection(surplus, apart):
    """An answer is good although more follows it, but the next answer could be a forged one."""
    response = read(FIVE + b"hello", surplus) if apart else read(FIVE + b"hello" + surplus)
    assert (response.take(), response.complete, response.failure) == (b"hello", True, None)
    assert not response.reusable


@pytest.mark.parametrize(
    ("wire", "kind", "detail"),
    [
        (b"", Kind.RESET, "connection closed before any answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", Kind.RESET, "connection closed within the head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Kind.RESET, "connection closed within the head"),
        (FIVE + b"hell", Kind.TRUNCATED, "connection closed within the body"),
        (CHUNKED + b"2\r\nhi\r\n", Kind.TRUNCATED, "connection closed within the body"),
        (CHUNKED + b"0\r\n", Kind.TRUNCATED, "connection closed within the body"),
    ],
)
def test_early_end_is_a_failure(wire, kind, detail):
    """A connection that ends before the answer does is reset before the head and truncation after it."""
    response = read(*[wire] if wire else [], end=True)
    assert response.failure == (kind, detail)


def test_end_after_the_end_is_no_failure():
    """A provider may hang up once it has said everything."""
    assert read(FIVE + b"hello", end=True).failure is None


def test_next_answer_starts_afresh():
    """One connection carries many answers and nothing of one shows in the next."""
    response = read(OK + b"X-A: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nhi")
    response.begin("POST")
    assert (response.status, response.heard, response.complete, response.parts) == (0, False, False, [])
    response.feed(FIVE + b"hello")
    assert (response.headers, response.told) == ([(b"content-length", b"5")], {b"content-length": b"5"})
    assert (response.take(), response.reusable) == (b"hello", True)


def test_repeated_fields_are_read_as_one_list():
    """A coding named in two fields is two codings, not the last one."""
    response = read(OK + b"Content-Encoding: br\r\nX-A: 1\r\ncontent-encoding: gzip \r\nContent-Length: 0\r\n\r\n")
    assert response.told[b"content-encoding"] == b"br, gzip"
