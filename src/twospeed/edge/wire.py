"""Request heads on the wire: bytes in, a checked head out; no socket, no clock, no waiting.

llhttp (through httptools) reads a head once all of it is here. It refuses bare CR and LF, NUL, obs-fold, bad names,
odd or repeated Content-Length and both framings at once; what it lets through and R26 does not is refused below.
A head that is accepted has exactly one reading, which the differential test against h11 holds it to.

Source: RFC 9110, RFC 9112.
"""

import re
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from msgspec import Struct

from twospeed.errors import Fault, Kind
from twospeed.policy.headers import Headers
from twospeed.policy.listen import Listen

_LINE_EXTRA = 32  # bytes of a request line besides the target, at most: method, two spaces, version
_FRAMING = (b"content-length", b"transfer-encoding")
MOST_DIGITS = 18  # of a Content-Length; more cannot be meant
_SLASH = ord("/")
_ABSOLUTE = re.compile(rb"(?i:https?)://(?P<host>[A-Za-z0-9.:_~%\[\]-]+)(?P<path>/[^#]*)?(\?[^#]*)?")


class Head(Struct):
    """The head of one request, checked.

    `path`: as sent, not percent-decoded, without the query, and of a whole URL only from the path on; starts with "/", or is
    "*" for OPTIONS.
    `headers`: all but Content-Length. `length`: bytes of body, None when chunked. `keep_alive`: the client would use the connection again. `context`: the app's own, from `admit` to `serve`.
    """

    method: str
    path: str
    query: str
    headers: Headers
    http10: bool = False
    length: int | None = 0
    keep_alive: bool = True
    context: Any = None


def malformed(detail: str) -> Fault:
    """Return the fault for a request that is not good HTTP/1.1. `detail` must not quote it."""
    return Fault(Kind.BAD_REQUEST, "The request is not valid HTTP/1.1.", detail=detail)


class HeadReader:
    """Finds and reads heads; keeps nothing between two of them. Not for use by two threads at once."""

    __slots__ = ("_headers", "_max_headers", "_padded", "_target", "_url_limit", "head_limit")

    def __init__(self, listen: Listen) -> None:
        self.head_limit = listen.head_limit
        self._url_limit = listen.url_limit
        self._max_headers = listen.max_headers
        self._target = b""
        self._headers = Headers()
        self._padded = False

    def end(self, data: bytes) -> int:
        """Return the offset in `data` just after the empty line that ends the first head, 0 while it has not come.

        Raises: Fault URL_TOO_LONG, HEAD_TOO_LARGE, and BAD_REQUEST as soon as `data` cannot become a good head.
        """
        end = data.find(b"\r\n\r\n", 1) + 4
        if 4 <= end <= self.head_limit:
            return end
        line = data.find(b"\r\n")
        if (line if line >= 0 else len(data)) > self._url_limit + _LINE_EXTRA:
            raise _url_too_long()
        if len(data) > self.head_limit:
            raise Fault(Kind.HEAD_TOO_LARGE, f"The request head is larger than {self.head_limit} bytes.")
        _check_beginning(data)
        return 0

    def read(self, raw: bytes) -> Head:
        """Read one head.

        Args:
            raw: From the first byte of the request line to the empty line, included; not longer than `head_limit`.

        Raises: Fault BAD_REQUEST, HEAD_TOO_LARGE (too many headers), URL_TOO_LONG.
        """
        if raw.startswith(b"\r\n"):
            raw = raw[2:]  # a line end too many after the request before
        if raw.count(b"\n") - 2 > self._max_headers:
            raise Fault(Kind.HEAD_TOO_LARGE, f"The request has more than {self._max_headers} headers.")
        headers = self._headers = Headers()
        self._padded = False
        # A fresh parser costs a quarter of a microsecond and cannot carry anything over from the last request.
        parser = HttpRequestParser(self)
        try:
            parser.feed_data(raw)
        except HttpParserUpgrade:
            pass  # said by `upgrade` in the headers; the engine goes on in HTTP/1.1
        except HttpParserError as error:
            raise malformed(f"{type(error).__name__}: {error}") from None
        if self._padded:
            raise malformed("white space after a framing header's value")
        method, target = parser.get_method(), self._target
        http10 = _check_line(raw, method, target)
        if len(target) > self._url_limit:
            raise _url_too_long()
        host = headers.get(b"host")
        if b"," in host if host is not None else not http10:  # a comma is also what a repeated Host leaves
            raise malformed("not exactly one Host")
        if target[0] != _SLASH:
            target = self._resource(target)
        path, _, query = target.decode().partition("?")
        return Head(
            method.decode(), path, query, headers, http10, _length(headers, http10), _keep_alive(headers, http10)
        )

    def _resource(self, target: bytes) -> bytes:
        """Return what a target other than a path is about; the host it names wins over the header."""
        whole = _ABSOLUTE.fullmatch(target)
        if whole is None:
            return target
        self._headers[b"host"] = whole["host"]
        return target[whole.end("host") :] if whole["path"] else b"/" + target[whole.end("host") :]

    def on_url(self, target: bytes) -> None:
        """Take the request target from the parser."""
        self._target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header from the parser, which has removed white space before the value only."""
        name = name.lower()
        headers = self._headers
        if value and value[-1] <= 32:
            self._padded = self._padded or name in _FRAMING
            value = value.rstrip(b" \t")
        if name in headers:
            value = headers[name] + b", " + value
        headers[name] = value


def _check_line(raw: bytes, method: bytes, target: bytes) -> bool:
    """Return whether the version is 1.0."""
    end = len(method) + 1 + len(target)  # elsewhere if there is more than one space, or an empty line before
    http10 = not raw.startswith(b" HTTP/1.1\r\n", end)
    if http10 and not raw.startswith(b" HTTP/1.0\r\n", end):
        raise malformed("request line is not method, target and HTTP/1.1 with single spaces")
    plain = (target[0] == _SLASH or _ABSOLUTE.fullmatch(target)) and b"#" not in target and method != b"CONNECT"
    if not plain and (target != b"*" or method != b"OPTIONS"):
        raise malformed("target is neither an absolute path nor an http URL")
    return http10


def _check_beginning(data: bytes) -> None:
    start = 2 if data.startswith(b"\r\n") else data.startswith(b"\r")
    if len(data) > start and not 65 <= data[start] <= 90:
        raise malformed("does not start with a method")
    lines = data.count(b"\r\n")
    if data.count(b"\n") != lines or data.count(b"\r") - data.endswith(b"\r") != lines:
        raise malformed("bare CR or LF in the head")


def _url_too_long() -> Fault:
    return Fault(Kind.URL_TOO_LONG, "The request URL is too long.")


def _length(headers: Headers, http10: bool) -> int | None:
    """Take the length out of the headers."""
    length = headers.pop(b"content-length", None)
    if b"transfer-encoding" in headers:
        if http10 or length is not None or headers[b"transfer-encoding"].lower() != b"chunked":
            raise malformed("Transfer-Encoding is not exactly chunked")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > MOST_DIGITS:
        raise malformed("Content-Length is not a number")
    return int(length)


def _keep_alive(headers: Headers, http10: bool) -> bool:
    connection = headers.get(b"connection")
    if connection is None:
        return not http10
    connection = connection.lower()
    if connection == b"keep-alive":
        return True
    options = {option.strip() for option in connection.split(b",")}
    return b"close" not in options and (not http10 or b"keep-alive" in options)
