"""One response as it comes off the wire: head, framing and body bytes. No socket, no clock, no waiting.

Bytes go in through `feed` and `end`; status, headers, body parts and failure are read off the attributes. llhttp
does the grammar and refuses most of what is dangerous by itself (folded lines, bare CR or LF, duplicate
Content-Length, Content-Length with Transfer-Encoding, signs and blanks in chunk sizes); refused here is what it
lets through: protocols and versions that are not HTTP/1.x, status codes outside 200..599, transfer codings other
than exactly `chunked`, NUL in the reason, bodies where none may be, and heads, trailers and chunk extensions
without end. One object serves all responses of a connection, one after the other. Source: RFC 9112.
"""

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from twospeed.errors import Kind

HEAD_LIMIT = 65_536  # bytes; also of everything else between two body bytes
HEADER_LIMIT = 256  # fields of one head
PART_COST = 64  # bytes of bookkeeping that each body part costs in memory

_INTERIM = frozenset({100, *range(102, 200)})  # 101 would be the end of HTTP
_FINAL = range(200, 600)
_BODILESS = (204, 304)
_VERSIONS = ("1.1", "1.0")
_TELLING = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"keep-alive"})
_FIRST_BYTE = ord("H")


class _Stop(Exception):
    """Thrown out of a callback so that the parser reads no further."""


class Response:
    """The response a connection is reading.

    `status`: 0 until the head is complete; interim (1xx) heads do not count.
    `headers`: the head's fields in order, names in lower case. `told`: the framing ones by name, repeated ones joined
    with ", ". Both hold once `status` does.
    `parts`: body bytes not taken yet, in order; `held`: the memory they take, in bytes, at most.
    `heard`: at least one byte came. `complete`: the body came to its proper end.
    `reusable`: the connection may carry another request once this one is complete.
    `failure`: what went wrong and, for operators, how; parts that came before it are still good.
    """

    __slots__ = (
        "_barren",
        "_bodiless",
        "_parser",
        "_until_eof",
        "complete",
        "failure",
        "headers",
        "heard",
        "held",
        "on_body",
        "parts",
        "reusable",
        "status",
        "told",
    )

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.on_body = self.parts.append  # called by the parser for each run of body bytes
        self._parser = HttpResponseParser(self)
        self._until_eof = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.told: dict[bytes, bytes] = {}
        self.failure: tuple[Kind, str] | None = None
        self.begin("")

    def begin(self, method: str) -> None:
        """Forget the last response, which did not fail, and expect the one to a request with `method`."""
        self._bodiless = method == "HEAD"
        self._barren = 0  # bytes since the last body byte
        self.status = 0
        self.parts.clear()
        self.held = 0
        self.heard = False
        self.complete = False
        self.reusable = False

    def feed(self, data: bytes) -> None:
        """Take bytes off the wire (never empty)."""
        if not self.heard:
            self.heard = True
            if data[0] != _FIRST_BYTE:
                self._refuse("the answer is not HTTP")
        if self.failure is not None:
            return
        parts, size = self.parts, len(data)
        known = len(parts)
        self._barren += size
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._stopped(error)
        if new := len(parts) - known:
            self.held += size + new * PART_COST
            self._barren = 0
        elif self._barren > HEAD_LIMIT and not self.complete:
            self._refuse(f"more than {HEAD_LIMIT} bytes of {'trailers or chunk extensions' if self.status else 'head'}")

    def end(self) -> None:
        """Take the peer's end of stream, the proper end of a body without other framing."""
        if self._until_eof:
            self.complete = True
        else:
            self.lose("connection closed")

    def lose(self, why: str) -> None:
        """Take the loss of the connection; without consequence once the response is complete or has failed."""
        if self.complete or self.failure is not None:
            return
        where = "within the body" if self.status else "within the head" if self.heard else "before any answer"
        self.failure = (Kind.TRUNCATED if self.status else Kind.RESET, f"{why} {where}")

    def take(self) -> bytes:
        """Hand over all body bytes that have come; there is at least one part."""
        data = b"".join(self.parts)  # one part is not copied
        self.parts.clear()
        self.held = 0
        return data

    @property
    def over(self) -> bool:
        """Whether no more bytes will come."""
        return self.complete or self.failure is not None

    def drop(self) -> None:
        """Let go of the parser, which refers back to this object; nothing may be fed afterwards."""
        del self._parser

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte of a head."""
        if self.complete:
            raise _Stop
        self.headers = []  # those of an interim head are forgotten
        self.told = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each field of a head or trailer."""
        if self.status:
            return  # trailers are dropped
        name = name.lower()
        value = value.rstrip()
        self.headers.append((name, value))
        if name in _TELLING:
            told = self.told
            told[name] = b"%b, %b" % (told[name], value) if name in told else value

    def on_headers_complete(self) -> None:
        """Called by the parser at the end of each head."""
        status = self._parser.get_status_code()
        if status in _INTERIM:
            return
        told = self.told
        coding = told.get(b"transfer-encoding")
        trouble = self._trouble(status, coding)
        if trouble:
            self._refuse(trouble)
            raise _Stop
        self.status = status
        self._until_eof = coding is None and b"content-length" not in told and status not in _BODILESS
        if self._bodiless:
            # The parser would wait for the body that the head of a GET announces: this connection ends here.
            self._until_eof = False
            self.complete = True
            raise _Stop

    def on_message_complete(self) -> None:
        """Called by the parser at the end of each message, interim ones included."""
        if self.status:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()  # says false when asked any later

    def _trouble(self, status: int, coding: bytes | None) -> str:
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            return f"HTTP version {version}"
        if status not in _FINAL:
            return f"status {status}"
        if coding is not None and (version == "1.0" or coding.lower() != b"chunked"):
            return "a transfer coding other than chunked"
        if status == 204 and (coding is not None or self.told.get(b"content-length", b"").strip(b"0")):
            return "a body announced with status 204"
        if len(self.headers) > HEADER_LIMIT:
            return f"more than {HEADER_LIMIT} header fields"
        if self._barren > HEAD_LIMIT and sum(len(n) + len(v) + 4 for n, v in self.headers) > HEAD_LIMIT:
            return f"more than {HEAD_LIMIT} bytes of head"
        return ""

    def _stopped(self, error: HttpParserError) -> None:
        if self.complete:  # bytes after the end
            self.reusable = False
            if self.status in _BODILESS and not self._bodiless:
                self._refuse(f"a body with status {self.status}")
        elif self.failure is None:
            if isinstance(error, HttpParserCallbackError):
                raise error
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        self.complete = False
        self.failure = (Kind.PROTOCOL_ERROR, f"invalid answer: {why}")
