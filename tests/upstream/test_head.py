"""Request heads, as they go on the wire."""

import pytest

from twospeed.errors import Fault, Kind
from twospeed.upstream import head
from twospeed.upstream.head import RESERVED, build_head


def test_head_is_written_from_parts():
    """Ours first, then what was given, then the blank line."""
    headers = [(b"authorization", b"Bearer k"), (b"x-a", b"caf\xe9\t1")]
    assert build_head("POST", "/v1/chat?beta=true", b"api.example", headers, 12) == (
        b"POST /v1/chat?beta=true HTTP/1.1\r\n"
        b"host: api.example\r\n"
        b"connection: keep-alive\r\n"
        b"content-length: 12\r\n"
        b"accept-encoding: identity\r\n"
        b"authorization: Bearer k\r\n"
        b"x-a: caf\xe9\t1\r\n"
        b"\r\n"
    )


def test_head_without_headers():
    """A request may have nothing of its own to say."""
    assert build_head("GET", "/", b"h", [], 0).endswith(b"accept-encoding: identity\r\n\r\n")


def test_given_accept_encoding_is_kept():
    """Who asks for a coding gets asked for that one only."""
    written = build_head("POST", "/", b"h", [(b"accept-encoding", b"gzip")], 0)
    assert written.count(b"accept-encoding") == 1


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"1\r\nx-b: 2"),
        (b"x-a", b"1\r\n"),
        (b"x-a", b"1\nx-b: 2"),
        (b"x-a", b"1\rx-b: 2"),
        (b"x-a", b"\r\n\r\nGET / HTTP/1.1"),
        (b"x-a", b"1\0"),
        (b"x-a", b"\x1b[31m"),
        (b"x-a", b"\x7f"),
        (b"x-a\r\nx-b", b"1"),
        (b"x-a: 1\r\nx-b", b"1"),
        (b"x a", b"1"),
        (b"x-a:", b"1"),
        (b"", b"1"),
        (b"x-\xe9", b"1"),
        *((name, b"1") for name in sorted(RESERVED)),
        (b"Transfer-Encoding", b"chunked"),
    ],
)
@pytest.mark.parametrize("others", [[], [(b"x-z", b"1")]])
def test_header_that_would_be_smuggled_is_refused(header, others):
    """Nothing gets into a request but one header per header given."""
    for _ in range(2):  # what was seen once is still refused
        with pytest.raises(Fault) as caught:
            build_head("POST", "/", b"h", [*others, header, *others], 0)
        assert caught.value.kind is Kind.INTERNAL


@pytest.mark.parametrize("path", ["", "v1", "/a b", "/a\r\nx-b: 1", "/a\n", "/\0", "/\xe9", "/€", "http://other/"])
def test_path_that_is_no_path_is_refused(path):
    """The request line has one method, one path, one version."""
    with pytest.raises(Fault) as caught:
        build_head("POST", path, b"h", [], 0)
    assert caught.value.kind is Kind.INTERNAL


def test_invented_names_do_not_fill_memory(monkeypatch):
    """Clients may invent header names; only so many are remembered, and the rest still pass."""
    monkeypatch.setattr(head, "_known", set())
    for number in range(head._KNOWN_LIMIT + 10):
        build_head("POST", "/", b"h", [(b"x-stainless-%d" % number, b"1")], 0)
    assert len(head._known) == head._KNOWN_LIMIT
