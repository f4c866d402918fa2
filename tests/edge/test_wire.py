"""Request heads: what is accepted has one reading only, everything else is refused."""

import contextlib

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twospeed.edge.wire import Head, HeadReader
from twospeed.errors import Fault, Kind
from twospeed.policy.listen import Listen

LISTEN = Listen.model_validate({"head_limit": "2048B", "url_limit": "512B", "max_headers": 10})
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


def read(data: bytes) -> Head | None:
    """The head at the beginning of `data`, None when it has not all come."""
    reader = HeadReader(LISTEN)
    end = reader.end(data)
    return reader.read(data[:end]) if end else None


def refused(data: bytes) -> Kind | None:
    try:
        read(data)
    except Fault as fault:
        return fault.kind
    return None


def test_a_head_is_taken_apart():
    """Method, path, query and headers come out as they were sent, names in lower case."""
    head = read(b"POST /v1/%61?a=b&c?d HTTP/1.1\r\nHost: x:80\r\nX-A:  b c\t \r\nContent-Length: 12\r\nX-E:\r\n\r\n{}")
    assert head == Head(
        "POST",
        "/v1/%61",
        "a=b&c?d",
        {b"host": b"x:80", b"x-a": b"b c", b"x-e": b""},
        length=12,
    )


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (GET, 0),
        (POST + b"Content-Length: 0\r\n", 0),
        (POST + b"Content-Length: 0012\r\n", 12),
        (POST + b"Transfer-Encoding: Chunked\r\n", None),
    ],
)
def test_body_length_is_said_by_one_header(head, length):
    """A body has the announced length, comes in chunks, or is not there."""
    got = read(head + b"\r\n")
    assert got is not None
    assert got.length == length


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"x, Close", False),
        (b"1.1", b"Keep-Alive", True),
        (b"1.1", b"upgrade, http2-settings", True),
        (b"1.0", None, False),
        (b"1.0", b"keep-alive", True),
        (b"1.0", b"x,keep-alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_connection_is_kept_as_the_client_asks(version, connection, keeps):
    """HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 closes it unless told otherwise."""
    option = b"Connection: %b\r\n" % connection if connection else b""
    head = read(b"GET / HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, option))
    assert head is not None
    assert head.keep_alive is keeps
    assert head.http10 is (version == b"1.0")


def test_repeated_headers_are_joined_in_order():
    """Two lines of one name are one list."""
    head = read(GET + b"X-A: 1 \r\nAccept: */*\r\nx-a: 2\r\n\r\n")
    assert head is not None
    assert head.headers == {b"host": b"x", b"x-a": b"1, 2", b"accept": b"*/*"}


@pytest.mark.parametrize("line", [b"session_id: 1", b"!#$%&'*+-.^_`|~: 1", b"X: \xe9\xff \t!", b"Upgrade: websocket", b"Connection: Upgrade\r\nUpgrade: h2c"])  # fmt: skip
def test_odd_but_legal_headers_pass(line):
    """An underscore in a name, any token character, bytes beyond ASCII in a value, an offer to upgrade: all legal."""
    assert refused(GET + line + b"\r\n\r\n") is None


def test_options_may_ask_about_the_server():
    """`OPTIONS *` is about the server as a whole."""
    head = read(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head is not None
    assert head.path == "*"


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        (b"http://api.example:80/v1/models?a=b", "/v1/models", "a=b", b"api.example:80"),
        (b"HTTPS://x", "/", "", b"x"),
        (b"http://[::1]?a", "/", "a", b"[::1]"),
    ],
)
def test_a_whole_url_is_read_as_its_path(target, path, query, host):
    """Clients that take the server for a proxy write it so; the host of the URL is the one that counts."""
    head = read(b"GET %b HTTP/1.1\r\nHost: other\r\n\r\n" % target)
    assert head is not None
    assert (head.path, head.query, head.headers) == (path, query, {b"host": host})


def test_one_line_end_before_a_request_is_passed_over():
    """Some clients send one too many after a body; it may come alone."""
    data = b"\r\n" + POST + b"Content-Length: 0\r\n\r\n"
    assert [size for size in range(1, len(data) + 1) if read(data[:size])] == [len(data)]
    assert read(data) == read(data[2:])


MALFORMED = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two equal lengths": POST + b"Content-Length: 5\r\ncontent-length: 5\r\n\r\n",
    "list of lengths": POST + b"Content-Length: 5, 5\r\n\r\n",
    "list of lengths, tight": POST + b"Content-Length: 5,5\r\n\r\n",
    "signed length": POST + b"Content-Length: +5\r\n\r\n",
    "negative length": POST + b"Content-Length: -5\r\n\r\n",
    "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\n",
    "padded length": POST + b"Content-Length:  5 \r\n\r\n",
    "split length": POST + b"Content-Length: 5 5\r\n\r\n",
    "length with underscore": POST + b"Content-Length: 1_0\r\n\r\n",
    "fraction": POST + b"Content-Length: 5.0\r\n\r\n",
    "exponent": POST + b"Content-Length: 1e1\r\n\r\n",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "foreign digits": POST + b"Content-Length: \xd9\xa5\r\n\r\n",
    "length beyond 64 bit": POST + b"Content-Length: 18446744073709551621\r\n\r\n",
    "length beyond all bits": POST + b"Content-Length: " + b"9" * 200 + b"\r\n\r\n",
    "length of many zeros": POST + b"Content-Length: " + b"0" * 200 + b"5\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    "coding and identity": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "almost chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "quoted chunked": POST + b'Transfer-Encoding: "chunked"\r\n\r\n',
    "chunked with parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n",
    "chunked with vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "padded chunked": POST + b"Transfer-Encoding: chunked \r\n\r\n",
    "empty coding": POST + b"Transfer-Encoding:\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "folded header": GET + b"X-A: a\r\n b\r\n\r\n",
    "folded with tab": GET + b"X-A: a\r\n\tb\r\n\r\n",
    "folded empty header": GET + b"X-A:\r\n b\r\n\r\n",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
    "folded first header": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "line of white space": GET + b" \r\n\r\n",
    "bare LF after request line": b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    "bare LF after header": GET + b"X-A: b\nContent-Length: 5\r\n\r\n",
    "bare LF at the end": GET + b"\n",
    "only LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare CR in value": GET + b"X-A: b\rContent-Length: 5\r\n\r\n",
    "bare CR after request line": b"GET / HTTP/1.1\rHost: x\r\n\r\n",
    "CR CR LF": GET + b"X-A: b\r\r\n\r\n",
    "NUL in value": GET + b"X-A: a\0b\r\n\r\n",
    "NUL in name": GET + b"X\0A: b\r\n\r\n",
    "NUL in target": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "control character in value": GET + b"X-A: a\x01b\r\n\r\n",
    "DEL in value": GET + b"X-A: a\x7fb\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "tab before colon": POST + b"Content-Length\t: 5\r\n\r\n",
    "space in name": GET + b"X A: b\r\n\r\n",
    "bracket in name": GET + b"X(A: b\r\n\r\n",
    "letter beyond ASCII in name": GET + b"X\xe9: b\r\n\r\n",
    "no name": GET + b": b\r\n\r\n",
    "no colon": GET + b"X-A\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "two equal hosts": GET + b"host: x\r\n\r\n",
    "two empty hosts": b"GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "list of hosts": b"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT to a path": b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target of another kind": b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target without host": b"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target with a user": b"GET http://u:p@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target with a fragment": b"GET http://x/#a HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target, no Host": b"GET http://x/ HTTP/1.1\r\n\r\n",
    "absolute CONNECT": b"CONNECT http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "target without slash": b"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
    "star for GET": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment": b"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab in target": b"GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n",
    "target beyond ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces after method": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces before version": b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab after method": b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "space after version": b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "space before method": b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two empty lines first": b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "CR first": b"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "LF first": b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "only an empty line": b"\r\n\r\n",
    "method in lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    "version in lower case": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "RTSP": b"DESCRIBE / RTSP/1.0\r\nHost: x\r\n\r\n",
    "ICE": b"SOURCE / ICE/1.0\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "garbage": b"\xff\xfe\x00garbage",
    "words": b"hello world\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_head_is_refused(data):
    """Nothing that two readers could take differently passes, and nothing that is not HTTP/1."""
    assert refused(data) is Kind.BAD_REQUEST


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_head_is_refused_however_it_is_cut(data):
    """The same holds when it comes byte by byte: at some byte it is refused, at none accepted."""
    kinds = {refused(data[:size]) for size in range(1, len(data) + 1)}
    assert kinds == {None, Kind.BAD_REQUEST} or kinds == {Kind.BAD_REQUEST}
    assert all(read_or_none(data[:size]) is None for size in range(1, len(data) + 1))


def read_or_none(data: bytes) -> Head | None:
    with contextlib.suppress(Fault):
        return read(data)
    return None


def test_no_fault_quotes_the_request():
    """Neither what the client is told nor what operators read repeats bytes of the request."""
    for data in (GET + b"sk-secret\x01: sk-secret\r\n\r\n", GET + b"X: sk-secret\0\r\n\r\n", b"sk-secret\r\n\r\n"):
        with pytest.raises(Fault) as caught:
            read(data)
        assert "secret" not in caught.value.message + caught.value.detail + str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 512), Kind.URL_TOO_LONG),
        (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 511), None),
        (b"GET /%b" % (b"a" * 1_000), Kind.URL_TOO_LONG),
        (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 5_000), Kind.URL_TOO_LONG),
        (GET + b"X-A: %b\r\n\r\n" % (b"a" * 2_048), Kind.HEAD_TOO_LARGE),
        (GET + b"X-A: %b" % (b"a" * 2_048), Kind.HEAD_TOO_LARGE),
        (GET + b"X-A: %b\r\n\r\n" % (b"a" * (2_048 - len(GET) - 9)), None),
        (GET + b"X-A: %b\r\n\r\n" % (b"a" * (2_048 - len(GET) - 8)), Kind.HEAD_TOO_LARGE),
        (GET + b"X-A: a\r\n" * 9 + b"\r\n", None),
        (GET + b"X-A: a\r\n" * 10 + b"\r\n", Kind.HEAD_TOO_LARGE),
    ],
)
def test_sizes_are_bounded(data, kind):
    """A target, a head or a number of headers beyond its limit is refused, complete or not; at the limit it passes."""
    assert refused(data) is kind


def test_a_head_may_come_in_any_pieces():
    """As long as it can still become a good head, it is waited for."""
    data = POST + b"Content-Length: 12\r\n\r\n"
    assert [size for size in range(1, len(data) + 1) if read(data[:size])] == [len(data)]


def test_nothing_is_carried_over_between_requests():
    """A refused head leaves no trace in the next one."""
    reader = HeadReader(LISTEN)
    for bad in (
        POST + b"X-A: 1\r\nContent-Length: 5 \r\n\r\n",
        POST + b"X-A: 1\r\nContent-Length: 5\r\nX-B: \0\r\n\r\n",
    ):
        with pytest.raises(Fault):
            reader.read(bad)
        assert reader.read(GET + b"\r\n") == Head("GET", "/", "", {b"host": b"x"})


# Whatever is accepted here, h11 accepts and reads the same way. It takes more: any token as method, other
# absolute targets, fragments, folded headers, lists of equal lengths, control characters in values, white space after a length.

TOKEN = st.sampled_from(
    [b"Host", b"content-length", b"Transfer-Encoding", b"Connection", b"x-a", b"Expect", b"a_b", b""]
)
VALUE = st.one_of(
    st.sampled_from([b"5", b"chunked", b"close", b"x", b"", b" 5", b"5 ", b"100-continue", b"keep-alive, x", b"5, 5"]),
    st.binary(max_size=6),
)
LINE_END = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\r\r\n", b""])
COLON = st.sampled_from([b": "] * 8 + [b":", b" :", b":\t", b""])
METHOD = st.sampled_from([b"GET"] * 4 + [b"POST", b"HEAD", b"OPTIONS", b"get", b"FOO", b"CONNECT", b"PRI", b"M-SEARCH"])
TARGET = st.one_of(
    st.sampled_from([b"/"] * 6 + [b"/a?b", b"*", b"http://x/", b"/#", b"", b"/a b"]), st.binary(max_size=4)
)
VERSION = st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b""])
FIELD = st.tuples(TOKEN, COLON, VALUE, LINE_END).map(b"".join)
HEADS = st.tuples(
    METHOD, st.just(b" "), TARGET, st.just(b" "), VERSION, LINE_END,
    st.sampled_from([b"Host: x\r\n"] * 4 + [b""]), st.lists(FIELD, max_size=4).map(b"".join), st.just(b"\r\n"),
).map(b"".join)  # fmt: skip


GOOD = POST + b"Content-Length: 5\r\nX-A: b\r\nx-a:  c \r\nConnection: keep-alive\r\n\r\n"


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good head with a few bytes changed, added or taken away."""
    data = bytearray(GOOD)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.sampled_from([b"", b"\r", b"\n", b" ", b":", b"\0", b"\t", b"A", b"\xe9", b",", b"\r\n"]))  # fmt: skip
    return bytes(data)


@settings(max_examples=800, deadline=None)
@given(st.one_of(HEADS, mutated()))
def test_h11_reads_accepted_heads_the_same_way(data):
    """Another parser never sees a different request than we did."""
    head = read_or_none(data)
    if head is None:
        return
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(data.removeprefix(b"\r\n"))
    event = peer.next_event()
    assert isinstance(event, h11.Request)
    if event.target.startswith(b"http://"):
        event = h11.Request(
            method=event.method,
            target=event.target.removeprefix(b"http://x"),
            headers=event.headers,
            http_version=event.http_version,
        )
        head.headers[b"host"] = next(value for name, value in event.headers if name == b"host")
    target = head.path + ("?" + head.query if b"?" in event.target else "")
    assert (event.method, event.target) == (head.method.encode(), target.encode())
    joined: dict[bytes, bytes] = {}
    for name, value in event.headers:
        joined[name] = joined[name] + b", " + value if name in joined else value
    if b"transfer-encoding" in joined:  # h11 gives it in lower case
        head.headers[b"transfer-encoding"] = head.headers[b"transfer-encoding"].lower()
    length = int(joined.pop(b"content-length", b"0"))
    assert joined == head.headers
    assert head.length == (None if b"transfer-encoding" in joined else length)
    assert head.keep_alive or not may_keep(event) or head.http10


def may_keep(event: h11.Request) -> bool:
    options = [option for name, value in event.headers if name == b"connection" for option in value.lower().split(b",")]
    return event.http_version == b"1.1" and b"close" not in [option.strip() for option in options]
